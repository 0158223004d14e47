"""Two layers compared: where they differ, for lists, for columns, and on from a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from xenp2m.check.diff import Diff, Piece, Status, diff_maps
from xenp2m.view.scene import Layer


@dataclass(frozen=True, eq=False)
class Compared:
    """The differences between two layers, joined where the kinds go on."""

    diff: Diff
    regions: tuple[Piece, ...]

    @classmethod
    def of(cls, a: Layer, b: Layer) -> Compared:
        """Compare two layers: seconds for maps of hundred thousands of runs."""
        diff = diff_maps(a.side, b.side)
        return cls(diff, diff.regions())

    @property
    def names(self) -> tuple[str, str]:
        """The names of the layers."""
        return self.diff.a.name, self.diff.b.name

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.array([piece.start for piece in self.regions], np.int64)

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        return np.array([piece.end for piece in self.regions], np.int64)

    @cached_property
    def _differ(self) -> NDArray[np.bool_]:
        return np.array([piece.status is Status.DIFFERS for piece in self.regions], np.bool_)

    def columns(self, edges: Sequence[int]) -> list[Status | None]:
        """Say how the frames between neighbouring ``edges`` compare (sorted; at least one frame each).

        A difference counts more than what cannot be told.
        """
        first = np.array(edges[:-1], np.int64)
        last = np.maximum(np.array(edges[1:], np.int64), first + 1)
        found: list[Status | None] = [None] * len(first)
        for status, chosen in ((Status.UNKNOWN, ~self._differ), (Status.DIFFERS, self._differ)):
            starts = self._starts[chosen]
            index = np.searchsorted(self._ends[chosen], first, side="right")
            inside = index < len(starts)
            inside[inside] = starts[index[inside]] < last[inside]
            for column in np.flatnonzero(inside).tolist():
                found[column] = status
        return found

    def next(self, frame: int, *, back: bool = False) -> int | None:
        """Return the number of the next region past a frame, or before it; after the last, the first."""
        if not self.regions:
            return None
        if back:
            return (int(np.searchsorted(self._starts, frame)) - 1) % len(self.regions)
        return int(np.searchsorted(self._starts, frame, side="right")) % len(self.regions)
