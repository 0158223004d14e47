"""A p2m that is only looked up, straight from the runs of a map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xenp2m.arch import Arch
from xenp2m.entry import Kind, encode
from xenp2m.p2m.pieces import Piece, Pieces
from xenp2m.runs import Run, RunMap


class FlatP2m:
    """The lookups of a p2m that holds what a RunMap says; a RAM frame without a known mfn reads as INVALID.

    Frames past the end of the map are what the map says is beyond it, without end.
    """

    __slots__ = ("_pieces", "arch", "auto_translated", "beyond")

    def __init__(self, runs: RunMap, *, auto_translated: bool = False) -> None:
        self.arch: Arch = runs.arch
        self.auto_translated = auto_translated
        self.beyond = runs.beyond
        tail = Run(runs.end_pfn, 1, runs.beyond, None)
        self._pieces = Pieces([_piece(run, runs.arch) for run in (*runs, tail)])

    def get(self, pfn: int) -> int:
        """Return the raw word of one frame."""
        if pfn > self.arch.frame_mask:
            return self._past(pfn)
        return self._pieces.word(pfn)

    def get_array(self, pfns: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the raw words (uint64) of many frames (uint64, any shape), in their shape."""
        words = self._pieces.words(pfns)
        # A frame number with a marker bit in it keeps the bit: the word is made by OR, not by counting.
        marked = pfns > np.uint64(self.arch.frame_mask)
        if marked.any():
            words[marked] = [self._past(pfn) for pfn in pfns[marked].tolist()]
        return words

    def _past(self, pfn: int) -> int:
        return pfn | self.arch.identity_bit if self.beyond is Kind.IDENTITY else self.arch.invalid


def _piece(run: Run, arch: Arch) -> Piece:
    mfn = run.pfn if run.kind is Kind.IDENTITY and run.mfn is None else run.mfn
    word = encode(run.kind, mfn, arch)
    return Piece(run.pfn, word, word != arch.invalid)
