"""Pages that the tree takes during boot, and leaves that it uses again (arch/x86/xen/p2m.c, up to 3.18)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from xenp2m.p2m.pages import FIRST_OWN, IDENTITY, MISSING

if TYPE_CHECKING:
    from xenp2m.p2m.tree import Tree


def alloc_mid(tree: Tree, pfn: int) -> None:
    """Make sure that a frame has a mid page and a mid_mfn page (early_alloc_p2m_middle since patch 1).

    A shared identity mid stays as it is, but its mid_mfn page is taken all the same.
    """
    top, _ = tree.slot(pfn)
    if tree.top[top] == MISSING:
        tree.top[top] = tree.mids.take()
        tree.brk_pages += 1
        tree.changed()
    if tree.rules.mid_mfn_in_brk and tree.frame_list is not None:
        tree.brk_pages += tree.frame_list.own_mid(top)


def alloc_leaf(tree: Tree, pfn: int) -> bool:
    """Give a frame below a missing leaf a private one (early_alloc_p2m since patch 1)."""
    top, mid = tree.slot(pfn)
    leaf = int(tree.mids.rows[tree.top[top], mid])
    if leaf == IDENTITY:
        tree.warn("a 1:1 leaf is to be split")
    if leaf != MISSING:
        return False
    leaf = tree.leaves.take()
    tree.brk_pages += 1
    tree.install(top, mid, leaf)
    if _enter(tree, top, mid, leaf) != MISSING:
        tree.warn("the frame list has another leaf")
    return True


def _enter(tree: Tree, top: int, mid: int, leaf: int) -> int:
    """Keep the frame list in step, in kernels that do; return the leaf that was there."""
    if not tree.rules.mid_mfn_in_brk or tree.frame_list is None:
        return MISSING
    return tree.frame_list.enter(top, mid, leaf)


def idle_leaves(tree: Tree) -> Iterator[tuple[int, int]]:
    """Yield slots whose private leaf may hold nothing, or only its own 1:1 words, in frame order.

    The tree is searched when the first one is asked for; entries may be stored between then and the use.
    """
    entries = tree.leaves.entries
    slots = np.flatnonzero(tree.table[: tree.arch.max_domain_pages // entries] >= FIRST_OWN)
    slots = slots[tree.top[slots // entries] != MISSING]
    first = tree.leaves.first_words(tree.table[slots])
    own = (slots * entries).astype(np.uint64) | np.uint64(tree.arch.identity_bit)
    for slot in slots[(first == own) | (first == tree.arch.invalid)].tolist():
        yield divmod(slot, entries)


def reuse_leaf(tree: Tree, pfn: int, idle: Iterator[tuple[int, int]]) -> bool:
    """Move an idle leaf to ``pfn``, below which there is none (early_can_reuse_p2m_middle).

    False if there is none to move.
    """
    entries = tree.leaves.entries
    if pfn % entries:
        return False
    for top, mid in idle:
        leaf = int(tree.mids.rows[tree.top[top], mid])
        start = (top * entries + mid) * entries
        own = np.arange(start, start + entries, dtype=np.uint64) | np.uint64(tree.arch.identity_bit)
        page = tree.leaves.page(leaf)
        identity = bool((page == own).all())
        if leaf < FIRST_OWN or not (identity or (page == tree.arch.invalid).all()):
            continue
        # The frame list says missing in both cases: the identity leaf holds INVALID for tools.
        tree.install(top, mid, IDENTITY if identity else MISSING)
        _enter(tree, top, mid, MISSING)
        page[:] = tree.arch.invalid
        tree.install(*tree.slot(pfn), leaf)
        _enter(tree, *tree.slot(pfn), leaf)
        return True
    return False
