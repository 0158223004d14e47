"""BARs above a map: a mark a place, with its verdict, and as many names as there is room for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from xenp2m.draw.svg.colours import BAD, GOOD
from xenp2m.draw.svg.legend import Swatch
from xenp2m.draw.svg.letters import width_of
from xenp2m.draw.svg.pen import Pen
from xenp2m.draw.svg.ruler import Ruler

_NEAR = 1.1
"""Marks nearer than this, in em, are one."""


class BarMark(NamedTuple):
    """A BAR on a map: its first byte, what to call it, and whether every driver can map it; None
    where nobody judged that."""

    address: int
    label: str
    maps: bool | None


class _Cluster(NamedTuple):
    """BARs so near to each other that they are one mark."""

    x: float
    bars: tuple[BarMark, ...]

    @property
    def maps(self) -> bool | None:
        if self.bars[0].maps is None:
            return None
        return all(bar.maps for bar in self.bars)

    @property
    def texts(self) -> tuple[str, ...]:
        bad = sum(bar.maps is False for bar in self.bars)
        if len(self.bars) == 1:
            return (self.bars[0].label.removeprefix("0000:"),)
        if bad in (0, len(self.bars)):
            return (f"{len(self.bars)} BARs", str(len(self.bars)))
        return (f"{bad} of {len(self.bars)} BARs", f"{bad}/{len(self.bars)}")


def draw_bars(pen: Pen, bars: Sequence[BarMark], ruler: Ruler, y: float) -> None:
    """Draw the marks with their stems down to ``y``, where the map begins: a tick maps, a cross
    does not."""
    em, size = ruler.em, ruler.em * 0.8
    clusters = _clusters(bars, ruler)
    taken = ruler.x
    for index, cluster in enumerate(clusters):
        role = _role(cluster.maps)
        centre = y - em * 0.85
        pen.path(f"M{cluster.x:.1f} {centre + em * 0.4:.1f}V{y:.1f}", stroke=role, thick=em * 0.1)
        group = pen.group("bar")
        group.title("\n".join(f"{bar.label} at {bar.address:#x}" for bar in cluster.bars))
        _sign(group, cluster.x, centre, em, maps=cluster.maps)
        right = clusters[index + 1].x - em * 0.6 if index + 1 < len(clusters) else ruler.end
        for text in cluster.texts:
            wide = width_of(text, size, mono=True)
            after, before = cluster.x + em * 0.6, cluster.x - em * 0.6 - wide
            start = after if after + wide <= right else before
            if start >= taken and start + wide <= max(right, cluster.x):
                group.text(start, centre + size * 0.36, text, size, fill=role, bold=cluster.maps is False)
                break
        taken = max(taken, cluster.x + em * 0.6)
        if cluster.texts and start == after:
            taken = max(taken, start + wide + em * 0.3)


def _clusters(bars: Sequence[BarMark], ruler: Ruler) -> list[_Cluster]:
    found: list[_Cluster] = []
    for bar in sorted(bars, key=lambda bar: bar.address):
        x = ruler.at(bar.address)
        if found and x - found[-1].x < ruler.em * _NEAR:
            found[-1] = _Cluster(found[-1].x, (*found[-1].bars, bar))
        else:
            found.append(_Cluster(x, (bar,)))
    return found


def _role(maps: bool | None) -> str:
    return "ink" if maps is None else GOOD if maps else BAD


def bar_sign(*, maps: bool | None) -> Swatch:
    """Return how the mark of a BAR looks in a legend."""

    def draw(pen: Pen, x: float, y: float, em: float) -> None:
        _sign(pen, x + em * 1.4, y + em / 2, em, maps=maps)

    return draw


def _sign(pen: Pen, x: float, y: float, em: float, *, maps: bool | None) -> None:
    pen.dot(x, y, em * 0.45, fill=_role(maps))
    if maps is None:
        return
    arm = em * 0.2
    if maps:
        points = f"M{x - arm:.2f} {y:.2f}l{arm * 0.75:.2f} {arm * 0.8:.2f}l{arm * 1.3:.2f} {-arm * 1.6:.2f}"
    else:
        left, right, top, bottom = x - arm, x + arm, y - arm, y + arm
        points = (
            f"M{left:.2f} {top:.2f}L{right:.2f} {bottom:.2f}M{right:.2f} {top:.2f}L{left:.2f} {bottom:.2f}"
        )
    pen.path(points, stroke="paper", thick=em * 0.12)
