"""How many pages a p2m uses, and of which sort."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xenp2m.p2m.list import OWN, LinearList
from xenp2m.p2m.pages import BLANK, FIRST_OWN, IDENTITY, MISSING
from xenp2m.p2m.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class TreePages:
    """The pages of a tree (Linux up to 3.18).

    Slots: ``top_missing`` and ``top_identity`` count top slots with a shared mid page; ``leaf_missing`` and
    ``leaf_identity`` count mid slots with a shared leaf, over the private mids.
    Pages: ``mid_pages`` and ``mid_mfn_pages`` are private mids; ``leaf_grafted`` are leaves in the builder's
    list, ``leaf_revectored`` in its copy, ``leaf_pages`` the others.
    By allocator: ``brk_pages``, ``boot_pages`` and ``alloc_pages`` (run time), shared pages included.
    ``*_dirty`` count words of a shared page that differ from what it was made with.
    """

    top_missing: int
    top_identity: int
    mid_pages: int
    leaf_missing: int
    leaf_identity: int
    leaf_grafted: int
    leaf_revectored: int
    leaf_pages: int
    mid_mfn_pages: int
    brk_pages: int
    boot_pages: int
    alloc_pages: int
    identity_leaf_dirty: int
    missing_leaf_dirty: int
    identity_mid_dirty: int
    missing_mid_dirty: int
    max_p2m_pfn: int


def tree_pages(tree: Tree) -> TreePages:
    """Count the pages of a tree."""
    leaves = tree.mids.rows[2:]
    listed = _count((leaves >= FIRST_OWN) & (leaves < tree.leaves.listed.stop))
    return TreePages(
        top_missing=_count(tree.top == MISSING),
        top_identity=_count(tree.top == IDENTITY),
        mid_pages=tree.mids.private,
        leaf_missing=_count(leaves == MISSING),
        leaf_identity=_count(leaves == IDENTITY),
        leaf_grafted=0 if tree.revectored else listed,
        leaf_revectored=listed if tree.revectored else 0,
        leaf_pages=_count(leaves >= tree.leaves.listed.stop),
        mid_mfn_pages=tree.frame_list.mids.private if tree.frame_list else 0,
        brk_pages=tree.brk_pages,
        boot_pages=tree.boot_pages,
        alloc_pages=tree.runtime_pages,
        identity_leaf_dirty=_count(tree.leaves.page(IDENTITY) != tree.arch.invalid),
        missing_leaf_dirty=_count(tree.leaves.page(MISSING) != tree.arch.invalid),
        identity_mid_dirty=_count(tree.mids.rows[IDENTITY] != IDENTITY),
        missing_mid_dirty=_count(tree.mids.rows[MISSING] != MISSING),
        max_p2m_pfn=tree.max_p2m_pfn,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPages:
    """The pages of a linear list in its area (Linux 3.19 and later).

    ``pmd_*`` count 2 MiB pieces of the list by what their page table page is; ``leaf_*`` count the pages of
    the list below private page table pages, and all of a list that has no area yet; ``mid_mfn_pages`` are the
    frame list's private mids.
    """

    pmd_missing: int
    pmd_identity: int
    pmd_private: int
    leaf_missing: int
    leaf_identity: int
    leaf_private: int
    mid_mfn_pages: int
    p2m_size: int
    max_p2m_pfn: int
    shared_max_pfn: int
    generation: int


def list_pages(linear: LinearList) -> ListPages:
    """Count the pages of a linear list."""
    pmds = linear.pmds_per_piece
    leaves = linear.table
    if len(linear.pieces):
        leaves = leaves.reshape(-1, linear.leaves.entries)[linear.pieces == OWN]
    return ListPages(
        pmd_missing=_count(linear.pieces == MISSING) * pmds,
        pmd_identity=_count(linear.pieces == IDENTITY) * pmds,
        pmd_private=_count(linear.pieces == OWN) * pmds,
        leaf_missing=_count(leaves == MISSING),
        leaf_identity=_count(leaves == IDENTITY),
        leaf_private=_count(leaves >= BLANK),
        mid_mfn_pages=linear.frame_list.mids.private if linear.frame_list else 0,
        p2m_size=linear.size,
        max_p2m_pfn=linear.max_p2m_pfn,
        shared_max_pfn=linear.published_max_pfn,
        generation=linear.generation,
    )


def _count(condition: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(condition))
