"""``/sys/bus/pci/devices/*/resource`` (drivers/pci/pci-sysfs.c): ``start end flags`` a line, inclusive ends.

Each function's lines follow a line ``device 0000:00:02.0 vendor ... device ... class 0x...``, or each line
starts with its path, as ``grep . /sys/bus/pci/devices/*/resource`` prints it.  Lines are numbered as Linux
numbers resources: 0 to 5 BARs, 6 the ROM, then SR-IOV BARs, then the windows of a bridge.
"""

from __future__ import annotations

import re

from xenp2m.capture.maplines import checked_range
from xenp2m.capture.model import Reading
from xenp2m.capture.text import QUOTE, Text
from xenp2m.machine import Bar, Window, parse_bdf

NAME = "PCI resource files"
MARKERS = (b" vendor 0x", b"/resource:0x")

_ROW = rb"(0x[0-9a-f]{16}) (0x[0-9a-f]{16}) (0x[0-9a-f]{16})"
_LINE = re.compile(
    QUOTE + rb"(?:device ([0-9a-f:.]+) vendor 0x[0-9a-f]+ device 0x[0-9a-f]+ class (0x[0-9a-f]+)"
    rb"|(?:(?:\S{0,120}/)?([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])/resource:)?" + _ROW + rb")[ \t]*$",
    re.MULTILINE,
)
_MEMORY, _PREFETCH, _64BIT, _DISABLED, _UNSET = 0x200, 0x2000, 0x100000, 0x10000000, 0x20000000
_ROM, _ROM_SHADOW, _BRIDGE_RESOURCES = 6, 0x2, 13


def matches(text: Text) -> bool:
    """Whether the text is such a dump."""
    return any(marker in text for marker in MARKERS) and _LINE.search(text.data) is not None


def read(text: Text, boot: int | None) -> Reading:
    """Read the dump; raises FormatError for a range that cannot be."""
    del boot
    bars: list[Bar] = []
    windows: list[Window] = []
    bdf, is_bridge, index = "", False, 0
    for match in _LINE.finditer(text.data):
        if match[1] is not None:
            bdf, is_bridge, index = (
                parse_bdf(match[1].decode()),
                match[2].startswith((b"0x0604", b"0x0607")),
                0,
            )
            continue
        if match[3] is not None and match[3].decode() != bdf:
            bdf, is_bridge, index = match[3].decode(), False, 0
        number, index = index, index + 1
        start, last, flags = (int(match[which], 16) for which in (4, 5, 6))
        if not bdf or not flags & _MEMORY or flags & (_DISABLED | _UNSET) or start == 0 or last < start:
            continue
        if number == _ROM and flags & _ROM_SHADOW:
            continue  # a copy of the ROM in RAM, no place of its own on the bus
        size = checked_range(text, match.start(), start, last + 1)[1] - start
        if number >= _BRIDGE_RESOURCES or (is_bridge and number > 6):
            windows.append(Window(bdf, start, last + 1))
        else:
            bars.append(Bar(bdf, number, start, size, bool(flags & _64BIT), bool(flags & _PREFETCH)))
    return Reading(format=NAME, bars=tuple(bars), windows=tuple(windows))
