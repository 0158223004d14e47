"""Frames, addresses and sizes: arithmetic, parsing and printing.

Addresses and sizes are in bytes, frames in units of 4 KiB.  Intervals are half open everywhere in the
program; only texts that people paste (``[mem 0x0-0xfff]``) have inclusive ends, and their readers convert.
"""

from __future__ import annotations

import re

from xenp2m.errors import UsageError

PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40

_SUFFIXES: dict[str, int] = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40, "P": 50, "E": 60}
_SIZE = re.compile(
    r"(0x[0-9a-f]{1,40}|\d{1,40}(?:\.\d{1,40})?)\s*([KMGTPE]?)(?:iB|B)?", re.IGNORECASE | re.ASCII
)
_ADDRESS_BITS = 64
_NAMES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def pfn_down(address: int) -> int:
    """Return the frame that holds byte ``address``."""
    return address >> PAGE_SHIFT


def pfn_up(address: int) -> int:
    """Return the first frame that starts at or after byte ``address``."""
    return (address + PAGE_SIZE - 1) >> PAGE_SHIFT


def parse_size(text: str, *, default_suffix: str = "") -> int:
    """Parse a size or address in bytes: ``4096``, ``0x1000``, ``512M``, ``1.5G``, ``4GiB``.

    ``default_suffix`` is the unit of a bare decimal number (Xen's ``dom0_mem=`` counts in ``K``).
    Raises UsageError when the text is no size, or is no whole number of bytes.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            "not a size", expected="a number such as 4096, 0x1000, 512M or 1.5G", found=repr(text)
        )
    digits, suffix = match.groups()
    if digits.lower().startswith("0x"):
        return int(digits, 16) << _SUFFIXES[suffix.upper()]
    shift: int = _SUFFIXES[suffix.upper() or default_suffix]
    if "." not in digits:
        return int(digits) << shift
    whole, fraction = digits.split(".")
    scaled = int(whole + fraction) << shift
    value, rest = divmod(scaled, int(10 ** len(fraction)))
    if rest:
        raise UsageError("not a whole number of bytes", found=repr(text))
    return value


def parse_address(text: str) -> int:
    """Parse a byte address as ``parse_size`` does; raises UsageError for one of more than 64 bits too."""
    return _fitting(parse_size(text), "an address", text)


def parse_frame(text: str) -> int:
    """Parse a frame number; raises UsageError for one whose address has more than 64 bits too."""
    frame = parse_size(text)
    _fitting(frame << PAGE_SHIFT, "a frame", text)
    return frame


def _fitting(address: int, what: str, text: str) -> int:
    if address >> _ADDRESS_BITS:
        raise UsageError(
            f"no machine has such {what}", expected=f"at most {_ADDRESS_BITS} address bits", found=text
        )
    return address


def format_size(size: int) -> str:
    """Print a number of bytes in the largest unit that keeps it readable: ``4 KiB``, ``1.5 GiB``.

    The value is exact where two decimals can say it, and else marked with ``~``.
    """
    unit = min(max(size.bit_length() - 1, 0) // 10, len(_NAMES) - 1)
    scale = 1 << (10 * unit)
    if size % scale == 0:
        return f"{size // scale} {_NAMES[unit]}"
    hundredths = size * 100
    text = f"{size / scale:.2f}".rstrip("0").rstrip(".")
    mark = "" if hundredths % scale == 0 else "~"
    return f"{mark}{text} {_NAMES[unit]}"


def format_frames(count: int) -> str:
    """Print a number of frames as the memory that they hold."""
    return format_size(count << PAGE_SHIFT)
