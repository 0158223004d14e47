"""Frame maps that were read, not predicted, on one address axis: several domains, or two sides compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.text import Text

from xenp2m.draw.axis import Axis
from xenp2m.draw.overview import kind_sign, map_line
from xenp2m.draw.palette import DIM, LOOKS, UNTOLD
from xenp2m.draw.tables import Packed
from xenp2m.entry import Kind
from xenp2m.runs import Ambiguous, Run, RunMap
from xenp2m.units import PAGE_SHIFT

_GAP = 2
_MOST_NAME = 24


class Named(NamedTuple):
    """A map, what to call it, and the frames that it does not tell."""

    name: str
    map: RunMap
    ambiguous: Sequence[Ambiguous] = ()


def axis_of(maps: Sequence[Named], width: int) -> tuple[Axis, int]:
    """Return the axis on which all maps fit, and the width of the names to its left."""
    gutter = max(len(_short(each.name)) for each in maps) + _GAP
    highest = max(max(each.map.arch.max_p2m_pfn, each.map.end_pfn) for each in maps)
    return Axis.to(highest << PAGE_SHIFT, width - gutter), gutter


def map_lines(maps: Sequence[Named], axis: Axis, gutter: int, unicode: bool) -> list[Text]:
    """Draw the ruler and a line a map."""
    return [
        Text(" " * gutter + axis.ruler(), style=DIM),
        *(map_line(_short(each.name), each.map, axis, gutter, unicode, each.ambiguous) for each in maps),
    ]


def map_legend(maps: Iterable[Named], unicode: bool) -> Packed:
    """Return the line that says what the signs mean: of the kinds that occur."""
    named = list(maps)
    kinds = {kind for each in named for kind, frames in each.map.counts().items() if frames}
    kinds |= {each.map.beyond for each in named}
    looks = [LOOKS[kind] for kind in Kind if kind in kinds]
    if any(each.ambiguous for each in named):
        looks.append(UNTOLD)
    return Packed([kind_sign(look, unicode) for look in looks], gap=3)


def by_kind(runs: Iterable[Run]) -> list[tuple[Run, int]]:
    """Join neighbouring runs of one kind; with each, the number of runs that it was made of.

    The machine frame is that of the first one.
    """
    found: list[tuple[Run, int]] = []
    for run in runs:
        if found and found[-1][0].kind is run.kind and (found[-1][0].mfn is None) == (run.mfn is None):
            last, count = found[-1]
            found[-1] = last._replace(pages=last.pages + run.pages), count + 1
        else:
            found.append((run, 1))
    return found


def _short(name: str) -> str:
    return name if len(name) <= _MOST_NAME else "…" + name[1 - _MOST_NAME :]
