"""The p2m as a picture: top, mid and leaf pages in three columns, every shared page once."""

from __future__ import annotations

from dataclasses import replace

from xenp2m.draw.palette import LOOKS
from xenp2m.draw.svg.boxes import (
    Column,
    LeafBox,
    Sizes,
    common_form,
    draw_kind,
    draw_slot,
    place_forms,
    sheet,
    slots_label,
)
from xenp2m.draw.svg.colours import Scheme, role_of
from xenp2m.draw.svg.legend import draw_legend, kind_items
from xenp2m.draw.svg.letters import fitting, width_of, wrapped
from xenp2m.draw.svg.pen import Pen, Picture
from xenp2m.draw.svg.stacks import (
    LeftOut,
    Stack,
    kind_below,
    leaf_below,
    left_out_of_mid,
    left_out_of_top,
    shortened,
    slots_to_shared,
    stacked,
)
from xenp2m.draw.svg.wires import Trunk, arrow
from xenp2m.draw.tree import pages_line
from xenp2m.entry import Kind
from xenp2m.p2m.list import LinearList
from xenp2m.p2m.outline import LeafSlots, MidSlots, Page, tree_outline
from xenp2m.p2m.tree import Tree
from xenp2m.units import format_frames

_MOST_MIDS = 10
_MOST_ROWS = 12
_MOST_LINES = 3
_SHARED_MIDS = (Page.MID_MISSING, Page.MISSING_PTE, Page.MID_IDENTITY, Page.IDENTITY_PTE)
_SHARED_LEAVES = (Page.LEAF_MISSING, Page.LEAF_IDENTITY)


def tree_svg(
    p2m: Tree | LinearList,
    kernel: str,
    past: Kind,
    *,
    machine: str = "",
    width: float = 1000,
    scheme: Scheme = Scheme.AUTO,
    standalone: bool = True,
    prefix: str = "xp-tree",
) -> str:
    """Return the p2m as an SVG of ``width`` pixels, in the spirit of the one at the head of p2m.c.

    ``kernel`` is the kernel's name and ``past`` what frames past the end are, as for ``draw_tree``.
    Neighbouring mids that are alike are one stack, and what there is no room for is counted.
    Not ``standalone``, the picture is for the inside of a page: without XML declaration, ground and style
    sheet (the page has ``inline_rules()`` and the variables); ``prefix`` then keeps its ids apart.
    """
    title = f"{machine or 'the machine'}: p2m under kernel {kernel}"
    sizes = Sizes.of(width)
    picture = Picture("tree", title, em=sizes.em, scheme=scheme, prefix=prefix)
    drawing = _Drawing(picture.pen, sizes, p2m, past)
    height = drawing.draw(machine, kernel)
    return picture.finish(width, height, drawing.description, standalone=standalone)


class _Drawing:
    """One tree being drawn, from top to bottom."""

    def __init__(self, pen: Pen, sizes: Sizes, p2m: Tree | LinearList, past: Kind) -> None:
        self._pen = pen
        self._wires = pen.group("wires")
        self._sizes = sizes
        self._p2m = p2m
        self._past = past
        self._outline = tree_outline(p2m)
        self._trunks = self._lanes()
        self._said: list[str] = []
        self._top_form = common_form(sizes.top, sizes, self._outline)
        below = (leaf for mid in self._outline if not mid.page.shared for leaf in mid.below)
        self._mid_form = common_form(sizes.mid, sizes, below)

    @property
    def description(self) -> str:
        """What the picture shows, in words."""
        return ". ".join((*self._said, f"Past the end: {LOOKS[self._past].word}", pages_line(self._p2m)))

    def draw(self, machine: str, kernel: str) -> float:
        """Draw everything; return the height."""
        sizes, em = self._sizes, self._sizes.em
        y = self._head(machine, kernel)
        column, start = sizes.top, y
        stacks = stacked(self._outline)
        first, hidden, last = shortened(stacks, _MOST_MIDS)
        heights = [self._height(stack) for stack in (*first, *last)]
        whole = sum(heights) + (sizes.row * 1.4 if hidden else 0.0)
        sheet(self._pen, column, start, whole, em)
        for index, stack in enumerate((*first, *last)):
            if hidden and index == len(first):
                y = self._left_out(column, y, left_out_of_top(hidden), "mid pages")
            if y > start:
                self._pen.path(f"M{column.x:.1f} {y:.1f}H{column.end:.1f}", stroke="faint")
            self._top_slot(stack, y, heights[index])
            y += heights[index]
        y = self._shared(y + em * 1.2)
        kinds = {part.kind for mid in self._outline for leaf in mid.below for part in leaf.content}
        kinds |= {kind_below(page) for page, trunk in self._trunks.items()} | {self._past}
        left, room = sizes.top.x, sizes.width - 2 * sizes.top.x
        y = draw_legend(self._pen, left, y + em * 0.5, room, em, kind_items(sorted(kinds)))
        for line in wrapped(pages_line(self._p2m), room, sizes.small):
            self._pen.text(left, y + em * 0.6, line, sizes.small, fill="dim", mono=False)
            y += em * 1.3
        return y + em * 0.5

    def _head(self, machine: str, kernel: str) -> float:
        sizes, em = self._sizes, self._sizes.em
        under = f"p2m under kernel {kernel}"
        whole = f"{machine}: {under}" if machine else under
        room = sizes.width - 2 * sizes.top.x
        y = em * 0.4
        for line in wrapped(whole, room * 0.92, em * 1.4)[:_MOST_LINES]:
            y += em * 1.8
            self._pen.text(sizes.top.x, y, line, em * 1.4, mono=False, bold=True)
        arch = self._p2m.arch
        each = [f"{format_frames(pages)} each" for pages in (arch.pfns_per_mid, arch.pfns_per_leaf)]
        names = ("p2m_top", "mid pages", "leaf pages")
        if not isinstance(self._p2m, Tree):
            names = ("xen_p2m_addr", "page tables", "list pages")
        columns = (sizes.top, sizes.mid, sizes.leaf)
        for column, name, more in zip(columns, names, ("", *each), strict=True):
            parts = [(name, "ink"), (f"  {more}", "dim")]
            self._pen.text(column.x, y + em * 1.9, parts, sizes.small, bold=True)
        return y + em * 2.5

    def _lanes(self) -> dict[Page, Trunk]:
        """Give every shared page that can be reached a lane of its own between the columns."""
        slots = slots_to_shared(self._outline, self._p2m.arch.entries_per_page)
        trunks = {}
        for pages, end in ((_SHARED_MIDS, self._sizes.mid.x), (_SHARED_LEAVES, self._sizes.leaf.x)):
            for index, page in enumerate(page for page in pages if page in slots):
                lane = end - self._sizes.em * (1.3 + 0.9 * index)
                trunks[page] = Trunk(role_of(kind_below(page)), slots[page], lane)
        return trunks

    def _height(self, stack: Stack) -> float:
        """Return the height of a top slot: that of the mid page that stands beside it, or of one row."""
        sizes = self._sizes
        if stack.slots.page.shared:
            return sizes.row
        return self._mid_height(stack.slots) + 2 * sizes.gap

    def _mid_height(self, slots: MidSlots) -> float:
        first, hidden, last = shortened(slots.below, _MOST_ROWS)
        rows = sum(self._row_height(leaf) for leaf in (*first, *last))
        return self._sizes.title + rows + (self._sizes.row * 1.4 if hidden else 0.0)

    def _row_height(self, leaf: LeafSlots) -> float:
        sizes = self._sizes
        return sizes.row if leaf.page.shared else LeafBox(leaf, sizes).height + sizes.gap

    def _top_slot(self, stack: Stack, y: float, height: float) -> None:
        sizes, slots = self._sizes, stack.slots
        pen = self._pen.group("slot", pfn=f"{slots.pfn:#x}", end_pfn=f"{slots.end_pfn:#x}")
        name = f"top{slots_label(slots.first, slots.end)}"
        self._said.append(f"{name}: {slots.page.value}" + (f" × {stack.count}" if stack.count > 1 else ""))
        place = place_forms(slots)[self._top_form]
        if slots.page.shared:
            middle = y + height / 2
            draw_slot(pen, sizes.top, middle, sizes, slots, place, role_of(kind_below(slots.page)))
            self._trunks[slots.page].feed(sizes.top.end + sizes.em * 0.3, middle)
            return
        middle = y + sizes.gap + sizes.title / 2
        draw_slot(pen, sizes.top, middle, sizes, slots, place, "ink")
        arrow(self._wires, sizes.top.end + sizes.em * 0.3, sizes.mid.x, middle, sizes.em, "ink")
        several = f"{stack.count} {slots.page.value}s, all alike" if stack.count > 1 else slots.page.value
        self._mid_page(slots, y + sizes.gap, several, stack=stack.count > 1)

    def _mid_page(self, slots: MidSlots, y: float, name: str, *, stack: bool = False) -> None:
        """Draw a mid page with its slots; a stack or a shared page has no frames of its own."""
        placed = not (stack or slots.page.shared)
        sizes, em, column = self._sizes, self._sizes.em, self._sizes.mid
        pen = self._pen.group("mid")
        sheet(pen, column, y, self._mid_height(slots), em, stack=stack)
        title = fitting(column.width - em, sizes.small, name, mono=True)
        pen.text(column.x + em * 0.5, y + em * 1.2, title, sizes.small, bold=True)
        y += sizes.title
        first, hidden, last = shortened(slots.below, _MOST_ROWS)
        for index, leaf in enumerate((*first, *last)):
            if hidden and index == len(first):
                y = self._left_out(column, y, left_out_of_mid(hidden), "ranges")
            pen.path(f"M{column.x:.1f} {y:.1f}H{column.end:.1f}", stroke="faint")
            place = place_forms(leaf)[self._mid_form] if placed else ""
            self._mid_slot(pen, leaf, y, place)
            y += self._row_height(leaf)

    def _mid_slot(self, pen: Pen, leaf: LeafSlots, y: float, place: str) -> None:
        sizes, column = self._sizes, self._sizes.mid
        content = ", ".join(LOOKS[part.kind].word for part in leaf.content)
        self._said.append(f"mid{slots_label(leaf.first, leaf.end)}: {leaf.page.value} {content}".rstrip())
        if leaf.page.shared:
            middle = y + sizes.row / 2
            draw_slot(pen, column, middle, sizes, leaf, place, role_of(kind_below(leaf.page)))
            self._trunks[leaf.page].feed(column.end + sizes.em * 0.3, middle)
            return
        box = LeafBox(leaf, sizes)
        middle = y + sizes.gap / 2 + sizes.title / 2
        draw_slot(pen, column, middle, sizes, leaf, place, "ink")
        arrow(self._wires, column.end + sizes.em * 0.3, sizes.leaf.x, middle, sizes.em, "ink")
        box.draw(self._pen, y + sizes.gap / 2)

    def _left_out(self, column: Column, y: float, what: LeftOut, items: str) -> float:
        sizes = self._sizes
        text = fitting(
            column.width - sizes.em,
            sizes.small,
            f"{slots_label(what.first, what.end)}  {what.items} more {items}",
            f"… {what.items} more {items}",
            f"… {what.items} more",
            mono=True,
        )
        self._said.append(f"{what.items} more {items} left out")
        middle = y + sizes.row * 0.7 + sizes.small * 0.36
        self._pen.text(column.x + sizes.em * 0.5, middle, text, sizes.small, fill="dim")
        return y + sizes.row * 1.4

    def _shared(self, y: float) -> float:
        """Draw the shared pages, the mid and the leaf of a kind side by side, and what is past the end."""
        sizes, em = self._sizes, self._sizes.em
        past = self._past_the_end(y)
        if not self._trunks:
            return past
        self._pen.path(f"M{sizes.mid.x:.1f} {y:.1f}H{sizes.leaf.end:.1f}", stroke="faint", dash="4 4")
        words = "shared pages, each there once"
        self._pen.text(sizes.mid.x, y + em * 1.3, words, sizes.small, fill="dim", mono=False)
        y += em * 1.9
        for kind in (Kind.MISSING, Kind.IDENTITY):
            mid = next(
                (page for page in self._trunks if page in _SHARED_MIDS and kind_below(page) is kind), None
            )
            below = y
            meets = y + sizes.title / 2
            if mid is not None:
                meets, below = self._shared_mid(mid, y)
            leaf = Page.LEAF_MISSING if kind is Kind.MISSING else Page.LEAF_IDENTITY
            if leaf in self._trunks:
                below = max(below, self._shared_leaf(leaf, kind, meets))
            y = below + (sizes.gap if below > y else 0.0)
        for trunk in self._trunks.values():
            trunk.draw(self._wires, em)
        return max(y, past)

    def _shared_mid(self, page: Page, y: float) -> tuple[float, float]:
        """Draw a shared mid; return the middle of its first slot, and the height below it."""
        sizes = self._sizes
        slots = next(mid for mid in self._outline if mid.page is page)
        if not slots.below:
            per_page = self._p2m.arch.entries_per_page
            slots = replace(slots, below=(LeafSlots(0, per_page, 0, 0, leaf_below(page)),))
        self._trunks[page].end = (sizes.mid.x, y + sizes.title / 2)
        self._mid_page(slots, y, page.value)
        self._reached(sizes.mid, y, page)
        return y + sizes.title + sizes.row / 2, y + self._mid_height(slots)

    def _shared_leaf(self, page: Page, kind: Kind, meets: float) -> float:
        """Draw a shared leaf, its title where ``meets`` says; return the height below it."""
        sizes, em, column = self._sizes, self._sizes.em, self._sizes.leaf
        y, height = meets - sizes.title / 2, sizes.title + em * 2.3
        pen = self._pen.group("leaf")
        sheet(pen, column, y, height, em)
        pen.text(column.x + em * 0.5, y + em * 1.2, page.value, sizes.small, bold=True)
        self._reached(column, y, page)
        text = f"all frames here are {LOOKS[kind].word}"
        draw_kind(pen, column, y + sizes.title, sizes, kind, f"known by its address: {text}", text)
        self._trunks[page].end = (column.x, meets)
        return y + height

    def _reached(self, column: Column, y: float, page: Page) -> None:
        """Say in the title of a shared page how many slots point to it."""
        sizes, slots = self._sizes, self._trunks[page].slots
        room = column.width - sizes.em * 1.5 - width_of(page.value, sizes.small, mono=True)
        text = fitting(room, sizes.small, f"← {slots:,} slot{'s' * (slots > 1)}", f"← {slots}", mono=True)
        place = column.end - sizes.em * 0.5
        self._pen.text(place, y + sizes.em * 1.2, text, sizes.small, fill="dim", anchor="end")

    def _past_the_end(self, y: float) -> float:
        """Draw what frames past the last slot are, which no page says; return the height below it."""
        sizes, em, column = self._sizes, self._sizes.em, self._sizes.top
        top, height = y + em * 1.9, sizes.title + em * 2.3
        end = self._outline[-1].end_pfn if isinstance(self._p2m, Tree) else self._p2m.size
        pen = self._pen.group("past", pfn=f"{end:#x}")
        pen.rect(column.x, top, column.width, height, stroke="line", round_by=em * 0.2, dash="5 4")
        room, size, word = column.width - em, sizes.small, LOOKS[self._past].word
        words = fitting(room, size, f"past the end: pfn {end:#x}…", f"pfn {end:#x}…", "past end", mono=True)
        pen.text(column.x + em * 0.5, top + em * 1.2, words, size, bold=True)
        draw_kind(pen, column, top + sizes.title, sizes, self._past, f"no page: all {word}", f"all {word}")
        return top + height
