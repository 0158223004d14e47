"""A logarithmic address axis: the same width for each doubling of the address.

Terminals have columns (``Axis``), pictures have places between 0 and 1 (``Scale``).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from math import log2
from typing import Self

from xenp2m.units import GIB, KIB, MIB, TIB

_FIRST_BIT = 24
_FIRST = 1 << _FIRST_BIT
_LABEL_GAP = 7
_STEPS = (1, 2, 4, 8, 16, 64)
_UNITS = ((TIB, "T"), (GIB, "G"), (MIB, "M"), (KIB, "K"))


@dataclass(frozen=True, slots=True)
class Scale:
    """Places over addresses, 0 to 1: ``low`` of it for the first 16 MiB, the rest for doublings above it."""

    doublings: int
    low: float

    @classmethod
    def to(cls, highest: int, low: float) -> Self:
        """Make a scale from 0 past ``highest`` (a byte address)."""
        return cls(max(highest.bit_length() - _FIRST_BIT, 4), low)

    @property
    def end(self) -> int:
        """The address at place 1."""
        return _FIRST << self.doublings

    def place(self, address: int) -> float:
        """Return where a byte address is; past the end, 1."""
        if address < _FIRST:
            return self.low * address / _FIRST
        if address >= self.end:
            return 1.0
        return self.low + (1.0 - self.low) * (log2(address) - _FIRST_BIT) / self.doublings

    def address(self, place: float) -> int:
        """Return the byte address at a place."""
        if place < self.low:
            return int(_FIRST * place / self.low)
        return min(int(_FIRST * 2.0 ** (self.doublings * (place - self.low) / (1.0 - self.low))), self.end)

    def ticks(self, most: float) -> list[tuple[int, str]]:
        """Return addresses to label, and the labels: 0 and powers of two, evenly spaced, about ``most``."""
        step = next((step for step in _STEPS if most * step >= self.doublings), _STEPS[-1])
        bits = range(_FIRST_BIT + step, _FIRST_BIT + self.doublings + 1, step)
        return [(0, "0"), *((1 << bit, _short(1 << bit)) for bit in bits)]


@dataclass(frozen=True, slots=True)
class Axis:
    """Columns over addresses: column ``i`` covers the bytes ``[edges[i], edges[i + 1])``."""

    edges: tuple[int, ...]

    @classmethod
    def to(cls, highest: int, width: int) -> Self:
        """Make an axis of ``width`` columns from 0 past ``highest`` (a byte address).

        The first column is the first 16 MiB; the others divide the doublings above it evenly.
        """
        columns = max(width, 8)
        scale = Scale.to(highest, 1 / columns)
        return cls((*(scale.address(column / columns) for column in range(columns)), scale.end))

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.edges) - 1

    def column(self, address: int) -> int:
        """Return the column that holds byte ``address`` (the last one for anything past the axis)."""
        return min(bisect_right(self.edges, address) - 1, self.width - 1)

    def ruler(self) -> str:
        """Return the labels of the axis as one line: powers of two, evenly spaced, as many as fit."""
        scale = Scale.to(self.edges[-1] - 1, 1 / self.width)
        labels = [" "] * self.width
        for address, text in scale.ticks(self.width / _LABEL_GAP):
            column = self.column(address + (address >> 8))
            if column + len(text) <= self.width:
                labels[column : column + len(text)] = text
        return "".join(labels).rstrip()

    def fill(self, cell: Callable[[int, int], str]) -> list[str]:
        """Return ``cell(start, end)`` of every column, in bytes."""
        return [cell(start, end) for start, end in zip(self.edges, self.edges[1:], strict=False)]


def _short(address: int) -> str:
    return next(f"{address // unit}{suffix}" for unit, suffix in _UNITS if address % unit == 0)
