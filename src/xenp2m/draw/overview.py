"""The map of one machine under several kernels on one address axis, BARs placed on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from xenp2m.draw.axis import Axis
from xenp2m.draw.palette import BAD, DIM, GOOD, LOOKS, UNTOLD
from xenp2m.entry import Kind
from xenp2m.machine import E820Entry
from xenp2m.runs import Ambiguous, RunMap
from xenp2m.units import PAGE_SHIFT, pfn_down, pfn_up

_GAP = 2


def overview(
    maps: Mapping[str, RunMap],
    host: Sequence[E820Entry],
    bars: Mapping[str, Sequence[tuple[int, bool]]],
    *,
    width: int,
    unicode: bool,
) -> list[Text]:
    """Draw each map as one line over a logarithmic address axis.

    ``maps`` are by kernel name; ``bars`` gives, for each of those names, the byte address of every BAR and
    whether it maps.  ``host`` is the E820 that the guest was handed.
    """
    gutter = max(map(len, ("E820", *maps))) + _GAP
    highest = max(
        [entry.end for entry in host]
        + [address for placed in bars.values() for address, _ in placed]
        + [max(frame_map.arch.max_p2m_pfn, frame_map.end_pfn) << PAGE_SHIFT for frame_map in maps.values()]
    )
    axis = Axis.to(highest, width - gutter)
    lines = [
        Text(" " * gutter + axis.ruler()[: width - gutter], style=DIM),
        _e820_line(host, axis, gutter, unicode),
    ]
    for name, frame_map in maps.items():
        lines.append(map_line(name, frame_map, axis, gutter, unicode))
        if marks := _bar_line(bars.get(name, ()), axis, gutter, unicode):
            lines.append(marks)
    return lines


def legend(unicode: bool) -> Text:
    """Return the line that says what the signs mean."""
    text = Text()
    for look in (LOOKS[Kind.RAM], LOOKS[Kind.IDENTITY], LOOKS[Kind.MISSING]):
        text.append(f"{look.sign(unicode) * 2} ", style=look.style)
        text.append(f"{look.word}   ")
    good, bad = _marks(unicode)
    text.append(good, style=GOOD)
    text.append(" BAR maps   ")
    text.append(bad, style=BAD)
    text.append(" BAR does not map for every driver")
    return text


def _marks(unicode: bool) -> tuple[str, str]:
    return ("✓", "✗") if unicode else ("v", "X")


def _e820_line(host: Sequence[E820Entry], axis: Axis, gutter: int, unicode: bool) -> Text:
    line = Text("E820".ljust(gutter))

    def cell(start: int, end: int) -> str:
        ram = sum(_overlap(entry, start, end) for entry in host if entry.is_ram)
        other = sum(_overlap(entry, start, end) for entry in host if not entry.is_ram)
        if 2 * max(ram, other) < end - start:
            return " "
        return LOOKS[Kind.RAM].sign(unicode) if ram >= other else ("░" if unicode else "-")

    line.append("".join(axis.fill(cell)), style=DIM)
    return line


def _overlap(entry: E820Entry, start: int, end: int) -> int:
    return max(min(entry.end, end) - max(entry.start, start), 0)


def map_line(
    name: str,
    frame_map: RunMap,
    axis: Axis,
    gutter: int,
    unicode: bool,
    unknown: Sequence[Ambiguous] = (),
) -> Text:
    """Draw one map: the kind that most frames of a column have, or that the map cannot tell it."""
    line = Text(name.ljust(gutter), style="bold")
    for start, end in zip(axis.edges, axis.edges[1:], strict=False):
        first, last = pfn_down(start), max(pfn_up(end), pfn_down(start) + 1)
        frames = dict.fromkeys(Kind, 0)
        for run in frame_map.within(first, last):
            frames[run.kind] += run.pages
        untold = sum(max(min(each.end, last) - max(each.start, first), 0) for each in unknown)
        frames[Kind.MISSING] -= untold
        look = LOOKS[max(Kind, key=lambda kind: frames[kind])]
        if untold > max(frames.values()):
            look = UNTOLD
        line.append(look.sign(unicode), style=f"not bold {look.style}")
    return line


def _bar_line(placed: Sequence[tuple[int, bool]], axis: Axis, gutter: int, unicode: bool) -> Text | None:
    if not placed:
        return None
    good, bad = _marks(unicode)
    columns: dict[int, bool] = {}
    for address, maps in placed:
        column = axis.column(address)
        columns[column] = columns.get(column, True) and maps
    line = Text("  BARs".ljust(gutter)[:gutter], style=DIM)
    for column in range(max(columns) + 1):
        if column not in columns:
            line.append(" ")
        elif columns[column]:
            line.append(good, style=f"not dim {GOOD}")
        else:
            line.append(bad, style=f"not dim {BAD}")
    return line
