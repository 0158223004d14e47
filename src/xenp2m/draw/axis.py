"""A logarithmic address axis: the same width for each doubling of the address."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from xenp2m.units import GIB, KIB, MIB, TIB

_FIRST_BIT = 24
_LABEL_GAP = 7
_UNITS = ((TIB, "T"), (GIB, "G"), (MIB, "M"), (KIB, "K"))


@dataclass(frozen=True, slots=True)
class Axis:
    """Columns over addresses: column ``i`` covers the bytes ``[edges[i], edges[i + 1])``."""

    edges: tuple[int, ...]

    @classmethod
    def to(cls, highest: int, width: int) -> Self:
        """Make an axis of ``width`` columns from 0 past ``highest`` (a byte address).

        The first column is the first 16 MiB; the others divide the doublings above it evenly.
        """
        columns = max(width, 8) - 1
        doublings = max(highest.bit_length() - _FIRST_BIT, 4)
        ratio = 2.0 ** (doublings / columns)
        edges = (int((1 << _FIRST_BIT) * ratio**column) for column in range(columns))
        return cls((0, *edges, 1 << (_FIRST_BIT + doublings)))

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.edges) - 1

    def column(self, address: int) -> int:
        """Return the column that holds byte ``address`` (the last one for anything past the axis)."""
        return min(bisect_right(self.edges, address) - 1, self.width - 1)

    def ruler(self) -> str:
        """Return the labels of the axis as one line: powers of two, evenly spaced, as many as fit."""
        doublings = self.edges[-1].bit_length() - 1 - _FIRST_BIT
        step = next(step for step in (1, 2, 4, 8, 16, 64) if self.width * step >= doublings * _LABEL_GAP)
        labels = ["0", *" " * (self.width - 1)]
        for bit in range(_FIRST_BIT + step, _FIRST_BIT + doublings + 1, step):
            column = self.column((1 << bit) + (1 << bit - 8))
            text = _short(1 << bit)
            if column + len(text) <= self.width:
                labels[column : column + len(text)] = text
        return "".join(labels).rstrip()

    def fill(self, cell: Callable[[int, int], str]) -> list[str]:
        """Return ``cell(start, end)`` of every column, in bytes."""
        return [cell(start, end) for start, end in zip(self.edges, self.edges[1:], strict=False)]


def _short(address: int) -> str:
    return next(f"{address // unit}{suffix}" for unit, suffix in _UNITS if address % unit == 0)
