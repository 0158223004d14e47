"""``dmidecode``: what firmware says of memory modules and mapped arrays.  There is no memory map in it."""

from __future__ import annotations

import re

from xenp2m.capture.model import Note, Reading, Severity
from xenp2m.capture.text import Text

NAME = "dmidecode"

_RANGE = re.compile(rb"Starting Address: 0x([0-9A-Fa-f]+)\s+[^\n]*Ending Address: 0x([0-9A-Fa-f]+)")
_HANDLE = re.compile(rb"Handle 0x[0-9A-Fa-f]{4}, DMI type \d+")
_SAMPLE = 1 << 16


def matches(text: Text) -> bool:
    """Whether the text starts like dmidecode's output."""
    return _HANDLE.search(text.data, 0, _SAMPLE) is not None


def read(text: Text, boot: int | None) -> Reading:
    """Say what the text lacks: it gives no fact that a prediction needs."""
    del boot
    ranges = [(int(m[1], 16), int(m[2], 16) + 1) for m in _RANGE.finditer(text.data)]
    arrays = ", ".join(f"{low:#x}-{high - 1:#x}" for low, high in dict.fromkeys(ranges))
    what = f"it names the installed memory ({arrays})" if ranges else "it names no addresses"
    lack = f"dmidecode has no memory map and no BARs: {what}, nothing reserved; add dmesg or /proc/iomem"
    at = _HANDLE.search(text.data)
    return Reading(
        format=NAME, notes=(Note(Severity.LACK, lack, text.where(at.start() if at else 0), "map"),)
    )
