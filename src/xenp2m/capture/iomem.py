"""``/proc/iomem`` (kernel/resource.c): the resource tree, ``start-end : name`` with inclusive hex ends.

Its RAM, reserved and ACPI ranges are the kernel's e820; ranges named like ``0000:3b:00.0`` are memory
resources of PCI functions, ``PCI Bus ...`` are bridge windows.  Indentation is not needed to read the tree:
mail programs eat it, and containment says the same.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from xenp2m.capture.maplines import CUT, checked_range, make_entry
from xenp2m.capture.model import FoundMap, Note, Reading, Severity
from xenp2m.capture.text import QUOTE, SMALL, Text
from xenp2m.machine import Bar, E820Entry, E820Type, MapSource, Window, parse_bdf

NAME = "/proc/iomem"
_MARKERS = (b" : System RAM", b" : PCI Bus ", b" : 0000:")

_LINE = re.compile(QUOTE + rb"([0-9a-f]{8,})-([0-9a-f]{8,}) : ([^\n]+)", re.MULTILINE)
_BDF = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_TYPES = {
    "system ram": E820Type.RAM,
    "reserved": E820Type.RESERVED,
    "device reserved": E820Type.RESERVED,
    "unknown e820 type": E820Type.RESERVED,
    "acpi tables": E820Type.ACPI,
    "acpi non-volatile storage": E820Type.NVS,
    "unusable memory": E820Type.UNUSABLE,
    "persistent memory": E820Type.PMEM,
    "persistent memory (legacy)": E820Type.PRAM,
    "soft reserved": E820Type.SOFT_RESERVED,
}
_PART = re.compile(QUOTE + rb"[0-9a-f]{1,16}-?[0-9a-f]{0,16} ?:? ?$")
_FAR = 8


class _Resource(NamedTuple):
    at: int
    start: int
    end: int
    name: str


class _Listing(NamedTuple):
    """One listing: a text may hold several, of two machines or of before and after."""

    resources: list[_Resource]

    @property
    def at(self) -> int:
        return self.resources[0].at


def matches(text: Text) -> bool:
    """Whether the text holds lines of this format."""
    likely = len(text.data) <= SMALL or any(marker in text for marker in _MARKERS)
    return likely and _LINE.search(text.data) is not None


def read(text: Text, boot: int | None) -> Reading:
    """Read the longest listing of a text, of equals the last; raises FormatError for an impossible range."""
    del boot
    listings = _listings(text)
    notes: list[Note] = []
    if not listings:
        return Reading(format=NAME)
    chosen = _choose(text, listings, notes)
    if all(r.start == 0 and r.end == 0 for r in chosen.resources):
        lack = "every address in this /proc/iomem is zero: it was read without privilege; read it as root"
        return Reading(format=NAME, notes=(Note(Severity.LACK, lack, text.where(chosen.at), "map"),))
    entries, bars, windows, nested = _walk(text, chosen)
    where = text.where(chosen.at)
    if nested:
        told = (
            f"{nested} map ranges lie inside other resources and are left out of the map: it is the top level"
        )
        notes.append(Note(Severity.INFO, told, where))
    if not any(entry.is_ram for entry in entries):
        notes.append(
            Note(Severity.LACK, "this /proc/iomem has no System RAM: it is not a whole map", where, "map")
        )
    if _is_cut(text, chosen.resources[-1]):
        notes.append(Note(Severity.WARNING, CUT, where))
    found = (FoundMap(source=MapSource.IOMEM, entries=tuple(entries), where=where),) if entries else ()
    return Reading(format=NAME, maps=found, bars=tuple(bars), windows=tuple(windows), notes=tuple(notes))


def _listings(text: Text) -> list[_Listing]:
    listings: list[_Listing] = []
    last = 0
    for match in _LINE.finditer(text.data):
        resource = _Resource(
            match.start(), int(match[1], 16), int(match[2], 16), match[3].decode("utf-8", "replace").strip()
        )
        near = text.data.count(b"\n", last, match.start()) <= _FAR
        restarts = listings and resource.start == 0 and resource.end and listings[-1].resources[-1].start > 0
        if not listings or not near or restarts:
            listings.append(_Listing([]))
        listings[-1].resources.append(resource)
        last = match.end()
    return listings


def _choose(text: Text, listings: list[_Listing], notes: list[Note]) -> _Listing:
    if len(listings) == 1:
        return listings[0]
    chosen = max(enumerate(listings), key=lambda pair: (len(pair[1].resources), pair[0]))[1]
    at = listings.index(chosen) + 1
    differ = {tuple(r[1:] for r in listing.resources) for listing in listings}
    what = "equal" if len(differ) == 1 else "different"
    notes.append(
        Note(
            Severity.INFO,
            f"{len(listings)} {what} /proc/iomem listings; number {at} is used",
            text.where(chosen.at),
        )
    )
    return chosen


def _is_cut(text: Text, last: _Resource) -> bool:
    """Whether the text ends within a line of the listing: in its range, or in a name that is a map's."""
    end = text.line_at(len(text.data) - 1)
    if not text.is_cut or end.start != last.at:
        return text.is_cut and end.start > last.at and _PART.match(end.text) is not None
    name = last.name.lower()
    return name not in _TYPES and any(known.startswith(name) for known in _TYPES)


def _walk(text: Text, listing: _Listing) -> tuple[list[E820Entry], list[Bar], list[Window], int]:
    entries: list[E820Entry] = []
    bars: dict[tuple[str, int, int], Bar] = {}
    windows: dict[tuple[str, int, int], Window] = {}
    nested = 0
    open_to: list[tuple[int, int]] = []
    for at, start, last, name in listing.resources:
        while open_to and open_to[-1][0] < start:
            open_to.pop()
        widest = open_to[-1][1] if open_to else -1
        inside = last <= widest
        kind = _TYPES.get(name.lower())
        if kind is not None:
            nested += inside
            if not inside:
                entries.append(make_entry(text, at, start, last + 1, kind))
        elif _BDF.fullmatch(name) and start:
            low, high = checked_range(text, at, start, last + 1)
            bars.setdefault((name, start, last), Bar(parse_bdf(name), None, low, high - low))
        elif name.startswith("PCI Bus ") and start <= last:
            bus = name.removeprefix("PCI Bus ")
            windows.setdefault((bus, start, last), Window(bus, *checked_range(text, at, start, last + 1)))
        open_to.append((last, max(last, widest)))
    return entries, list(bars.values()), list(windows.values()), nested
