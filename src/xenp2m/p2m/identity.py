"""Making whole ranges of a tree 1:1, before and after the series (arch/x86/xen/p2m.c up to Linux 3.18)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xenp2m.p2m.early import alloc_leaf, alloc_mid
from xenp2m.p2m.pages import IDENTITY, MISSING

if TYPE_CHECKING:
    from xenp2m.p2m.tree import Tree


def set_range(tree: Tree, start: int, end: int) -> int:
    """Make the frames [start, end) 1:1 and return the kernel's count (set_phys_range_identity)."""
    limit = tree.arch.max_p2m_pfn
    if start >= limit or (end >= limit and not tree.rules.clamp_identity_range):
        return 0
    if tree.auto_translated:
        return end - start
    if start > end:
        return 0
    end = min(end, limit)
    if tree.rules.compact_mid:
        _split(tree, start)
        _split(tree, end)
    else:
        _take_mids(tree, start, end)
    if start == end:
        return 0
    entries = store_identity(tree, start, end, start | tree.arch.identity_bit)
    if not tree.rules.skip_identity:
        tree.identity_steps += end - start
        return end - start
    tree.identity_steps += entries
    return _skipped_to(tree, end) - start


def _split(tree: Tree, pfn: int) -> None:
    """Take the private pages that a range needs at an end (patch 3)."""
    if pfn % tree.arch.pfns_per_mid:
        alloc_mid(tree, pfn)
        if pfn % tree.arch.pfns_per_leaf:
            alloc_leaf(tree, pfn)


def _take_mids(tree: Tree, start: int, end: int) -> None:
    """Take a mid page for every GiB that a range touches, and leaves at its ends (before patch 3)."""
    step = tree.arch.pfns_per_mid
    for pfn in range(start // step * step, end, step):
        alloc_mid(tree, pfn)
    if start == end and start % step:
        alloc_mid(tree, start)
    for pfn in (start, end):
        if pfn % tree.arch.pfns_per_leaf:
            alloc_leaf(tree, pfn)


def _skipped_to(tree: Tree, end: int) -> int:
    """Return the frame at which the skipping loop ends, and warn if that is not ``end``.

    The loop rounds up to the end of a shared 1:1 page whenever it has stored an entry below one.
    """
    top, mid = tree.slot(end - 1)
    reached = end
    if tree.top[top] == IDENTITY:
        reached = -(-end // tree.arch.pfns_per_mid) * tree.arch.pfns_per_mid
    elif tree.mids.rows[tree.top[top], mid] == IDENTITY:
        reached = -(-end // tree.arch.pfns_per_leaf) * tree.arch.pfns_per_leaf
    if reached != end:
        tree.warn(f"1:1 mapping ends at {reached:#x}, not at {end:#x}")
    return reached


def store_identity(tree: Tree, start: int, end: int, word: int) -> int:
    """Store words with the identity bit, counting up from ``word``, for the frames [start, end).

    Missing leaves become the shared identity leaf and, with the compact mid, missing mids the shared
    identity mid, whatever part of them is meant.  Returns how many entries the kernel stores if it skips
    what is shared 1:1.
    """
    below = tree.arch.pfns_per_mid
    first = start // below
    slots = tree.top[first : -(-end // below)]
    if tree.rules.compact_mid:
        slots[slots == MISSING] = IDENTITY
        others = np.flatnonzero(slots != IDENTITY)
    else:
        others = np.arange(len(slots))
    stored = len(slots) - len(others)
    for top in (others + first).tolist():
        at, until = max(start, top * below), min(end, (top + 1) * below)
        stored += _store_below(tree, top, at, until, word + at - start)
    tree.changed()
    return stored


def _store_below(tree: Tree, top: int, start: int, end: int, word: int) -> int:
    entries = tree.arch.pfns_per_leaf
    base = top * tree.arch.entries_per_page
    leaves = tree.mids.rows[tree.top[top], start // entries - base : -(-end // entries) - base]
    leaves[leaves == MISSING] = IDENTITY
    private = np.flatnonzero(leaves != IDENTITY)
    stored = len(leaves) - len(private)
    if len(private) == 0:
        return stored
    numbers = leaves[private]
    breaks = np.flatnonzero((np.diff(private) != 1) | (np.diff(numbers) != 1)) + 1
    heads = [0, *breaks.tolist()]
    for head, tail in zip(heads, [*heads[1:], len(private)], strict=True):
        slot = start // entries + int(private[head])
        at, until = max(start, slot * entries), min(end, (slot + tail - head) * entries)
        tree.write(at, until, int(numbers[head]), word + at - start)
        stored += until - at
    return stored
