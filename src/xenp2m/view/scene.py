"""What the viewer shows: frame maps of one machine as layers, and what can be said of their frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rich.text import Text

from xenp2m.check.diff import Side
from xenp2m.draw.axis import Axis
from xenp2m.machine import E820Entry
from xenp2m.runs import Ambiguous, RunMap
from xenp2m.units import PAGE_SHIFT

_SOME = 64


class Place(NamedTuple):
    """Frames ``[start, end)`` of a list entry, to which the viewer can go."""

    start: int
    end: int


class Row(NamedTuple):
    """One entry of a list or paragraph of a text; ``code`` is that of a finding."""

    text: Text
    place: Place | None = None
    code: str = ""


class Mark(NamedTuple):
    """A BAR on a map: its name as people write it, its frames, whether it maps, and the verdict in words."""

    name: str
    place: Place
    maps: bool
    verdict: str


Rows = Callable[[], Sequence[Row]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One frame map.

    ``brief`` says in a line or more why a frame is what it is, and ``explain`` everything that is known of
    it.  ``findings`` and ``explain`` may take seconds where the scene is ``slow``.  ``pfn_of`` finds the
    guest frame of a machine frame, None where there is none or where it is not known.  ``predicted`` maps do
    not name machine frames of RAM.
    """

    name: str
    map: RunMap
    brief: Callable[[int], Sequence[str]]
    explain: Callable[[int], Sequence[Row]]
    findings: Rows
    log: Sequence[str]
    log_title: str
    ambiguous: tuple[Ambiguous, ...] = ()
    bars: tuple[Mark, ...] = ()
    predicted: bool = False
    pfn_of: Callable[[int], int | None] = lambda _: None

    @property
    def side(self) -> Side:
        """The layer as one side of a comparison."""
        return Side(self.name, self.map, self.ambiguous, self.predicted)

    def untold(self, frame: int) -> Ambiguous | None:
        """Return the frames about ``frame`` that the map's source does not tell; None where it tells."""
        return next((each for each in self.ambiguous if each.start <= frame < each.end), None)


@dataclass(frozen=True, slots=True)
class Scene:
    """Layers of one machine, at least one, and the E820 that its guest was given (empty: not known)."""

    title: str
    layers: tuple[Layer, ...]
    host: Sequence[E820Entry] = ()
    slow: bool = False
    notes: Sequence[str] = field(default=())

    @property
    def highest(self) -> int:
        """The highest byte address that anything lies at."""
        frames = [max(layer.map.arch.max_p2m_pfn, layer.map.end_pfn) for layer in self.layers]
        frames += [mark.place.end for layer in self.layers for mark in layer.bars]
        return max([entry.end for entry in self.host] + [frame << PAGE_SHIFT for frame in frames])

    @property
    def end(self) -> int:
        """Where the fitted axis ends, as a frame: a power of two past everything."""
        return Axis.to(self.highest, _SOME).edges[-1] >> PAGE_SHIFT
