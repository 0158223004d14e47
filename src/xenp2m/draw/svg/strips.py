"""Maps as strips: each place has the kind of most frames there, small pieces of other kinds below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xenp2m.draw.shares import UNTOLD, frames_by_kind, most
from xenp2m.draw.svg.colours import role_of
from xenp2m.draw.svg.legend import Swatch
from xenp2m.draw.svg.pen import Pen
from xenp2m.draw.svg.ruler import Ruler
from xenp2m.entry import Kind
from xenp2m.machine import E820Entry, E820Type
from xenp2m.runs import Ambiguous, RunMap
from xenp2m.units import PAGE_SHIFT, pfn_down


class Stretch(NamedTuple):
    """Columns [start, end) that have the same item."""

    start: int
    end: int
    item: int


class Strip:
    """One map over the columns of an axis."""

    def __init__(self, frame_map: RunMap, ruler: Ruler, unknown: Sequence[Ambiguous] = ()) -> None:
        self._ruler = ruler
        self._end = frame_map.end_pfn << PAGE_SHIFT
        counts = frames_by_kind(frame_map, [pfn_down(edge) for edge in ruler.columns()], unknown)
        self.kinds: NDArray[np.int64] = most(counts)
        self._small = counts
        self._small[np.arange(len(counts)), self.kinds] = 0

    def found(self) -> set[Kind | None]:
        """Return the kinds that can be seen."""
        return {kind_of(int(item)) for item in np.unique(self.kinds)} | {
            kind_of(int(item)) for item in np.flatnonzero(self._small.any(axis=0))
        }

    @property
    def has_small(self) -> bool:
        """Whether there are pieces that are not what most of their place is."""
        return bool(self._small.any())

    @property
    def has_past(self) -> bool:
        """Whether the axis goes on past the end of the map."""
        return self._end < self._ruler.scale.end

    def draw(self, pen: Pen, y: float, height: float) -> None:
        """Draw the strip; past the end of the map it is thinner, because there is no entry."""
        ruler = self._ruler
        end = ruler.at(self._end)
        thin = height * 0.45
        for start, stop, most_are in stretches(self.kinds):
            kind = kind_of(most_are)
            left, right = self._x(start), self._x(stop)
            if left < end:
                pen.fill_kind(left, y, min(right, end) - left, height, kind)
            if right > end:
                left = max(left, end)
                pen.fill_kind(left, y + (height - thin) / 2, right - left, thin, kind)
        pen.rect(ruler.x, y, end - ruler.x, height, stroke="line")
        if end < ruler.end:
            pen.rect(end, y + (height - thin) / 2, ruler.end - end, thin, stroke="line", thick=0.8)
        for item in range(UNTOLD + 1):
            for start, stop, _ in stretches(np.where(self._small[:, item] > 0, item, -1)):
                left = self._x(start)
                wide = max(self._x(stop) - left, 1.5)
                pen.rect(left, y + height + 1.5, wide, ruler.em * 0.28, fill=role_of(kind_of(item)))

    def _x(self, column: int) -> float:
        return self._ruler.x + self._ruler.width * column / len(self.kinds)


def stretches(items: NDArray[np.int64]) -> Iterator[Stretch]:
    """Join neighbouring columns that are alike; a negative item is no column to draw."""
    at = 0
    for item, group in groupby(items.tolist()):
        length = sum(1 for _ in group)
        if item >= 0:
            yield Stretch(at, at + length, item)
        at += length


def draw_e820(pen: Pen, host: Sequence[E820Entry], ruler: Ruler, y: float, height: float) -> None:
    """Draw what firmware or hypervisor says: RAM, other entries, holes."""
    for entry in host:
        left, right = ruler.at(entry.start), ruler.at(entry.end)
        _entry(pen, left, y, max(right - left, 1.0), height, is_ram=entry.is_ram)
    pen.rect(ruler.x, y, ruler.width, height, stroke="line", thick=0.8)


def e820_sign(entry_type: int) -> Swatch:
    """Return how an entry of a type looks in a legend."""

    def draw(pen: Pen, x: float, y: float, em: float) -> None:
        _entry(pen, x, y, em * 2, em, is_ram=entry_type == E820Type.RAM)

    return draw


def small_sign(pen: Pen, x: float, y: float, em: float) -> None:
    """Draw a mark below a strip, for a legend."""
    pen.fill_kind(x, y, em * 2, em * 0.6, Kind.RAM)
    pen.rect(x + em * 0.7, y + em * 0.7, em * 0.6, em * 0.3, fill="identity")


def past_sign(pen: Pen, x: float, y: float, em: float) -> None:
    """Draw a strip past the end of a map, for a legend."""
    pen.fill_kind(x, y, em, em, Kind.IDENTITY)
    pen.rect(x, y, em, em, stroke="line")
    pen.fill_kind(x + em, y + em * 0.27, em, em * 0.45, Kind.IDENTITY)
    pen.rect(x + em, y + em * 0.27, em, em * 0.45, stroke="line", thick=0.8)


def _entry(pen: Pen, x: float, y: float, width: float, height: float, *, is_ram: bool) -> None:
    """Draw an E820 entry: RAM is solid, any other has a line through it."""
    pen.rect(x, y, width, height, fill="dim" if is_ram else "faint")
    if not is_ram:
        pen.rect(x, y + height * 0.4, width, height * 0.2, fill="dim")


def kind_of(item: int) -> Kind | None:
    """Return the kind of an item of a column; None is "cannot tell"."""
    return None if item == UNTOLD else Kind(item)
