"""The p2m drawn as the tree that it is: top, mid and leaf, with the shared pages named."""

from __future__ import annotations

from rich.text import Text
from rich.tree import Tree as Drawing

from xenp2m.draw.palette import DIM, LOOKS
from xenp2m.entry import Kind
from xenp2m.p2m.accounting import list_pages, tree_pages
from xenp2m.p2m.list import LinearList
from xenp2m.p2m.outline import Content, LeafSlots, MidSlots, Page, tree_outline
from xenp2m.p2m.tree import Tree
from xenp2m.units import format_frames

_MOST_RANGES = 6


def draw_tree(p2m: Tree | LinearList, name: str, past: Kind) -> Drawing:
    """Return the p2m as a drawing; ``name`` is the kernel's, ``past`` what frames past the end are."""
    tree = isinstance(p2m, Tree)
    root = Text.assemble(
        (name, "bold"),
        f"  {'p2m_top' if tree else 'xen_p2m_addr: one list, mapped by page tables'}",
    )
    drawing = Drawing(root, guide_style=DIM)
    for slots in tree_outline(p2m):
        branch = drawing.add(_slots("top" if tree else "pmd", slots))
        for below in slots.below:
            branch.add(_leaf(below))
    look = LOOKS[past]
    drawing.add(Text.assemble("past the end  ", (look.word, look.style), " (no page)"))
    drawing.add(Text(pages_line(p2m), style=DIM))
    return drawing


def _slots(level: str, slots: MidSlots | LeafSlots) -> Text:
    index = f"[{slots.first}]" if slots.end == slots.first + 1 else f"[{slots.first}..{slots.end - 1}]"
    size = format_frames(slots.end_pfn - slots.pfn)
    text = Text.assemble(
        f"{level}{index}  ",
        (f"pfn {slots.pfn:#x}-{slots.end_pfn - 1:#x}, {size}  ", DIM),
        (slots.page.value, _style(slots.page)),
    )
    count = slots.end - slots.first
    if slots.page.shared:
        text.append(f"  {count} slot{'s' * (count > 1)} → one shared page", style=DIM)
    return text


def _style(page: Page) -> str:
    if not page.shared:
        return "bold"
    return LOOKS[Kind.IDENTITY if "identity" in page.value else Kind.MISSING].style


def _leaf(slots: LeafSlots) -> Text:
    text = _slots("mid", slots)
    count = slots.end - slots.first
    if not slots.page.shared and count > 1:
        text.append(f" × {count}")
    for index, content in enumerate(slots.content):
        if index == _MOST_RANGES:
            text.append(f", … {len(slots.content) - index} more ranges", style=DIM)
            break
        text.append(": " if index == 0 else ", ")
        text.append(*_content(content, alone=len(slots.content) == 1))
    return text


def _content(content: Content, *, alone: bool) -> tuple[str, str]:
    look = LOOKS[content.kind]
    place = "" if alone else f" {content.pfn:#x}-{content.end_pfn - 1:#x}"
    return f"{look.word}{place}", look.style


def pages_line(p2m: Tree | LinearList) -> str:
    """Say how many pages of each sort it all takes."""
    if isinstance(p2m, Tree):
        tree = tree_pages(p2m)
        return (
            f"pages: {tree.mid_pages} mid, {tree.leaf_pages} leaf, {tree.leaf_grafted} in the builder's "
            f"list, {tree.mid_mfn_pages} for the frame list; {tree.brk_pages} taken from brk in all"
        )
    linear = list_pages(p2m)
    return (
        f"pages: {linear.pmd_private} page tables, {linear.leaf_private} list pages; "
        f"{linear.pmd_missing} pieces share p2m_missing_pte, {linear.pmd_identity} share p2m_identity_pte"
    )
