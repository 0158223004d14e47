"""An outline short enough for a picture: pages that are alike as one stack, the middle of many left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from xenp2m.entry import Kind
from xenp2m.p2m.outline import LeafSlots, MidSlots, Page

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Stack:
    """Neighbouring top slots: ``count`` private mids that are alike, or slots of one shared mid.

    ``slots`` spans all of them; what is below is that of each.
    """

    slots: MidSlots
    count: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Slots [first, end) for which the picture has no room: the frames, and how many items they were."""

    first: int
    end: int
    pfn: int
    end_pfn: int
    items: int


def stacked(outline: Sequence[MidSlots]) -> list[Stack]:
    """Join neighbouring private mids whose slots point to the same sorts of pages with one kind each."""
    found: list[Stack] = []
    for slots in outline:
        last = found[-1] if found else None
        if last is not None and not slots.page.shared and _shape(last.slots) == _shape(slots) is not None:
            joined = replace(last.slots, end=slots.end, end_pfn=slots.end_pfn)
            found[-1] = Stack(joined, last.count + 1)
        else:
            found.append(Stack(slots, 1))
    return found


def _shape(slots: MidSlots) -> tuple[object, ...] | None:
    """Return what makes two mids alike; None where frames of a leaf are of several kinds."""
    if any(len(leaf.content) > 1 for leaf in slots.below):
        return None
    below = tuple(
        (leaf.first, leaf.end, leaf.page, tuple(part.kind for part in leaf.content)) for leaf in slots.below
    )
    return (slots.page, *below)


def shortened(items: Sequence[_Item], most: int) -> tuple[Sequence[_Item], Sequence[_Item], Sequence[_Item]]:
    """Return the first items, those left out, and the last ones, in ``most`` places."""
    if len(items) <= most:
        return items, items[:0], items[:0]
    last = max((most - 1) // 3, 1)
    first = most - 1 - last
    return items[:first], items[first:-last], items[-last:]


def left_out_of_top(stacks: Sequence[Stack]) -> LeftOut:
    """Sum up top slots that are left out."""
    first, last = stacks[0].slots, stacks[-1].slots
    mids = sum(stack.count for stack in stacks if not stack.slots.page.shared)
    return LeftOut(first.first, last.end, first.pfn, last.end_pfn, mids)


def left_out_of_mid(slots: Sequence[LeafSlots]) -> LeftOut:
    """Sum up slots of a mid page that are left out."""
    return LeftOut(slots[0].first, slots[-1].end, slots[0].pfn, slots[-1].end_pfn, len(slots))


def slots_to_shared(outline: Sequence[MidSlots], per_page: int) -> dict[Page, int]:
    """Count the slots that point to each shared page, those of shared mids once."""
    slots: dict[Page, int] = {}
    shared = set()
    for mid in outline:
        if mid.page.shared:
            slots[mid.page] = slots.get(mid.page, 0) + mid.end - mid.first
            if mid.page in shared:
                continue
            shared.add(mid.page)
            if not mid.below:
                leaf = leaf_below(mid.page)
                slots[leaf] = slots.get(leaf, 0) + per_page
        for below in mid.below:
            if below.page.shared:
                slots[below.page] = slots.get(below.page, 0) + below.end - below.first
    return slots


def leaf_below(page: Page) -> Page:
    """Return the leaf that every slot of a shared mid points to when it is made."""
    return Page.LEAF_MISSING if kind_below(page) is Kind.MISSING else Page.LEAF_IDENTITY


def kind_below(page: Page) -> Kind:
    """Return what all frames below a shared page are."""
    return Kind.IDENTITY if "identity" in page.value else Kind.MISSING
