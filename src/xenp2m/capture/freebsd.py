"""FreeBSD's verbose boot log: memory (sys/amd64/amd64/machdep.c) and BARs (sys/dev/pci/pci.c).

``Physical memory chunk(s)`` lists the RAM that the kernel took, with inclusive ends; reserved and ACPI ranges
are not in it, so it is no memory map.  ``SMAP type=01 base=... len=...`` lines, which few logs hold, are
firmware's map.  ``map[10]: type Memory, range 64, base 0x..., size 14`` gives the register's offset and the
base-2 logarithm of the BAR's size.
"""

from __future__ import annotations

import re

from xenp2m.capture.maplines import checked_range, make_entry
from xenp2m.capture.model import FoundMap, Note, Reading, Severity
from xenp2m.capture.text import HEAD, Text
from xenp2m.machine import Bar, E820Type, Machine, MapSource, format_bdf
from xenp2m.units import format_size

NAME = "FreeBSD boot log"
_MARKERS = (b"Physical memory chunk(s):", b"]: type Memory, range ", b"]: type Prefetchable Memory, range ")

_CHUNK = re.compile(rb"\b0x([0-9a-f]{8,}) - 0x([0-9a-f]{8,}), \d+ bytes")
_SMAP = re.compile(
    rb"SMAP type=([0-9a-f]{1,8}),? +(?:xattr=\w+,? +)?base=(?:0x)?([0-9a-f]+),? +len=(?:0x)?([0-9a-f]+)"
)
_PCI = re.compile(
    rb"domain=(\d{1,5}), bus=(\d{1,3}), slot=(\d{1,2}), func=(\d)\b"
    rb"|map\[([0-9a-f]{2})\]: type (Prefetchable )?Memory, range +(32|64), base (?:0x)?([0-9a-f]+),"
    rb" size +(\d{1,2}),"
)
_CPU = re.compile(
    rb'Origin="?(GenuineIntel|AuthenticAMD|HygonGenuine)"? [^\n]{0,80}?Family=(?:0x)?([0-9a-f]+)'
)
_VENDORS = {b"GenuineIntel": "Intel", b"AuthenticAMD": "AMD", b"HygonGenuine": "Hygon"}


def matches(text: Text) -> bool:
    """Whether the text holds lines of this format."""
    return any(marker in text for marker in _MARKERS)


def read(text: Text, boot: int | None) -> Reading:
    """Read the log; raises FormatError for an address over 64 bits."""
    del boot
    found, lack = _memory(text)
    cpu = _CPU.search(text.data)
    return Reading(
        format=NAME,
        maps=(found,) if found.entries else (),
        bars=tuple(_bars(text)),
        facts=Machine(
            cpu_vendor=_VENDORS[cpu[1]] if cpu else None, cpu_family=int(cpu[2], 16) if cpu else None
        ),
        notes=(Note(Severity.LACK, lack, found.where, "map"),) if lack else (),
    )


def _memory(text: Text) -> tuple[FoundMap, str]:
    """Return firmware's map or else the chunks of RAM of the last boot, and what that lacks."""
    header = max(text.data.rfind(_MARKERS[0]), 0)
    where = text.where(header)
    entries = []
    for match in _SMAP.finditer(text.data, max(header - HEAD, 0)):
        low, size = int(match[2], 16), int(match[3], 16)
        entries.append(make_entry(text, match.start(), low, low + size, int(match[1], 16)))
    if entries:
        return FoundMap(source=MapSource.FIRMWARE, entries=tuple(dict.fromkeys(entries)), where=where), ""
    end = text.data.find(b"avail memory", header)
    for match in _CHUNK.finditer(text.data, header, end if end >= 0 else header + HEAD):
        low, high = int(match[1], 16), int(match[2], 16) + 1
        entries.append(make_entry(text, match.start(), low, high, int(E820Type.RAM)))
    ram = format_size(sum(entry.size for entry in entries))
    what = f"{len(entries)} chunks of RAM ({ram})" if entries else "no memory"
    lack = f"FreeBSD lists {what}, not firmware's map with its other ranges; boot Linux and add its dmesg"
    return FoundMap(source=MapSource.PHYSMEM, entries=tuple(entries), where=where), lack


def _bars(text: Text) -> list[Bar]:
    bars: dict[tuple[str, int], Bar] = {}
    bdf = ""
    for match in _PCI.finditer(text.data):
        if match[1]:
            bdf = format_bdf(int(match[1]), int(match[2]), int(match[3]), int(match[4]))
            continue
        start, shift = int(match[8], 16), int(match[9])
        if not bdf or not start or shift > 63:
            continue
        offset = int(match[5], 16)
        index = 6 if offset == 0x30 else (offset - 0x10) // 4
        low, high = checked_range(text, match.start(), start, start + (1 << shift))
        bars[bdf, index] = Bar(bdf, index, low, high - low, match[7] == b"64", match[6] is not None)
    return list(bars.values())
