"""What a running kernel counts of its memory: /proc/meminfo, the balloon driver, the boot log's Memory line.

The balloon driver's figures are read as ``grep -r . /sys/devices/system/xen_memory`` prints them, or any
lines ``.../current_kb: N`` (drivers/xen/xen-balloon.c).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from xenp2m.capture.model import MemoryFigures, Reading
from xenp2m.capture.text import QUOTE, Text

NAME = "memory figures"

_BALLOON = re.compile(
    QUOTE + rb"\S{0,120}?xen_memory\S{0,40}?/(current_kb|target_kb|low_kb|high_kb):[ \t]*(\d{1,15})[ \t]*$"
)
_MEMINFO = re.compile(QUOTE + rb"(MemTotal|DirectMap\w{1,4}):[ \t]+(\d{1,15}) kB[ \t]*$")
_BOOT = re.compile(rb"(?:^|[ \t])Memory: \d{1,15}[kK]/(\d{1,15})[kK] available \(")


def matches(text: Text) -> bool:
    """Whether the text holds any of the figures; of boot logs, only Xen's guests are asked."""
    return any(True for _ in _figures(text))


def read(text: Text, boot: int | None) -> Reading:
    """Read the figures; a Memory line counts only where the text has one, so that its boot is certain."""
    del boot
    found: dict[str, int] = {}
    present = set()
    for name, number in _figures(text):
        if name == "present_kb":
            present.add(number)
        elif name == "direct_map_kb":
            found[name] = found.get(name, 0) + number
        else:
            found.setdefault(name, number)
    if len(present) == 1:
        found["present_kb"] = present.pop()
    return Reading(format=NAME, memory=MemoryFigures(**found) if found else None)


def _figures(text: Text) -> Iterator[tuple[str, int]]:
    """Yield every figure of the text with its name in MemoryFigures."""
    for line in text.lines_with(b"xen_memory"):
        if match := _BALLOON.search(line.text):
            yield match[1].decode(), int(match[2])
    for line in text.lines_with(b"MemTotal:", b"DirectMap"):
        if match := _MEMINFO.search(line.text):
            yield "mem_total_kb" if match[1] == b"MemTotal" else "direct_map_kb", int(match[2])
    for line in text.lines_with(b"Memory: ") if b"Xen" in text else ():
        if match := _BOOT.search(line.text):
            yield "present_kb", int(match[1])
