"""Piecewise maps of frame numbers to words: what a few runs say, looked up one at a time and in bulk."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 15
"""Elements handled at a time in bulk work: the block and its temporaries stay in the second-level cache."""


class Piece(NamedTuple):
    """Words from ``start`` to the next piece: ``word`` at ``start``, then counting up if ``counts``."""

    start: int
    word: int
    counts: bool


class Pieces:
    """A map of every frame number from 0 on, made of pieces; the last one has no end.

    Words are 64 bits wide and wrap.
    """

    __slots__ = ("_factors", "_offsets", "_pieces", "_starts", "_starts_array")

    def __init__(self, pieces: Sequence[Piece]) -> None:
        """Make a map of ``pieces``, which are sorted by start; the first one starts at 0."""
        self._pieces = pieces
        self._starts = [piece.start for piece in pieces]
        self._starts_array = np.array(self._starts, np.uint64)
        self._factors = np.array([piece.counts for piece in pieces], np.uint64)
        words = np.array([piece.word for piece in pieces], np.uint64)
        self._offsets = words - self._factors * self._starts_array

    def index(self, frame: int) -> int:
        """Return the number of the piece that holds ``frame``."""
        return bisect_right(self._starts, frame) - 1

    def word(self, frame: int) -> int:
        """Return the word of ``frame``."""
        piece = self._pieces[self.index(frame)]
        return piece.word + (frame - piece.start) * piece.counts

    def words(
        self, frames: NDArray[np.uint64], numbers: NDArray[np.intp] | None = None
    ) -> NDArray[np.uint64]:
        """Return the words (uint64) of many frames (uint64, any shape), in their shape.

        ``numbers`` (one dimension, as many elements) receives the number of each frame's piece.
        """
        flat = np.ascontiguousarray(frames).reshape(-1)
        words = np.empty(flat.shape, np.uint64)
        for at in range(0, len(flat), BLOCK):
            block = flat[at : at + BLOCK]
            out = words[at : at + BLOCK]
            first = self.index(int(block.min()))
            if first == self.index(int(block.max())):
                np.multiply(block, self._factors[first], out=out)
                out += self._offsets[first]
                if numbers is not None:
                    numbers[at : at + BLOCK] = first
                continue
            index = np.searchsorted(self._starts_array, block, side="right")
            index -= 1
            np.multiply(block, self._factors[index], out=out)
            out += self._offsets[index]
            if numbers is not None:
                numbers[at : at + BLOCK] = index
        return words.reshape(frames.shape)
