"""What a frame is on the machine, beside what it is in the p2m: the reason behind a missing or 1:1 frame."""

from __future__ import annotations

from bisect import bisect_right
from enum import Enum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xenp2m.arch import Arch
from xenp2m.boot.guest import Guest, OpKind
from xenp2m.entry import NO_MFN, encode, encode_array
from xenp2m.machine import E820Entry, E820Type, type_name
from xenp2m.p2m.m2p import M2p, machine_to_phys_nr
from xenp2m.rules import Structure
from xenp2m.runs import END_OF_FRAMES, RunMap
from xenp2m.units import MIB, pfn_down, pfn_up

M2P_PIECE_BYTES = 2 * MIB
"""Xen has memory behind whole pieces of this size of the M2P, or none."""


class Place(Enum):
    """What lies at a frame, as the map that the guest was given has it."""

    RAM = "RAM in the E820 map"
    BALLOON = "balloon space"
    ENTRY = "not RAM in the E820 map"
    HOLE = "E820 hole"
    REFUSED = "E820 hole or reserved range that reaches past the p2m"
    PAST_E820 = "past the end of the E820 map"
    PAST_P2M = "past the end of the p2m"


class Spot(NamedTuple):
    """Frames ``[start, end)`` of one place; ``entry`` is the map's entry there, None where it has none."""

    place: Place
    start: int
    end: int
    entry: E820Entry | None

    @property
    def text(self) -> str:
        """The place, with the entry's type where it has one."""
        if self.place is Place.ENTRY and self.entry is not None:
            return f"{type_name(self.entry.type)} in the E820 map"
        return self.place.value


def given_map(guest: Guest) -> tuple[E820Entry, ...]:
    """Return the map that the kernel was given; its own final map when the hypercall gave none."""
    return guest.config.e820 or guest.e820


def spot_at(guest: Guest, pfn: int) -> Spot:
    """Say what lies at a frame, and how far that goes.

    Where entries overlap, the one that is not RAM counts, and frames that are RAM only in part do not count
    as RAM (arch/x86/xen/setup.c rounds RAM inwards and everything else outwards).
    """
    global _last  # noqa: PLW0603 - a machine's BARs are asked for one after the other
    spots = _last
    if spots is None or spots.guest is not guest:
        spots = _last = _Spots(guest)
    return spots.at(pfn)


class _Spots:
    """The places of one guest: the edges between them once, and each place when it is first asked for."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        entries = given_map(guest)
        self._limit = guest.config.arch.max_p2m_pfn
        self._tree = guest.rules.structure is Structure.TREE
        self._end_of_map = max((pfn_down(entry.end) for entry in entries), default=0)
        self._extra = [(pfn_up(start), pfn_down(end)) for start, end in guest.extra]
        self._ranges = [found for entry in entries if (found := _frames_of(guest, entry))]
        edges = {0, self._end_of_map}
        edges.update(edge for extent in self._extra for edge in extent)
        edges.update(edge for first, last, _, _ in self._ranges for edge in (first, last))
        self._edges = sorted(edges)
        self._refused: list[tuple[int, int]] = []
        if self._tree and not guest.rules.clamp_identity_range:
            self._refused = [
                (op.start, op.end) for op in guest.ops if op.kind is OpKind.IDENTITY and op.end >= self._limit
            ]
        self._known: dict[int, Spot] = {}

    def at(self, pfn: int) -> Spot:
        """Return the place of a frame."""
        if self._tree and pfn >= self._limit:
            return Spot(Place.PAST_P2M, self._limit, END_OF_FRAMES, None)
        if pfn >= self._end_of_map:
            end = self._limit if self._tree else END_OF_FRAMES
            return Spot(Place.PAST_E820, self._end_of_map, end, None)
        index = bisect_right(self._edges, pfn)
        found = self._known.get(index)
        if found is None:
            found = self._known[index] = self._between(index, pfn)
        if found.place in (Place.RAM, Place.BALLOON):
            return found
        return self._not_ram(found, pfn)

    def _between(self, index: int, pfn: int) -> Spot:
        """Return the place between two edges, refused ranges and the end of the p2m left out."""
        for first, last in self._extra:
            if first <= pfn < last:
                return Spot(Place.BALLOON, first, last, None)
        low, high = self._edges[index - 1], self._edges[index]
        found: E820Entry | None = None
        is_ram = False
        for first, last, ram, entry in self._ranges:
            if first <= pfn < last and (found is None or not ram):
                found, is_ram = entry, ram
        if found is None:
            return Spot(Place.HOLE, low, high, None)
        return Spot(Place.RAM if is_ram else Place.ENTRY, low, high, found)

    def _not_ram(self, found: Spot, pfn: int) -> Spot:
        low, high = found.start, found.end
        for start, end in self._refused:
            if start <= pfn < end:
                return Spot(Place.REFUSED, max(low, start), min(high, self._limit), found.entry)
            low, high = (max(low, start), high) if start <= pfn else (low, min(high, start))
        return Spot(found.place, low, min(high, self._limit) if self._tree else high, found.entry)


_last: _Spots | None = None


def _frames_of(guest: Guest, entry: E820Entry) -> tuple[int, int, bool, E820Entry] | None:
    """Return the whole frames of an entry of RAM, or all that another touches; None where that is none."""
    unusable = guest.rules.unusable_is_ram and guest.config.is_dom0 and entry.type == E820Type.UNUSABLE
    ram = entry.is_ram or unusable
    first, last = pfn_down(entry.start), pfn_up(entry.end)
    if ram:
        first, last = pfn_up(entry.start), pfn_down(entry.end)
    return (first, last, ram, entry) if first < last else None


class KindsP2m:
    """A predicted p2m to look up, where only the kinds of RAM and foreign frames are known.

    A machine frame that is not known reads as frame 0, so that such words are valid; callers show no frame
    that comes from one.
    """

    auto_translated = False

    def __init__(self, runs: RunMap) -> None:
        self.runs = runs
        self.arch: Arch = runs.arch

    def get(self, pfn: int) -> int:
        """Return the raw word of one frame, a stand-in where its machine frame is not known."""
        kind, mfn = self.runs.entry(pfn)
        return encode(kind, mfn or 0, self.arch)

    def get_array(self, pfns: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the raw words (uint64) of many frames (uint64, any shape), in their shape."""
        kinds, mfns = self.runs.lookup(pfns)
        mfns[mfns == np.uint64(NO_MFN)] = 0
        return encode_array(kinds, mfns, self.arch)


def predicted_m2p(guest: Guest) -> M2p:
    """Return the M2P as far as the machine's map tells: where it ends, and where it has holes.

    dom0's ends with the host's RAM (a Xen without memory hotplug); any other domain sees the whole window.
    A domU that was given no host map is taken to run on a host whose only RAM is its own.
    """
    config = guest.config
    ram = [(pfn_down(entry.start), pfn_up(entry.end)) for entry in given_map(guest) if entry.is_ram]
    last = max((end for _, end in ram), default=0)
    nr = machine_to_phys_nr(config.arch, dom0_max_page=last if config.is_dom0 else None)
    return M2p.of_host(config.arch, nr, ram)


def hole_at(m2p: M2p, mfn: int) -> bool:
    """Whether reading the M2P word of ``mfn`` faults."""
    return mfn < m2p.nr and m2p.read(mfn) is None
