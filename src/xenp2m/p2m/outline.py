"""The p2m as the tree that it is: top, mid and leaf, shared pages named, neighbouring slots collapsed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from xenp2m.entry import Kind
from xenp2m.p2m.list import LinearList
from xenp2m.p2m.lookup import runs_of, stretches
from xenp2m.p2m.pages import FIRST_OWN, IDENTITY, MISSING, Leaves, Table
from xenp2m.p2m.tree import Tree


class Page(Enum):
    """What a slot points to; the shared pages have the kernel's own names."""

    MID_MISSING = "p2m_mid_missing"
    MID_IDENTITY = "p2m_mid_identity"
    MID = "mid page"
    """A private mid page."""
    MISSING_PTE = "p2m_missing_pte"
    """The list's shared page table page for missing frames."""
    IDENTITY_PTE = "p2m_identity_pte"
    PTE = "page table page"
    """A private page table page of the list."""
    LEAF_MISSING = "p2m_missing"
    LEAF_IDENTITY = "p2m_identity"
    GRAFTED = "leaf in the builder's list"
    REVECTORED = "leaf in the copied list"
    OWN = "leaf page"
    """A leaf page taken later, or any private page of a list in its area."""

    @property
    def shared(self) -> bool:
        """Whether every slot of this sort points to the same page."""
        return self.value.startswith("p2m_")


@dataclass(frozen=True, slots=True)
class Content:
    """What the frames [pfn, end_pfn) in private leaves are."""

    pfn: int
    end_pfn: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class LeafSlots:
    """Neighbouring slots [first, end) of a mid page that point to the same shared leaf, or to private leaves.

    ``content`` is empty below a shared leaf.
    """

    first: int
    end: int
    pfn: int
    end_pfn: int
    page: Page
    content: tuple[Content, ...] = ()


@dataclass(frozen=True, slots=True)
class MidSlots:
    """Neighbouring slots [first, end) of the top page that point to the same shared mid, or one private mid.

    For a list a slot is a mid-sized piece of the area.  ``below`` is empty below a shared mid that holds what
    it was made with, and shows the first of the slots below one that the kernel has written to.
    """

    first: int
    end: int
    pfn: int
    end_pfn: int
    page: Page
    below: tuple[LeafSlots, ...] = ()


def tree_outline(p2m: Tree | LinearList) -> tuple[MidSlots, ...]:
    """Describe the whole p2m from its top on; a list before it has its area is one piece a mid."""
    if isinstance(p2m, Tree):
        names = {MISSING: Page.MID_MISSING, IDENTITY: Page.MID_IDENTITY}
        grafted = Page.REVECTORED if p2m.revectored else Page.GRAFTED
        return _outline(p2m.top, p2m.table, p2m.leaves, names, Page.MID, grafted)
    names = {MISSING: Page.MISSING_PTE, IDENTITY: Page.IDENTITY_PTE}
    if len(p2m.pieces):
        return _outline(p2m.pieces, p2m.table, p2m.leaves, names, Page.PTE, Page.OWN)
    tops = np.full(-(-len(p2m.table) // p2m.leaves.entries), FIRST_OWN)
    return _outline(tops, p2m.table, p2m.leaves, names, Page.PTE, Page.GRAFTED)


def _outline(
    tops: NDArray[np.integer],
    table: Table,
    leaves: Leaves,
    names: dict[int, Page],
    private: Page,
    grafted: Page,
) -> tuple[MidSlots, ...]:
    entries = leaves.entries
    found = []
    # Private mids differ from each other, shared ones do not.
    keys = [names.get(mid, slot) for slot, mid in enumerate(tops.tolist())]
    for key, group in groupby(range(len(keys)), keys.__getitem__):
        slots = list(group)
        first, end = slots[0], slots[-1] + 1
        page = key if isinstance(key, Page) else private
        below = _leaf_slots(table[first * entries : (first + 1) * entries], first * entries, leaves, grafted)
        if page.shared and len(below) == 1 and below[0].page.shared:
            below = ()
        found.append(MidSlots(first, end, first * entries**2, end * entries**2, page, below))
    return tuple(found)


def _leaf_slots(table: Table, base: int, leaves: Leaves, grafted: Page) -> tuple[LeafSlots, ...]:
    entries = leaves.entries
    pages = {MISSING: Page.LEAF_MISSING, IDENTITY: Page.LEAF_IDENTITY}
    found: list[LeafSlots] = []
    for first, end, leaf in stretches(table):
        page = pages.get(leaf, grafted if leaf in leaves.listed else Page.OWN)
        pfn, end_pfn = (base + first) * entries, (base + end) * entries
        content = () if page.shared else _content(leaves, table[first:end], pfn)
        if found and found[-1].page is page:
            last = found.pop()
            content = _joined(last.content + content)
            found.append(LeafSlots(last.first, end, last.pfn, end_pfn, page, content))
        else:
            found.append(LeafSlots(first, end, pfn, end_pfn, page, content))
    return tuple(found)


def _content(leaves: Leaves, table: Table, pfn: int) -> tuple[Content, ...]:
    return _joined(tuple(Content(pfn + run.pfn, pfn + run.end, run.kind) for run in runs_of(leaves, table)))


def _joined(parts: tuple[Content, ...]) -> tuple[Content, ...]:
    joined = []
    for kind, group in groupby(parts, lambda part: part.kind):
        same = list(group)
        joined.append(Content(same[0].pfn, same[-1].end_pfn, kind))
    return tuple(joined)
