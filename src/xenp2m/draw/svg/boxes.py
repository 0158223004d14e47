"""The boxes of the tree: pages with their slots, leaves with what is in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xenp2m.draw.palette import LOOKS
from xenp2m.draw.svg.colours import role_of
from xenp2m.draw.svg.letters import fitting, width_of
from xenp2m.draw.svg.pen import Parts, Pen
from xenp2m.entry import Kind
from xenp2m.p2m.outline import Content, LeafSlots, MidSlots
from xenp2m.units import format_frames

_MOST_LINES = 3
_SMALL = 0.86
"""The size of texts in boxes, in em."""


@dataclass(frozen=True, slots=True)
class Column:
    """Where a column of boxes begins and how wide it is."""

    x: float
    width: float

    @property
    def end(self) -> float:
        """Where it ends."""
        return self.x + self.width


@dataclass(frozen=True, slots=True)
class Sizes:
    """The measures of a picture: the height of letters and the three columns."""

    width: float
    em: float
    top: Column
    mid: Column
    leaf: Column

    @classmethod
    def of(cls, width: float) -> Sizes:
        """Divide a width: letters grow with it, between what can be read and what fits a slide."""
        em = min(max(width / 80, 10.5), 18.0)
        margin, gutter = em * 1.2, min(width * 0.085, em * 6.5)
        room = width - 2 * margin - 2 * gutter
        shares = (0.27, 0.31, 0.42)
        top, mid, leaf = (room * share for share in shares)
        return cls(
            width,
            em,
            Column(margin, top),
            Column(margin + top + gutter, mid),
            Column(width - margin - leaf, leaf),
        )

    @property
    def title(self) -> float:
        """The height of the line with a box's name."""
        return self.em * 1.7

    @property
    def row(self) -> float:
        """The height of a slot that points to a shared page."""
        return self.em * 1.7

    @property
    def gap(self) -> float:
        """What lies between boxes."""
        return self.em * 0.7

    @property
    def small(self) -> float:
        """The size of texts in boxes."""
        return self.em * _SMALL


def slots_label(first: int, end: int) -> str:
    """Return slots as they are counted: "[3..487]"."""
    return f"[{first}]" if end == first + 1 else f"[{first}..{end - 1}]"


def frames_label(pfn: int, end_pfn: int) -> str:
    """Return frames as the tree prints them: "pfn 0x40600-0x7cfff"."""
    return f"pfn {pfn:#x}-{end_pfn - 1:#x}"


class LeafBox:
    """A leaf page, or several below neighbouring slots: how its frames divide, and which they are."""

    def __init__(self, slots: LeafSlots, sizes: Sizes) -> None:
        self.slots = slots
        self._sizes = sizes
        self._lines = _content_lines(slots.content, sizes.leaf.width - sizes.em * 1.2, sizes.small)
        self.height = sizes.title + sizes.em * (0.95 + 1.25 * len(self._lines))

    def draw(self, pen: Pen, y: float) -> None:
        """Draw it at a height."""
        sizes, slots, column = self._sizes, self.slots, self._sizes.leaf
        em, count = sizes.em, slots.end - slots.first
        group = pen.group("leaf", pfn=f"{slots.pfn:#x}", end_pfn=f"{slots.end_pfn:#x}")
        sheet(group, column, y, self.height, em, stack=count > 1)
        times = f" × {count}" if count > 1 else ""
        long, short = f"{slots.page.value}{times}", f"{_SHORT.get(slots.page.value, slots.page.value)}{times}"
        room = column.width - em
        group.text(
            column.x + em * 0.5,
            y + em * 1.2,
            fitting(room, sizes.small, long, short, mono=True),
            sizes.small,
            bold=True,
        )
        strip(group, column.x + em * 0.5, y + sizes.title, room, em * 0.7, slots.content)
        for index, line in enumerate(self._lines):
            height = y + sizes.title + em * (1.75 + 1.25 * index)
            group.text(column.x + em * 0.5, height, line, sizes.small * 0.95)


_SHORT = {"leaf in the builder's list": "builder's list", "leaf in the copied list": "copied list"}


def sheet(pen: Pen, column: Column, y: float, height: float, em: float, *, stack: bool = False) -> None:
    """Draw the outline of a page, with others behind it where there are several."""
    for back in (2, 1) if stack else ():
        step = em * 0.22 * back
        x, top = column.x + step, y + step
        pen.rect(x, top, column.width, height, fill="page", stroke="line", round_by=em * 0.2)
    pen.rect(
        column.x, y, column.width, height, fill="page", stroke="line", thick=em * 0.09, round_by=em * 0.2
    )


def strip(pen: Pen, x: float, y: float, width: float, height: float, content: Sequence[Content]) -> None:
    """Draw how frames divide by kind, to scale; the least of them is still seen."""
    whole = content[-1].end_pfn - content[0].pfn
    at = x
    for part in content:
        share = max((part.end_pfn - part.pfn) / whole * width, 2.0)
        stop = min(max(x + (part.end_pfn - content[0].pfn) / whole * width, at + share), x + width)
        pen.fill_kind(at, y, stop - at, height, part.kind)
        at = stop
    pen.rect(x, y, width, height, stroke="line", thick=0.8)


def place_forms(slots: MidSlots | LeafSlots) -> tuple[str, ...]:
    """Return where the frames of a slot lie and how much memory they are, from the longest form on."""
    amount = format_frames(slots.end_pfn - slots.pfn)
    return (
        f"{frames_label(slots.pfn, slots.end_pfn)}  {amount}",
        f"pfn {slots.pfn:#x}…  {amount}",
        f"{slots.pfn:#x}  {amount}",
        amount,
        "",
    )


def common_form(column: Column, sizes: Sizes, slots: Iterable[MidSlots | LeafSlots]) -> int:
    """Return the longest form that fits for all slots of a column, so that they read alike."""
    return max((_shortest(column, sizes, each) for each in slots), default=0)


def _shortest(column: Column, sizes: Sizes, slots: MidSlots | LeafSlots) -> int:
    label = width_of(slots_label(slots.first, slots.end), sizes.small, mono=True)
    room = column.width - label - sizes.em * 1.9
    forms = place_forms(slots)
    return next(index for index, form in enumerate(forms) if width_of(form, sizes.small, mono=True) <= room)


def draw_slot(
    pen: Pen, column: Column, y: float, sizes: Sizes, slots: MidSlots | LeafSlots, place: str, role: str
) -> None:
    """Write one row of a page: its slots on the left, where they lie on the right.

    ``y`` is the middle of the writing.
    """
    em, size = sizes.em, sizes.small
    base = y + size * 0.36
    pen.text(column.x + em * 0.5, base, slots_label(slots.first, slots.end), size, bold=True)
    if place:
        pen.text(column.end - em * 0.9, base, place, size, fill="dim", anchor="end")
    pen.rect(column.end - em * 0.3, y - em * 0.3, em * 0.6, em * 0.6, fill=role)


def draw_kind(pen: Pen, column: Column, y: float, sizes: Sizes, kind: Kind, *texts: str) -> None:
    """Fill the inside of a page with one kind, and write below it the first of the texts that fits."""
    em, size = sizes.em, sizes.small * 0.95
    x, room = column.x + em * 0.5, column.width - em
    pen.fill_kind(x, y, room, em * 0.7, kind)
    pen.rect(x, y, room, em * 0.7, stroke="line", thick=0.8)
    pen.text(x, y + em * 1.75, fitting(room, size, *texts, mono=True), size, fill=role_of(kind))


def _content_lines(content: Sequence[Content], room: float, size: float) -> list[Parts]:
    """Say which frames of a leaf are what, in as many lines as there may be; one kind needs one word."""
    if len(content) == 1:
        kind = content[0].kind
        return [[(f"all {LOOKS[kind].word}", role_of(kind))]]
    lines: list[list[tuple[str, str]]] = [[]]
    used = 0.0
    for index, part in enumerate(content):
        word = LOOKS[part.kind].word
        place = f" {part.pfn:#x}" + (f"-{part.end_pfn - 1:#x}" if part.end_pfn - part.pfn > 1 else "")
        rest = f"… {len(content) - index} more ranges"
        length = width_of(f"{word}{place}  ", size, mono=True)
        later = width_of(rest, size, mono=True) if index + 1 < len(content) else 0.0
        last = len(lines) == _MOST_LINES
        if lines[-1] and used + length + (later if last else 0.0) > room:
            if last:
                lines[-1].append((rest, "dim"))
                return list(lines)
            lines.append([])
            used = 0.0
        lines[-1] += [(word, role_of(part.kind)), (f"{place}  ", "dim")]
        used += length
    return list(lines)
