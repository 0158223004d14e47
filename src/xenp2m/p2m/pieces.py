"""Piecewise maps of frame numbers to words: what a few runs say, looked up one at a time and in bulk."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 16
"""Elements handled at a time in bulk work: the block and its temporaries stay in the second-level cache."""


_BUCKET_BITS = 14
_MOST_ROUNDS = 4


class Piece(NamedTuple):
    """Words from ``start`` to the next piece: ``word`` at ``start``, then counting up if ``counts``."""

    start: int
    word: int
    counts: bool


class Pieces:
    """A map of every frame number from 0 on, made of pieces; the last one has no end.

    Words are 64 bits wide and wrap.  Bulk look-ups start from a table of the piece at the start of each of
    2^14 equal buckets of frames, and go on from there piece by piece.
    """

    __slots__ = (
        "_buckets",
        "_factors",
        "_lasts",
        "_offsets",
        "_pieces",
        "_rounds",
        "_shift",
        "_starts",
        "_starts_array",
    )

    def __init__(self, pieces: Sequence[Piece]) -> None:
        """Make a map of ``pieces``, which are sorted by start; the first one starts at 0."""
        self._pieces = pieces
        self._starts = [piece.start for piece in pieces]
        self._starts_array = np.array(self._starts, np.uint64)
        self._factors = np.array([piece.counts for piece in pieces], np.uint64)
        words = np.array([piece.word for piece in pieces], np.uint64)
        self._offsets = words - self._factors * self._starts_array
        self._lasts = np.append(self._starts_array[1:] - np.uint64(1), np.uint64(2**64 - 1))
        self._shift = np.uint64(max(self._starts[-1].bit_length() - _BUCKET_BITS, 0))
        edges = np.arange((self._starts[-1] >> int(self._shift)) + 2, dtype=np.uint64) << self._shift
        self._buckets: NDArray[np.intp] = np.searchsorted(self._starts_array, edges, side="right") - 1
        self._rounds = int(np.diff(self._buckets).max(initial=0))

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
            index = self._indices(block)
            np.multiply(block, self._factors.take(index, mode="clip"), out=out)
            out += self._offsets.take(index, mode="clip")
            if numbers is not None:
                numbers[at : at + BLOCK] = index
        return words.reshape(frames.shape)

    def _indices(self, frames: NDArray[np.uint64]) -> NDArray[np.intp]:
        """Return the number of the piece that holds each frame."""
        if self._rounds > _MOST_ROUNDS:
            found: NDArray[np.intp] = np.searchsorted(self._starts_array, frames, side="right") - 1
            return found
        bucket = np.minimum(frames >> self._shift, np.uint64(len(self._buckets) - 1)).view(np.int64)
        index: NDArray[np.intp] = self._buckets.take(bucket, mode="clip")
        for _ in range(self._rounds):
            index += frames > self._lasts.take(index, mode="clip")
        return index
