"""The style sheets and scripts of pages: package data, put together in a fixed order, no build step."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files

from xenp2m.draw.svg import Scheme, inline_rules, variables

BASE_STYLES = ("base.css",)
BASE_SCRIPTS = ("elements.js", "theme.js")
MAP_STYLES = ("map.css", "report.css")
MAP_SCRIPTS = (
    "numbers.js",
    "layer.js",
    "scale.js",
    "view.js",
    "ruler.js",
    "lanes.js",
    "bars.js",
    "map.js",
    "gestures.js",
    "readout.js",
    "pte.js",
    "search.js",
    "link.js",
    "report.js",
)


def text_of(package: str, name: str) -> str:
    """Return an asset of a package: the file ``assets/name`` in it."""
    return files(package).joinpath("assets", name).read_text(encoding="utf-8")


def joined(assets: Sequence[tuple[str, str]]) -> str:
    """Return assets, each as (package, name), one after the other, the name of each in a comment."""
    return "\n".join(f"/* {name} */\n{text_of(package, name)}" for package, name in assets)


def colours() -> str:
    """Return the colours of pages: light, dark where the reader prefers it, and as the switch says."""
    light, dark = variables(Scheme.LIGHT), variables(Scheme.DARK)
    return (
        f":root{{color-scheme:light;{light}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root:not([data-theme=light])"
        f"{{color-scheme:dark;{dark}}}}}"
        f"@media screen{{:root[data-theme=dark]{{color-scheme:dark;{dark}}}}}"
        f"{inline_rules()}"
    )


def hash_of(text: str) -> str:
    """Return the source expression by which a content security policy allows exactly this text."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
