"""The pages that a p2m is made of.

A leaf page is known by its number, as the kernel knows it by its address: the shared pages are recognised by
that and never by what they hold.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from xenp2m.arch import Arch

Table = NDArray[np.int32]
Words = NDArray[np.uint64]

MISSING = 0
"""Number of the shared leaf p2m_missing; of the shared mid p2m_mid_missing in a table of mids."""
IDENTITY = 1
"""Number of the shared leaf p2m_identity; of the shared mid p2m_mid_identity in a table of mids."""
BLANK = 2
"""Stands for any private leaf that holds nothing but INVALID, until something is stored in it."""
FIRST_OWN = 3
"""Number of the first private leaf."""


class Leaves:
    """The leaf pages: one flat array of words, ``entries`` (512 or 1024) a page.

    Pages are numbered: the shared ones, those of the builder's list (``listed``), then those taken later.  A
    page of the builder's list whose machine frames count up is written to memory only when somebody looks
    into it, so that a guest of any size costs little as long as its list is a few runs.
    """

    __slots__ = ("_first", "_used", "_virgin", "_words", "arch", "entries", "listed")

    def __init__(self, arch: Arch, list_pages: int) -> None:
        """Make the shared pages and a builder's list of that many pages, all INVALID."""
        self.arch = arch
        self.entries = arch.entries_per_page
        self.listed = range(FIRST_OWN, FIRST_OWN + list_pages)
        self._used = self.listed.stop
        # Room for more pages is reserved but not touched, so the system does not give memory for it yet.
        self._words: Words = np.empty((self._used + 256 + list_pages // 8) * self.entries, np.uint64)
        self._words[: FIRST_OWN * self.entries] = arch.invalid
        self._virgin = np.ones(self._used, np.bool_)
        self._virgin[:FIRST_OWN] = False
        self._first: Words = np.full(self._used, arch.invalid, np.uint64)

    def fill(self, mfns: Words | Iterable[tuple[int, int, int]], end: int) -> None:
        """Write the first ``end`` words of the builder's list, which is otherwise left INVALID.

        ``mfns`` are the words themselves (uint64), or runs of (index, count, first machine frame).
        """
        start = self.listed.start
        if isinstance(mfns, np.ndarray):
            self.span(start, len(self.listed))[:end] = mfns[:end]
            return
        for index, count, mfn in mfns:
            stop = min(index + count, end)
            whole = range(-(-index // self.entries), stop // self.entries)
            if mfn + count > self.arch.identity_bit:
                whole = range(0)  # words that reach the marker bits are no machine frames
            if whole:
                first = mfn + whole.start * self.entries - index
                count_up = np.arange(len(whole), dtype=np.uint64) * np.uint64(self.entries)
                self._first[start + whole.start : start + whole.stop] = count_up + np.uint64(first)
            for at, until in _outside(index, stop, whole, self.entries):
                words = np.arange(mfn + at - index, mfn + until - index, dtype=np.uint64)
                self.part(start, at, until - at)[:] = words

    def span(self, leaf: int, pages: int) -> Words:
        """Return the words of ``pages`` pages from ``leaf`` on, to read and to write."""
        if leaf < len(self._virgin):
            self._touch(leaf + np.flatnonzero(self._virgin[leaf : leaf + pages]))
        return self._words[leaf * self.entries : (leaf + pages) * self.entries]

    def page(self, leaf: int) -> Words:
        """Return the words of one page, to read and to write."""
        return self.span(leaf, 1)

    def part(self, leaf: int, at: int, count: int) -> Words:
        """Return ``count`` words from word ``at`` of page ``leaf`` on, all of which will be written."""
        start = leaf * self.entries + at
        first, last = start // self.entries, (start + count - 1) // self.entries
        for edge in (first, last):
            if edge < len(self._virgin) and self._virgin[edge]:
                self._touch(np.array([edge]))
        self._virgin[first : last + 1] = False
        return self._words[start : start + count]

    def word(self, leaf: int, at: int) -> int:
        """Return word ``at`` of page ``leaf``."""
        if leaf < len(self._virgin) and self._virgin[leaf]:
            first = int(self._first[leaf])
            return first if first == self.arch.invalid else first + at
        return int(self._words[leaf * self.entries + at])

    def first_words(self, leaves: Table) -> Words:
        """Return the first word (uint64) of each of many pages."""
        words = self._words.take(leaves.astype(np.int64) * self.entries)
        virgin = np.flatnonzero(leaves < len(self._virgin))
        virgin = virgin[self._virgin[leaves[virgin]]]
        words[virgin] = self._first[leaves[virgin]]
        return words

    def all_words(self) -> Words:
        """Return the words of every page."""
        self.span(0, self._used)
        return self._words

    def virgin_runs(self, leaf: int, pages: int) -> list[tuple[int, int, int]]:
        """Cut pages into parts (first page, pages, word): the word of the first entry if the part's words
        count up, or are INVALID, and -1 if one has to look."""
        end = leaf + pages
        if leaf >= len(self._virgin):
            return [(leaf, pages, -1)]
        virgin = self._virgin[leaf:end]
        first = self._first[leaf:end]
        step = np.diff(first)
        follows = np.where(first[:-1] == self.arch.invalid, step == 0, step == self.entries)
        same = (virgin[1:] == virgin[:-1]) & (follows | ~virgin[1:])
        heads = [0, *(np.flatnonzero(~same) + 1).tolist()]
        parts = [
            (leaf + head, tail - head, int(first[head]) if virgin[head] else -1)
            for head, tail in zip(heads, [*heads[1:], len(virgin)], strict=True)
        ]
        if end > len(self._virgin):
            parts.append((len(self._virgin), end - len(self._virgin), -1))
        return parts

    def take(self) -> int:
        """Return the number of a new page, filled with INVALID."""
        if (self._used + 1) * self.entries > len(self._words):
            grown = np.empty(2 * len(self._words), np.uint64)
            grown[: len(self._words)] = self._words
            self._words = grown
        self._used += 1
        self.page(self._used - 1)[:] = self.arch.invalid
        return self._used - 1

    def _touch(self, leaves: NDArray[np.intp]) -> None:
        """Write pages of the builder's list to memory."""
        if len(leaves) == 0:
            return
        self._virgin[leaves] = False
        pages = self._words[: self._used * self.entries].reshape(-1, self.entries)
        step = np.arange(self.entries, dtype=np.uint64)
        for at in range(0, len(leaves), 64):
            some = leaves[at : at + 64]
            words = self._first[some, np.newaxis] + step
            words[self._first[some] == self.arch.invalid] = self.arch.invalid
            pages[some] = words


def _outside(start: int, end: int, whole: range, entries: int) -> list[tuple[int, int]]:
    """Return the parts of [start, end) that are no whole pages."""
    if not len(whole):
        return [(start, end)] if start < end else []
    parts = [(start, whole.start * entries), (whole.stop * entries, end)]
    return [(first, last) for first, last in parts if first < last]


class Mids:
    """Pages of leaf numbers (int32): the tree's mid pages, or the frame list's.

    Page MISSING holds MISSING only and page IDENTITY holds IDENTITY only, until a kernel writes to them.
    """

    __slots__ = ("_rows", "_used")

    def __init__(self, entries: int) -> None:
        self._rows: Table = np.zeros((8, entries), np.int32)
        self._rows[IDENTITY] = IDENTITY
        self._used = 2

    @property
    def rows(self) -> Table:
        """The pages, one a row."""
        return self._rows[: self._used]

    @property
    def private(self) -> int:
        """The number of pages that are not shared."""
        return self._used - 2

    def take(self) -> int:
        """Return the number of a new page, filled with MISSING."""
        if self._used == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        self._used += 1
        return self._used - 1
