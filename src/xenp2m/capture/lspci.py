"""``lspci -v``, ``-vv``, ``-vvv``, with or without ``-nn`` and ``-xxx`` (pciutils, lspci.c and ls-caps.c).

``Region N: Memory at ADDRESS (64-bit, prefetchable) [size=16M]`` under the line of its function; ``-v`` alone
leaves out ``Region N:``.  Addresses are hex without 0x, sizes in units of 1024.  The BARs inside the SR-IOV
capability are printed without a size, so they cannot be placed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from xenp2m.capture.maplines import checked_range
from xenp2m.capture.model import Note, Reading, Severity
from xenp2m.capture.text import QUOTE, Text
from xenp2m.machine import Bar, Window, parse_bdf
from xenp2m.units import parse_size

NAME = "lspci"
_MARKERS = (b"Memory at ", b"emory behind bridge: ")

_LINE = re.compile(
    QUOTE
    + rb"(?:((?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[01][0-9a-f]\.[0-7]) +(?=[^\n:]+: |[0-9a-f]{4}: )"
    + rb"|(Capabilities:[^\n]*)"
    + rb"|(?:Region (\d): *)?(\[virtual\] )?Memory at ([0-9a-f]+|<[^>\n]+>) \(([^)]{0,80})\)([^\n]*)"
    + rb"|(\[virtual\] )?Expansion ROM at ([0-9a-f]+|<[^>\n]+>)([^\n]*)"
    + rb"|(?:Prefetchable memory|Memory) (?:behind bridge|window \d): ([0-9a-f]+)-([0-9a-f]+)([^\n]*))",
    re.MULTILINE,
)
_SURE = re.compile(rb"Memory at (?:[0-9a-f]+|<[a-z0-9-]+>) \(|emory behind bridge: [0-9a-f]")
_SIZE = re.compile(rb"\[size=(\d{1,15}[KMGTP]?)\]")
_BROKEN = re.compile(rb"\n(?:[ \t]{0,8}[>|]){0,16}[ \t]{0,64}(\[[^\n]*)")
"""The rest of a region that a mail program has put on a line of its own."""
_BEFORE = 1 << 16
_LEGACY = 1 << 20


@dataclass
class _Listing:
    text: Text
    bars: dict[tuple[str, int | None, int], Bar] = field(default_factory=dict)
    moved: set[tuple[str, int | None, int]] = field(default_factory=set)
    windows: list[Window] = field(default_factory=list)
    unplaced: int = 0
    without_size: int = 0

    def add(self, at: int, bdf: str, index: int | None, address: bytes, flags: bytes, rest: bytes) -> None:
        """Take one memory region of a function."""
        if address.startswith(b"<") or not int(address, 16):
            self.unplaced += 1
            return
        size = _SIZE.search(rest)
        if size is None:
            self.without_size += 1
            return
        start = int(address, 16)
        if b"[virtual]" in rest and start < _LEGACY:
            # Not a register: ports of a legacy IDE function, or the VGA ROM's copy in RAM.
            self.unplaced += 1
            return
        low, high = checked_range(self.text, at, start, start + parse_size(size[1].decode()))
        is_64bit, prefetchable = b"64-bit" in flags, b"prefetchable" in flags and b"non-pref" not in flags
        register = (bdf, index, start if index is None else 0)
        if register in self.bars and self.bars[register].start != start:
            self.moved.add(register)
        self.bars[register] = Bar(bdf, index, low, high - low, is_64bit, prefetchable)


def matches(text: Text) -> bool:
    """Whether the text holds lines of this format."""
    return any(marker in text for marker in _MARKERS) and _SURE.search(text.data) is not None


def read(text: Text, boot: int | None) -> Reading:
    """Read the functions of a listing; raises FormatError for an address over 64 bits."""
    del boot
    listing, bdf, in_sriov = _Listing(text), "", False
    start = min(at for marker in _MARKERS if (at := text.data.find(marker)) >= 0)
    for match in _LINE.finditer(text.data, max(text.line_at(start).start - _BEFORE, 0)):
        if match[1]:
            bdf, in_sriov = parse_bdf(match[1].decode()), False
        elif match[2]:
            in_sriov = b"SR-IOV" in match[2] or b"Single Root I/O" in match[2]
        elif not bdf:
            continue
        elif match[5]:
            if in_sriov and not match[5].startswith(b"<"):
                listing.without_size += 1
            elif not in_sriov:
                index = int(match[3]) if match[3] else None
                broken = _BROKEN.match(text.data, match.end())
                rest = (match[4] or b"") + match[7] + (broken[1] if broken else b"")
                listing.add(match.start(), bdf, index, match[5], match[6], rest)
        elif match[9]:
            listing.add(match.start(), bdf, 6, match[9], b"", (match[8] or b"") + match[10])
        elif b"[disabled]" not in match[13] and int(match[11], 16) <= int(match[12], 16):
            low, high = checked_range(text, match.start(), int(match[11], 16), int(match[12], 16) + 1)
            listing.windows.append(Window(bdf, low, high))
    # With -v and again with -vv: the same regions, without and with their registers.
    named = {(bar.bdf, bar.start) for bar in listing.bars.values() if bar.index is not None}
    bars = (b for b in listing.bars.values() if b.index is not None or (b.bdf, b.start) not in named)
    return Reading(
        format=NAME,
        bars=tuple(bars),
        windows=tuple(listing.windows),
        notes=tuple(_notes(text, start, listing)),
    )


def _notes(text: Text, start: int, listing: _Listing) -> list[Note]:
    where = text.where(start)
    lack = "lspci shows no memory map: add dmesg (its first lines), Xen's console or /proc/iomem read as root"
    notes = [Note(Severity.LACK, lack, where, "map")]
    if listing.moved:
        text_ = f"{len(listing.moved)} registers stand at two places in this lspci; the last counts"
        notes.append(Note(Severity.WARNING, text_, where))
    if listing.without_size:
        text_ = (
            f"{listing.without_size} regions without a size (SR-IOV, or lspci without sysfs) cannot be placed"
        )
        notes.append(Note(Severity.INFO, text_, where))
    if listing.unplaced:
        notes.append(Note(Severity.INFO, f"{listing.unplaced} regions have no address of their own", where))
    return notes
