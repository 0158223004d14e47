"""Product names and firmware versions out of the kernel's DMI line, without placeholders and repetitions.

The line is ``<vendor> <product>/<board>, BIOS <version> <date>``; a source may have cut it anywhere.
"""

from __future__ import annotations

import re

_PLACEHOLDERS = re.compile(
    r"to be filled by o\.e\.m\.?|(?<![\w.])to be$|system manufacturer|system product name|system$"
    r"|type2 - board product name|(?<=lenovo )invalid/?|(?<![\w.])default string",
    re.IGNORECASE,
)
_SPACE = re.compile(r"\s+")
_RELEASE = re.compile(r"\d+(?:\.\d+)+(?:-rc\d+)?")


def product_and_firmware(dmi: str) -> tuple[str, str]:
    """Return the product and the firmware's version and date of a DMI line; "" for what it lacks."""
    name, _, firmware = _SPACE.sub(" ", dmi).partition(", BIOS")
    return _product(name), firmware.strip()


def _product(name: str) -> str:
    kept = _SPACE.sub(" ", _PLACEHOLDERS.sub("", name)).strip(" ,")
    product, board = _split(kept)
    vendor, _, model = product.partition(" ")
    product = model if vendor and model.startswith(vendor) else product
    return f"{product} ({board})" if board else product


def _split(name: str) -> tuple[str, str]:
    """Return product and board, which may have slashes in them; no board where it repeats the product."""
    slashes = [at for at, sign in enumerate(name) if sign == "/"]
    for at in slashes:
        product, board = name[:at].rstrip(" /"), name[at + 1 :].strip()
        if product.endswith(board):
            return product, ""
        if name[:at].endswith(" "):
            return f"{product} {board}", ""
    product, _, board = name.partition("/") if len(slashes) == 1 else (name, "", "")
    return (product.rstrip(), board.strip()) if product else (board.strip(), "")


def kernel_release(text: str) -> str:
    """Return the numbers of a kernel's release (``6.8.0-rc3``): what builders append may name people."""
    found = _RELEASE.match(text)
    return found[0] if found else ""
