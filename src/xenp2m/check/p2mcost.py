"""What the p2m itself costs: its pages, the frame list for tools, and how much is shared."""

from __future__ import annotations

from xenp2m.boot.guest import Guest
from xenp2m.check.account import Account, Line
from xenp2m.p2m.accounting import list_pages, tree_pages
from xenp2m.p2m.list import LinearList
from xenp2m.p2m.replay import replay
from xenp2m.p2m.tree import Tree
from xenp2m.units import GIB, PAGE_SIZE

_FRAME_LIST_FIXED = 3
"""p2m_mid_missing_mfn, p2m_top_mfn and p2m_top_mfn_p."""
_LEAF_WHY = "one for each 2 MiB (4 MiB on 32 bits) that is not shared"
_MID_MFN_WHY = "machine frames of the leaves, for tools outside"
_TOP_MFN_WHY = "p2m_top_mfn, p2m_top_mfn_p, p2m_mid_missing_mfn"
_SHARED = 2
"""p2m_missing and p2m_identity; as many page table pages share them."""


def p2m_accounts(guest: Guest) -> tuple[Account, ...]:
    """Return the pages of a guest's p2m, and the pages that it stands for (one a leaf), as two accounts."""
    p2m = replay(guest)
    if isinstance(p2m, Tree):
        return _tree(p2m)
    return _list(p2m) if guest.last_p2m_pfn is not None else ()


def _tree(tree: Tree) -> tuple[Account, ...]:
    """Account for a tree: what the boot allocators gave against what is in the tree and the frame list."""
    pages = tree_pages(tree)
    listed = pages.leaf_grafted + pages.leaf_revectored
    shared = 4 + tree.rules.compact_mid
    unused = tree.rules.compact_mid and tree.rules.mid_mfn_in_brk
    tools = _FRAME_LIST_FIXED + unused if tree.frame_list else 0
    sources = (
        Line("brk", "pages of the boot reservation (brk)", pages.brk_pages),
        Line("boot", "pages of the boot allocator", pages.boot_pages),
        Line("builder", "leaves in the domain builder's list", listed, "used in place, or copied on 64 bits"),
    )
    lines = (
        Line("top", "top and shared pages", shared, "p2m_top and the shared missing and 1:1 pages"),
        Line("mid", "mid pages", pages.mid_pages, "one for each GiB (4 GiB on 32 bits) that is not shared"),
        Line("leaf", "leaf pages", listed + pages.leaf_pages, _LEAF_WHY),
        Line("mid_mfn", "frame list: mid_mfn pages", pages.mid_mfn_pages, _MID_MFN_WHY),
        Line("frame_list", "frame list: top and shared pages", tools, _TOP_MFN_WHY),
    )
    entries = tree.arch.entries_per_page
    whole = entries * entries
    slots = (
        Line("own", "own pages", listed + pages.leaf_pages),
        Line("missing", "the shared missing page", pages.leaf_missing),
        Line("identity", "the shared 1:1 page", pages.leaf_identity),
        Line("mid_missing", "below a shared missing mid", pages.top_missing * entries),
        Line("mid_identity", "below a shared 1:1 mid", pages.top_identity * entries),
    )
    return (
        Account("p2m", "What the p2m costs", sources, lines),
        Account("slots", "The pages that the p2m stands for", (_stands_for(whole),), slots),
    )


def _list(linear: LinearList) -> tuple[Account, ...]:
    """Account for a list in its area: the slots of the area against the pages behind them."""
    pages = list_pages(linear)
    entries, pmds = linear.arch.entries_per_page, linear.pmds_per_piece
    below = entries // pmds
    area = pages.p2m_size // linear.arch.pfns_per_leaf
    directories = -(-area * PAGE_SIZE // GIB) if linear.arch.bits == 64 else 0
    fixed = _FRAME_LIST_FIXED if linear.frame_list else 0
    shared = _SHARED + _SHARED * pmds
    lines = (
        Line("leaf", "list pages", pages.leaf_private, _LEAF_WHY),
        Line("tables", "page tables of the list", pages.pmd_private, "one for each GiB (2 GiB) not shared"),
        Line("directories", "page directories of the area", directories, "one for each GiB of addresses"),
        Line("shared", "shared pages", shared, "p2m_missing, p2m_identity and their page tables"),
        Line("mid_mfn", "frame list: mid_mfn pages", pages.mid_mfn_pages, _MID_MFN_WHY),
        Line("frame_list", "frame list: top and shared pages", fixed, _TOP_MFN_WHY),
    )
    taken = sum(line.pages or 0 for line in lines)
    source = Line("taken", "pages taken during boot", taken, "the builder's list is given back")
    remark = Line(
        "area", "virtual area of the list", area, "addresses only: memory is behind the pages above"
    )
    slots = (
        Line("own", "own pages", pages.leaf_private),
        Line("missing", "the shared missing page", pages.leaf_missing),
        Line("identity", "the shared 1:1 page", pages.leaf_identity),
        Line("mid_missing", "below a shared missing page table", pages.pmd_missing * below),
        Line("mid_identity", "below a shared 1:1 page table", pages.pmd_identity * below),
    )
    return (
        Account("p2m", "What the p2m costs", (source,), lines, (remark,)),
        Account("slots", "The pages that the p2m stands for", (_stands_for(area),), slots),
    )


def _stands_for(pages: int) -> Line:
    return Line("slots", "pages of words, one for each 2 MiB (4 MiB on 32 bits)", pages)
