"""Looking up and flattening through a table of leaf numbers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xenp2m.arch import Arch
from xenp2m.entry import Kind, decode
from xenp2m.p2m.pages import BLANK, FIRST_OWN, IDENTITY, MISSING, Leaves, Table, Words
from xenp2m.p2m.pieces import BLOCK
from xenp2m.runs import Run, RunMap


class Stretch(NamedTuple):
    """Neighbouring slots ``[first, end)`` of a leaf table: one shared leaf, or private leaves that follow
    each other (``leaf`` is the first one)."""

    first: int
    end: int
    leaf: int


def stretches(table: Table) -> Iterator[Stretch]:
    """Cut a table of leaf numbers into its stretches."""
    if len(table) == 0:
        return
    step = np.diff(table)
    private = table[1:] >= FIRST_OWN
    heads = np.flatnonzero(np.where(private, step != 1, step != 0)) + 1
    firsts = [0, *heads.tolist()]
    for first, end in zip(firsts, [*firsts[1:], len(table)], strict=True):
        yield Stretch(first, end, int(table[first]))


def word_heads(words: Words, arch: Arch) -> NDArray[np.intp]:
    """Return where runs start in words (uint64) of consecutive frames, missing on or counting up."""
    if len(words) == 0:
        return np.zeros(0, np.intp)
    found = [np.zeros(1, np.intp)]
    one = np.uint64(1)
    for at in range(1, len(words), BLOCK):
        block = words[at : at + BLOCK]
        before = words[at - 1 : at - 1 + len(block)]
        # All ones followed by 0 counts up too, in 64 bits.
        breaks = np.flatnonzero((np.subtract(block, before) != one) | (block == 0))
        breaks = breaks[(block[breaks] != arch.invalid) | (before[breaks] != arch.invalid)]
        if len(breaks):
            found.append(breaks + at)
    return np.concatenate(found)


def word_runs(words: Words, pfn: int, arch: Arch) -> Iterator[Run]:
    """Cut the raw words (uint64) of consecutive frames from ``pfn`` on into runs."""
    heads = word_heads(words, arch)
    bounds = pairwise([*heads.tolist(), len(words)])
    for (start, end), word in zip(bounds, words[heads].tolist(), strict=True):
        at = start
        while at < end:
            first = word + (at - start) if word != arch.invalid else word
            # Counting up may carry into the marker bits, and then the words mean something else.
            room = end - at if first == arch.invalid else arch.frame_mask + 1 - (first & arch.frame_mask)
            count = min(end - at, room)
            kind, mfn = decode(first, arch)
            yield Run(pfn + at, count, kind, mfn)
            at += count


def runs_of(leaves: Leaves, table: Table, *, raw: bool = False) -> Iterator[Run]:
    """Flatten a table of leaf numbers into runs, as lookups see it.

    ``raw`` reads the shared identity page like any other, as somebody does who knows frames only.
    """
    entries = leaves.entries
    clean = bool((leaves.page(IDENTITY) == leaves.arch.invalid).all())
    for first, end, leaf in stretches(table):
        pfn, pages = first * entries, (end - first) * entries
        if leaf >= FIRST_OWN:
            for part, count, word in leaves.virgin_runs(leaf, end - first):
                at = pfn + (part - leaf) * entries
                if word < 0:
                    yield from word_runs(leaves.span(part, count), at, leaves.arch)
                else:
                    yield Run(at, count * entries, *decode(word, leaves.arch))
        elif leaf == IDENTITY and not raw:
            yield Run(pfn, pages, Kind.IDENTITY, None)
        elif leaf == IDENTITY and not clean:
            for slot in range(first, end):
                yield from word_runs(leaves.page(IDENTITY), slot * entries, leaves.arch)
        else:
            yield Run(pfn, pages, Kind.MISSING, None)


class Reader:
    """Bulk lookup through a table of leaf numbers, which must not change while the reader is used."""

    __slots__ = ("_bases", "_firsts", "_leaves", "_stretches", "_table", "_words", "end_pfn")

    def __init__(self, leaves: Leaves, table: Table) -> None:
        self._leaves = leaves
        self._words = leaves.all_words()
        self._table = table
        self._stretches = list(stretches(table))
        self._firsts = [stretch.first for stretch in self._stretches]
        slots = np.arange(len(table), dtype=np.int64)
        self._bases = (table - slots) * leaves.entries
        self.end_pfn = len(table) * leaves.entries

    def read(self, pfns: Words, past: Callable[[Words], Words]) -> Words:
        """Return the words of frames (uint64, any shape), in their shape.

        ``past`` gives the words of those at or past ``end_pfn``.
        """
        flat = np.ascontiguousarray(pfns).reshape(-1)
        words = np.empty(flat.shape, np.uint64)
        self._words = self._leaves.all_words()
        for at in range(0, len(flat), BLOCK):
            block, out = flat[at : at + BLOCK], words[at : at + BLOCK]
            low, high = int(block.min()), int(block.max())
            if high < self.end_pfn:
                self._read(block, out, low, high)
                continue
            outside = block >= np.uint64(self.end_pfn)
            out[outside] = past(block[outside])
            inside = block[~outside]
            if len(inside):
                found = np.empty(len(inside), np.uint64)
                self._read(inside, found, low, int(inside.max()))
                out[~outside] = found
        return words.reshape(pfns.shape)

    def _read(self, pfns: Words, out: Words, low: int, high: int) -> None:
        """Write the words of ``pfns``, which lie in [low, high] below ``end_pfn``, to ``out``."""
        entries = self._leaves.entries
        shift = entries.bit_length() - 1
        identity = np.uint64(self._leaves.arch.identity_bit)
        first, end, leaf = self._stretches[bisect_right(self._firsts, low >> shift) - 1]
        if (high >> shift) < end:
            base = (leaf - first) * entries
            if leaf == IDENTITY:
                np.bitwise_or(pfns, identity, out=out)
            elif leaf < FIRST_OWN:
                out.fill(self._leaves.arch.invalid)
            elif base >= 0:
                self._words[base:].take(pfns.view(np.int64), out=out, mode="clip")
            else:
                self._words.take(pfns.view(np.int64) + base, out=out, mode="clip")
            return
        slots = (pfns >> np.uint64(shift)).view(np.int64)
        index = self._bases.take(slots, mode="clip")
        index += pfns.view(np.int64)
        self._words.take(index, out=out, mode="clip")
        shared = self._table.take(slots, mode="clip") == IDENTITY
        if shared.any():
            np.copyto(out, pfns | identity, where=shared)


def leaves_of_runs(runs: RunMap, end_pfn: int) -> tuple[Leaves, Table]:
    """Return leaves, and the table of them, that hold what ``runs`` say for [0, end_pfn).

    ``end_pfn`` is a whole number of leaves.  Whole missing and 1:1 leaves are the shared ones; RAM without a
    known machine frame becomes missing.
    """
    entries = runs.arch.entries_per_page
    table: Table = np.full(end_pfn // entries, BLANK, np.int32)
    for run in runs.within(0, end_pfn):
        if run.kind is Kind.MISSING or (run.kind is Kind.IDENTITY and run.mfn is None):
            shared = MISSING if run.kind is Kind.MISSING else IDENTITY
            table[-(-run.pfn // entries) : run.end // entries] = shared
    private = table == BLANK
    leaves = Leaves(runs.arch, int(np.count_nonzero(private)))
    table[private] = leaves.listed
    for first, end, leaf in stretches(table):
        if leaf >= FIRST_OWN:
            leaves.part(leaf, 0, (end - first) * entries)[:] = runs.to_words(first * entries, end * entries)
    return leaves, table
