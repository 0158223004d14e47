"""The lines that say what colours, patterns and signs mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from xenp2m.draw.palette import LOOKS, UNTOLD
from xenp2m.draw.svg.letters import width_of
from xenp2m.draw.svg.pen import Pen
from xenp2m.entry import Kind

MEANINGS = {
    Kind.RAM: "the guest's own memory",
    Kind.IDENTITY: "machine frame = guest frame",
    Kind.FOREIGN: "another domain's memory",
    Kind.MISSING: "no machine frame",
}

Swatch = Callable[[Pen, float, float, float], None]
"""Draws a sample of ``em`` height: (pen, x, y, em), twice as wide as high."""

Item = tuple[Swatch, str]


def kind_items(kinds: Iterable[Kind | None]) -> list[Item]:
    """Return a sample and the meaning of each kind."""
    items: list[Item] = []
    for kind in kinds:
        look = UNTOLD if kind is None else LOOKS[kind]
        text = look.word if kind is None else f"{look.word}: {MEANINGS[kind]}"
        items.append((_swatch(kind), text))
    return items


def draw_legend(pen: Pen, x: float, y: float, room: float, em: float, items: Iterable[Item]) -> float:
    """Draw items beside each other, in as many lines as it takes; return the height below them."""
    size = em * 0.86
    at, line = x, y
    group = pen.group("legend")
    for swatch, text in items:
        wide = em * 3.4 + width_of(text, size, mono=False)
        if at > x and at + wide - em > x + room:
            at, line = x, line + em * 1.6
        swatch(group, at, line, em * 0.9)
        group.text(at + em * 2.2, line + em * 0.78, text, size, mono=False)
        at += wide
    return line + em * 1.6


def _swatch(kind: Kind | None) -> Swatch:
    def draw(pen: Pen, x: float, y: float, em: float) -> None:
        pen.fill_kind(x, y, em * 2, em, kind)
        pen.rect(x, y, em * 2, em, stroke="line", thick=0.8)

    return draw
