"""The guest's frames up to the end of all RAM, each put under what became of it.

The sets that this is cut by are the p2m, the map that the guest was given, the kernel's own final map and its
balloon regions.  Nothing here follows the steps of memory setup, so that its result can be held against them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from xenp2m.boot.e820 import ADDRESS_MASK, RAM, UNUSABLE, Range, sanitise, unusable_to_ram
from xenp2m.boot.guest import Guest, Origin
from xenp2m.check.account import Account, Line
from xenp2m.check.places import given_map
from xenp2m.check.spans import Span, joined, length, without
from xenp2m.entry import Kind
from xenp2m.mmu.convert import ISA_END, ISA_START
from xenp2m.runs import END_OF_FRAMES
from xenp2m.units import pfn_down, pfn_up


class Fate(Enum):
    """What became of a guest frame: the label and the explanation."""

    RAM = "RAM in use", "RAM in the kernel's map, backed by a machine frame"
    BALLOON = "balloon space (missing)", "the balloon driver may populate these: dom0_mem=max:, maxmem="
    BALLOON_CUT = "balloon space out of reach", "past the end of the kernel's RAM, cut by mem="
    BALLOON_IO = "balloon space that is 1:1", "frames populated there would not be found: the p2m says 1:1"
    DISCARDED = "host RAM discarded", "past what the domain may grow to: unusable, or not in its map"
    OVERFLOW = "host RAM lost when the map was sorted", "overlaps need more entries than this kernel keeps"
    UNUSABLE = "marked unusable", "type 5 in the map that the guest was given"
    EDGE = (
        "partial pages at the edges of RAM",
        "RAM is rounded inwards: a page that is RAM only in part is not used",
    )
    ISA = "low memory reserved (ISA)", "0xa0000-0xfffff is always reserved"
    ISA_RAM = "RAM under the ISA range", "machine frames that the reserved range 0xa0000-0xfffff hides"
    CUT = "RAM cut off by mem=", "backed by machine frames, but past the kernel's own limit"
    STRANDED = (
        "RAM outside of the kernel's map",
        "backed by machine frames that the kernel's map does not show",
    )
    NVS = "ACPI NVS moved here", "firmware's machine frames, entered at other pfns"
    UNBACKED = "RAM without memory", "RAM in the kernel's map that no machine frame backs: using it crashes"
    HOLE = "holes and reserved ranges, 1:1", "not RAM in the map: the device's or firmware's own frames"
    GAP = "holes and reserved ranges, missing", "not RAM in the map, and not made 1:1"

    @property
    def label(self) -> str:
        """The name of the line."""
        return self.value[0]

    @property
    def why(self) -> str:
        """What is behind it."""
        return self.value[1]


BACKED = (Fate.RAM, Fate.ISA_RAM, Fate.CUT, Fate.STRANDED, Fate.NVS)
"""The fates of frames that are RAM in the p2m."""


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames ``[0, end)`` by fate; ``balloon`` are those that the balloon driver counts."""

    end: int
    spans: dict[Fate, list[Span]]
    balloon: tuple[Span, ...]

    def pages(self, *fates: Fate) -> int:
        """Count the frames of some fates."""
        return sum(length(self.spans[fate]) for fate in fates)

    def account(self) -> Account:
        """Return the account of the frames."""
        source = Line(
            "frames", "frames below the end of RAM", self.end, f"pfn 0 to {max(self.end - 1, 0):#x}"
        )
        lines = tuple(Line(fate.name.lower(), fate.label, self.pages(fate), fate.why) for fate in Fate)
        return Account("frames", "The guest's frames", (source,), lines)


def frames_of(guest: Guest) -> Frames:
    """Put every frame below the end of RAM (in the given map, the final map, or the p2m) under its fate."""
    sets = _Sets(guest)
    edges = {0, sets.end, ISA_START, ISA_END, *sets.edges()}
    edges.update(run.pfn for run in guest.p2m.within(0, sets.end))
    if guest.config.mem_limit is not None:
        edges.add(pfn_down(guest.config.mem_limit))
    ordered = sorted(edge for edge in edges if 0 <= edge <= sets.end)
    found: dict[Fate, list[Span]] = {fate: [] for fate in Fate}
    for start, end in pairwise(ordered):
        found[_fate(guest, sets, start)].append((start, end))
    return Frames(sets.end, {fate: joined(spans) for fate, spans in found.items()}, tuple(sets.balloon.spans))


def balloon_frames(guest: Guest) -> list[Span]:
    """Return the frames that the balloon driver counts as ballooned at boot.

    It takes each region from its first whole frame on, for as many whole pages as the region is long, up to
    the end of the kernel's RAM, which mem= lowers (drivers/xen/balloon.c, Linux 3.12 and 6.1).
    """
    limit = max((pfn_down(entry.end) for entry in guest.e820 if entry.is_ram), default=0)
    return joined(
        (first, min(first + pfn_down(end - start), limit))
        for start, end in guest.extra
        if (first := pfn_up(start)) < limit
    )


class _Set:
    """Frames to look up."""

    __slots__ = ("_starts", "spans")

    def __init__(self, spans: Iterable[Span]) -> None:
        self.spans = joined(spans)
        self._starts = [start for start, _ in self.spans]

    def __contains__(self, pfn: int) -> bool:
        index = bisect_right(self._starts, pfn) - 1
        return index >= 0 and pfn < self.spans[index][1]


class _Sets:
    """What the frames are cut by.

    ``given`` is whole RAM of the map that the guest was given, ``partial`` the frames that are RAM in part
    and ``kept`` what the kernel keeps of both when it sorts that map.  ``own`` is the RAM of the final map,
    ``host`` what is backed by given machine frames.
    """

    def __init__(self, guest: Guest) -> None:
        as_given = [(e.start, e.end & ADDRESS_MASK, int(e.type)) for e in given_map(guest)]
        entries = [entry for entry in as_given if entry[0] < entry[1]]
        if guest.config.is_dom0 and guest.rules.unusable_is_ram:
            entries = unusable_to_ram(entries)
        room = len(as_given) if guest.rules.sanitise_to_entry_count else guest.rules.host_map_entries
        sorted_map = sanitise(entries, None)
        limit = min(guest.config.arch.word_mask + 1, END_OF_FRAMES)
        final = [(e.start, e.end, int(e.type)) for e in guest.e820 if e.start < e.end]
        touched = _touched(sorted_map, RAM, limit)
        self.given = _Set(_whole(sorted_map, RAM, limit))
        self.partial = _Set(without(touched, self.given.spans))
        self.unusable = _Set(_touched(sorted_map, UNUSABLE, limit))
        self.kept = _Set(_touched(sanitise(entries, room), RAM, limit))
        self.own = _Set(_whole(final, RAM, limit))
        self.extra = _Set((pfn_up(start), min(pfn_down(end), limit)) for start, end in guest.extra)
        self.balloon = _Set(balloon_frames(guest))
        self.host = _Set((p.start, p.end) for p in guest.placements if p.origin is Origin.HOST)
        backed = [(place.start, place.end) for place in guest.placements]
        ends = [spans[-1][1] for spans in (touched, self.own.spans, backed) if spans]
        self.end = max(ends, default=0)

    def edges(self) -> set[int]:
        """Return every frame at which a set begins or ends."""
        sets = (self.given, self.partial, self.unusable, self.kept)
        own = (self.own, self.extra, self.balloon, self.host)
        return {edge for frames in (*sets, *own) for span in frames.spans for edge in span}


def _whole(entries: Iterable[Range], kind: int, limit: int) -> list[Span]:
    return joined((pfn_up(s), min(pfn_down(e), limit)) for s, e, found in entries if found == kind)


def _touched(entries: Iterable[Range], kind: int, limit: int) -> list[Span]:
    return joined((pfn_down(s), min(pfn_up(e), limit)) for s, e, found in entries if found == kind)


def _fate(guest: Guest, sets: _Sets, pfn: int) -> Fate:
    kind = guest.p2m.entry(pfn).kind
    if kind is Kind.RAM:
        return _backed(guest, sets, pfn)
    if pfn in sets.extra:
        if kind is Kind.IDENTITY:
            return Fate.BALLOON_IO
        return Fate.BALLOON if pfn in sets.balloon else Fate.BALLOON_CUT
    if pfn in sets.own:
        return Fate.UNBACKED
    if ISA_START <= pfn < ISA_END:
        return Fate.ISA
    if pfn in sets.partial:
        return Fate.EDGE
    if pfn in sets.given:
        return Fate.DISCARDED if pfn in sets.kept else Fate.OVERFLOW
    if pfn in sets.unusable:
        return Fate.UNUSABLE
    return Fate.HOLE if kind is Kind.IDENTITY else Fate.GAP


def _backed(guest: Guest, sets: _Sets, pfn: int) -> Fate:
    limit = guest.config.mem_limit
    if pfn in sets.host and pfn not in sets.own:
        return Fate.NVS
    if pfn in sets.own:
        return Fate.RAM
    if ISA_START <= pfn < ISA_END:
        return Fate.ISA_RAM
    if limit is not None and pfn >= pfn_down(limit):
        return Fate.CUT
    return Fate.STRANDED
