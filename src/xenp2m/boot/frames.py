"""The guest's p2m while memory setup changes it: ranges of frames, whatever their number."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from enum import IntEnum

from xenp2m.arch import Arch
from xenp2m.boot.guest import Origin, Placement
from xenp2m.entry import Kind
from xenp2m.runs import Run, RunMap


class Content(IntEnum):
    """What a range of frames holds; the first three are RAM and have a base."""

    BUILDER = 0
    FRESH = 1
    HOST = 2
    IDENTITY = 3
    MISSING = 4


BUILDER, FRESH, HOST, IDENTITY, MISSING = map(int, Content)

_ORIGINS = {BUILDER: Origin.BUILDER, FRESH: Origin.FRESH, HOST: Origin.HOST}

Piece = tuple[int, int, int, int]
"""Frames ``[start, end)``, their content and shift: the base of a RAM frame is its pfn plus the shift."""


class Frames:
    """The p2m of a guest as ranges.

    Frames ``[0, nr_pages)`` start as the builder's RAM, the rest below ``end`` as missing.  Frames at and
    past ``end`` are ``beyond`` and never change.  Cost follows the number of ranges.
    """

    __slots__ = ("_starts", "_values", "end")

    def __init__(self, nr_pages: int, end: int, beyond: int) -> None:
        self.end = end
        self._starts = [0, end]
        self._values = [(BUILDER, 0), (beyond, 0)]
        if nr_pages < end:
            self._starts.insert(1, nr_pages)
            self._values.insert(1, (MISSING, 0))

    def put(self, start: int, end: int, content: int, shift: int = 0) -> None:
        """Give the frames ``[start, end)`` a content; those past the end of the map are left alone."""
        end = min(end, self.end)
        if start >= end:
            return
        starts = self._starts
        values = self._values
        low = bisect_left(starts, start)
        high = bisect_left(starts, end, low)
        if starts[high] == end:
            starts[low:high] = (start,)
            values[low:high] = ((content, shift),)
        else:
            after = values[high - 1]
            starts[low:high] = (start, end)
            values[low:high] = ((content, shift), after)

    def pieces(self, start: int, end: int) -> list[Piece]:
        """Return what the frames ``[start, end)`` hold, cut to them; those past the end included."""
        starts = self._starts
        found = []
        index = bisect_right(starts, start) - 1
        last = len(starts) - 1
        while start < end:
            stop = end if index == last else min(end, starts[index + 1])
            content, shift = self._values[index]
            found.append((start, stop, content, shift))
            start = stop
            index += 1
        return found

    def resize(self, end: int, content: int) -> None:
        """Move the end of the map; frames that join it hold ``content``."""
        beyond = self._values.pop()
        old = self._starts.pop()
        if end > old:
            self._starts.append(old)
            self._values.append((content, 0))
        else:
            keep = bisect_left(self._starts, end)
            del self._starts[keep:], self._values[keep:]
        self._starts.append(end)
        self._values.append(beyond)
        self.end = end

    def run_map(self, arch: Arch) -> RunMap:
        """Return the map; RAM has no machine frames, except given ones."""
        runs = []
        starts = self._starts
        for index, (content, shift) in enumerate(self._values[:-1]):
            start = starts[index]
            if content == MISSING:
                continue
            kind = Kind.IDENTITY if content == IDENTITY else Kind.RAM
            mfn = start + shift if content == HOST else None
            runs.append(Run(start, starts[index + 1] - start, kind, mfn))
        beyond = Kind.IDENTITY if self._values[-1][0] == IDENTITY else Kind.MISSING
        return RunMap(arch, self.end, beyond, runs)

    def placements(self) -> tuple[Placement, ...]:
        """Say where the machine frames of the RAM come from, in pfn order, neighbours joined."""
        found: list[Placement] = []
        starts = self._starts
        joins = (-1, 0)
        for index, value in enumerate(self._values[:-1]):
            content, shift = value
            if content <= HOST:
                start, end = starts[index], starts[index + 1]
                if value == joins and found[-1].end == start:
                    found[-1] = found[-1]._replace(end=end)
                else:
                    found.append(Placement(start, end, _ORIGINS[content], start + shift))
                joins = value
        return tuple(found)
