"""The text of the debugfs file xen/mmu/p2m (CONFIG_XEN_DEBUG_FS; arch/x86/xen/p2m.c)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from xenp2m.arch import Arch
from xenp2m.entry import Kind
from xenp2m.p2m.list import LinearList
from xenp2m.p2m.lookup import runs_of, stretches
from xenp2m.p2m.pages import FIRST_OWN, IDENTITY, MISSING, Table, Words
from xenp2m.p2m.tree import Tree

_TYPES = ("identity", "missing", "pfn", "abnormal")
_IDENTITY, _MISSING, _PFN, _ABNORMAL = range(4)
_LEVELS = ("top", "middle", "entry", "abnormal", "error")
_TOP, _MIDDLE, _ENTRY, _LEVEL_ABNORMAL, _ = range(5)

Head = tuple[int, int]
"""The first frame of a run, and the number of its type or level."""


def tree_text(tree: Tree) -> list[str]:
    """Return the lines of the file for a tree (up to 3.18): runs of types and of levels, mixed.

    Only MAX_DOMAIN_PAGES frames are shown.  The kernel calls the last one abnormal to end both runs, so the
    last end printed is one too low.
    """
    entries = tree.arch.entries_per_page
    last = tree.arch.max_domain_pages - 1
    table = tree.table
    empty = np.repeat(tree.top == MISSING, entries)
    table[empty] = MISSING
    levels = np.where(empty, _TOP, np.where(table >= FIRST_OWN, _ENTRY, _MIDDLE))
    level_heads = [(slot * entries, level) for slot, level in _value_heads(levels)]
    types = _closed(_type_heads(tree, table), last, _ABNORMAL)
    lines = [(end, 0, f" [{start:#x}->{end:#x}] {_TYPES[kind]}") for start, end, kind in types]
    lines += [
        (end, 1, f" [{start:#x}->{end:#x}] level {_LEVELS[level]}")
        for start, end, level in _closed(iter(level_heads), last, _LEVEL_ABNORMAL)
    ]
    return [text for _, _, text in sorted(lines, key=lambda line: line[:2])]


def list_text(linear: LinearList) -> list[str]:
    """Return the lines of the file for a linear list (3.19 and later): runs of types.

    The file shows what the words say; a shared 1:1 page holds INVALID and so is shown as missing.
    """
    heads: list[Head] = []
    for run in runs_of(linear.leaves, linear.table, raw=True):
        kind = {Kind.MISSING: _MISSING, Kind.IDENTITY: _IDENTITY}.get(run.kind, _PFN)
        if not heads or heads[-1][1] != kind:
            heads.append((run.pfn, kind))
    ends = [pfn for pfn, _ in heads[1:]] + [linear.size]
    return [f" [{start:#x}->{end:#x}] {_TYPES[kind]}" for (start, kind), end in zip(heads, ends, strict=True)]


def _type_heads(tree: Tree, table: Table) -> Iterator[Head]:
    entries = tree.arch.entries_per_page
    for first, end, leaf in stretches(table):
        pfn = first * entries
        if leaf < FIRST_OWN:
            yield pfn, _IDENTITY if leaf == IDENTITY else _MISSING
            continue
        words = tree.leaves.span(leaf, end - first)
        for at, kind in _value_heads(_word_types(words, pfn, tree.arch)):
            yield pfn + at, kind


def _word_types(words: Words, pfn: int, arch: Arch) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    types = np.full(len(words), _PFN, np.uint8)
    own = np.arange(pfn, pfn + len(words), dtype=np.uint64) | np.uint64(arch.identity_bit)
    types[words == own] = _IDENTITY
    types[words == arch.invalid] = _MISSING
    types[words == 0] = _ABNORMAL
    return types


def _value_heads(values: np.ndarray[tuple[int, ...], np.dtype[np.integer]]) -> Iterator[Head]:
    heads = np.append(0, np.flatnonzero(np.diff(values)) + 1)
    yield from zip(heads.tolist(), values[heads].tolist(), strict=True)


def _closed(heads: Iterator[Head], last: int, mark: int) -> Iterator[tuple[int, int, int]]:
    """Yield (start, end, value) of the runs that end at or below ``last``, where ``mark`` begins."""
    start, value = next(heads)
    for at, following in [*heads, (last, mark)]:
        if at <= last and following != value and (at < last or following == mark):
            yield start, at, value
            start, value = at, following
