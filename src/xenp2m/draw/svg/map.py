"""Frame maps as a picture: one below the other on one address axis, their differences joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from xenp2m.draw.palette import LOOKS, UNTOLD
from xenp2m.draw.svg.colours import BAD, GOOD, Scheme
from xenp2m.draw.svg.legend import Item, draw_legend, kind_items
from xenp2m.draw.svg.letters import fitting, width_of, wrapped
from xenp2m.draw.svg.marks import BarMark, bar_sign, draw_bars
from xenp2m.draw.svg.pen import Pen, Picture
from xenp2m.draw.svg.ruler import Ruler
from xenp2m.draw.svg.strips import Strip, draw_e820, e820_sign, kind_of, past_sign, small_sign, stretches
from xenp2m.entry import Kind
from xenp2m.machine import E820Entry
from xenp2m.runs import Ambiguous, RunMap
from xenp2m.units import PAGE_SHIFT, format_frames

_MOST_SAID = 40
_MOST_LINES = 3
_PAIR = 8
_BARS = {None: "BAR", True: "BAR maps, whichever way", False: "BAR does not map with every driver"}


@dataclass(frozen=True, slots=True)
class MapRow:
    """One map of a picture: what to call it, the frames that it does not tell, BARs, and a remark.

    ``good`` colours the remark: None is neither good nor bad.
    """

    name: str
    map: RunMap
    ambiguous: Sequence[Ambiguous] = ()
    bars: Sequence[BarMark] = field(default=())
    remark: str = ""
    good: bool | None = None


def map_svg(
    rows: Sequence[MapRow],
    *,
    title: str,
    subtitle: str = "",
    host: Sequence[E820Entry] = (),
    bars: Sequence[BarMark] = (),
    linked: bool = True,
    width: float = 1000,
    scheme: Scheme = Scheme.AUTO,
    standalone: bool = True,
    prefix: str = "xp-map",
) -> str:
    """Return maps as an SVG of ``width`` pixels: stacked, on one logarithmic axis, with ``host``'s E820 and
    ``bars`` on it, which are for a picture without maps.

    A place shows the kind that most of its frames have, and a mark below it the other kinds.  ``linked``
    joins the places at which a map differs from the one above it.  ``standalone`` and ``prefix`` are as for
    ``tree_svg``.
    """
    em = min(max(width / 80, 10.5), 18.0)
    picture = Picture("map", title, em=em, scheme=scheme, prefix=prefix)
    drawing = _Drawing(picture.pen, rows, host, bars, width, em)
    height = drawing.draw(title, subtitle, linked=linked)
    said = [subtitle, *(_said(row) for row in rows)]
    return picture.finish(width, height, ". ".join(filter(None, said)), standalone=standalone)


class _Drawing:
    """Maps being drawn, from top to bottom."""

    def __init__(
        self,
        pen: Pen,
        rows: Sequence[MapRow],
        host: Sequence[E820Entry],
        bars: Sequence[BarMark],
        width: float,
        em: float,
    ) -> None:
        highest = [entry.end for entry in host]
        highest += [bar.address for placed in (bars, *(row.bars for row in rows)) for bar in placed]
        highest += [max(row.map.arch.max_p2m_pfn, row.map.end_pfn) << PAGE_SHIFT for row in rows]
        self._pen = pen
        self._em = em
        self._rows = rows
        self._host = host
        self._bars = bars
        self._ruler = Ruler.to(max(highest, default=1), em * 1.4, width - em * 2.8, em)
        self._strips = [Strip(row.map, self._ruler, row.ambiguous) for row in rows]

    def draw(self, title: str, subtitle: str, *, linked: bool) -> float:
        """Draw everything; return the height."""
        em, ruler = self._em, self._ruler
        y = self._head(title, subtitle)
        lines = self._pen.group("lines")
        top = y
        if self._host:
            self._pen.text(ruler.x, y + em * 0.8, "E820", em * 0.86, bold=True)
            y += em * (2.6 if self._bars else 1.1)
            draw_e820(self._pen.group("e820"), self._host, ruler, y, em * 0.9)
            draw_bars(self._pen, self._bars, ruler, y)
            y += em * 1.5
        above = None
        for row, strip in zip(self._rows, self._strips, strict=True):
            start = y + em * (3.3 if row.bars else 2.1)
            links = self._pen.group("link")
            free = self._name(row, y + em * 1.2)
            if above is not None and linked:
                self._link(links, above, strip, (y - em * 0.6, start), free)
            group = self._pen.group("row", name=row.name)
            strip.draw(group, start, em * 2.2)
            draw_bars(group, row.bars, ruler, start)
            above = strip
            y = start + em * 2.8
        ruler.lines(lines, top, y)
        ruler.draw(self._pen.group("axis"), y + em * 0.9)
        kinds = {kind for strip in self._strips for kind in strip.found()}
        order = [kind for kind in (*Kind, None) if kind in kinds]
        items = kind_items(order) + self._signs()
        return draw_legend(self._pen, ruler.x, y + em * 2.0, ruler.width, em, items) + em * 0.2

    def _head(self, title: str, subtitle: str) -> float:
        em, ruler = self._em, self._ruler
        y = em * 0.4
        for line in wrapped(title, ruler.width * 0.92, em * 1.4)[:_MOST_LINES]:
            y += em * 1.8
            self._pen.text(ruler.x, y, line, em * 1.4, mono=False, bold=True)
        for line in wrapped(subtitle, ruler.width, em * 0.9)[:_MOST_LINES]:
            y += em * 1.5
            self._pen.text(ruler.x, y, line, em * 0.9, fill="dim", mono=False)
        return y + em * 1.2

    def _name(self, row: MapRow, y: float) -> float:
        """Write what a map is called and the remark on it; return where that ends."""
        em, ruler = self._em, self._ruler
        name = fitting(ruler.width * 0.6, em * 1.1, row.name, mono=True)
        self._pen.text(ruler.x, y, name, em * 1.1, bold=True)
        left = ruler.x + width_of(name, em * 1.1, mono=True) + em
        remark = fitting(ruler.end - left, em * 0.9, row.remark, mono=False)
        if not remark:
            return left
        role = "dim" if row.good is None else GOOD if row.good else BAD
        self._pen.text(left, y, remark, em * 0.9, fill=role, mono=False)
        return left + width_of(remark, em * 0.9, mono=False) + em

    def _link(self, pen: Pen, above: Strip, below: Strip, heights: tuple[float, float], free: float) -> None:
        """Join the places at which two maps differ; say how where there is room after ``free``."""
        em, ruler, (top, bottom) = self._em, self._ruler, heights
        step = ruler.width / len(above.kinds)
        differ = above.kinds != below.kinds
        for start, stop, _ in stretches(np.where(differ, 0, -1)):
            left, right = ruler.x + step * start, ruler.x + step * max(stop, start + 1.5)
            pen.rect(left, top, right - left, bottom - top, fill="link")
            sides = f"M{left:.1f} {top:.1f}V{bottom:.1f}M{right:.1f} {top:.1f}V{bottom:.1f}"
            pen.path(sides, stroke="line")
        pairs = np.where(differ, above.kinds * _PAIR + below.kinds, -1)
        for start, stop, pair in stretches(pairs):
            left, right = max(ruler.x + step * start, free), ruler.x + step * stop
            words = " → ".join(_word(kind_of(item)) for item in divmod(pair, _PAIR))
            if width_of(words, em * 0.8, mono=False) < right - left - em:
                middle = (left + right) / 2
                pen.text(middle, top + em * 1.25, words, em * 0.8, anchor="middle", mono=False)

    def _signs(self) -> list[Item]:
        items: list[Item] = []
        shown = {bar.maps for placed in (self._bars, *(row.bars for row in self._rows)) for bar in placed}
        items += [(bar_sign(maps=maps), words) for maps, words in _BARS.items() if maps in shown]
        if self._host:
            items += [(e820_sign(1), "E820: RAM"), (e820_sign(2), "E820: any other entry")]
        if any(strip.has_small for strip in self._strips):
            items.append((small_sign, "below: small pieces of another kind"))
        if any(strip.has_past for strip in self._strips):
            items.append((past_sign, "thin: past the last entry of the p2m"))
        return items


def _word(kind: Kind | None) -> str:
    """Return what a kind is called; None is "cannot tell"."""
    return (UNTOLD if kind is None else LOOKS[kind]).word


def _said(row: MapRow) -> str:
    """Say a map in words: where each kind begins, runs that only their machine frames part joined."""
    kinds = row.map.kinds
    first = np.flatnonzero(np.diff(kinds, prepend=len(Kind)) != 0)
    starts = [*row.map.starts[first[: _MOST_SAID + 1]].tolist(), row.map.end_pfn]
    parts = [
        f"{LOOKS[Kind(kind)].word} from {start << PAGE_SHIFT:#x}, {format_frames(end - start)}"
        for kind, start, end in zip(kinds[first[:_MOST_SAID]].tolist(), starts, starts[1:], strict=False)
    ]
    if len(first) > _MOST_SAID:
        parts.append(f"{len(first) - _MOST_SAID:,} more pieces")
    past = f"past {row.map.end_pfn << PAGE_SHIFT:#x} {LOOKS[row.map.beyond].word}"
    return f"{row.name}: {'; '.join(filter(None, (row.remark, *parts, past)))}"
