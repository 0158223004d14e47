"""The map of one machine under several kernels on one address axis, BARs placed on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from xenp2m.draw.axis import Axis
from xenp2m.draw.palette import BAD, DIM, GOOD, LOOKS, UNTOLD, Look
from xenp2m.draw.shares import frames_by_kind, most
from xenp2m.draw.tables import Packed
from xenp2m.entry import Kind
from xenp2m.machine import E820Entry
from xenp2m.runs import Ambiguous, RunMap
from xenp2m.units import PAGE_SHIFT, pfn_down

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
        e820_line(host, axis, gutter, unicode),
    ]
    for name, frame_map in maps.items():
        lines.append(map_line(name, frame_map, axis, gutter, unicode))
        if marks := bar_line(bars.get(name, ()), axis, gutter, unicode):
            lines.append(marks)
    return lines


def legend(unicode: bool) -> Packed:
    """Return the line that says what the signs mean."""
    good, bad = _marks(unicode)
    return Packed(
        [
            *(kind_sign(LOOKS[kind], unicode) for kind in (Kind.RAM, Kind.IDENTITY, Kind.MISSING)),
            Text.assemble((good, GOOD), " BAR maps"),
            Text.assemble((bad, BAD), " BAR does not map for every driver"),
        ],
        gap=3,
    )


def kind_sign(look: Look, unicode: bool) -> Text:
    """Return a kind's sign with the word for it."""
    return Text.assemble((look.sign(unicode) * 2, look.style), f" {look.word}")


def _marks(unicode: bool) -> tuple[str, str]:
    return ("✓", "✗") if unicode else ("v", "X")


def e820_line(host: Sequence[E820Entry], axis: Axis, gutter: int, unicode: bool) -> Text:
    """Draw the E820: RAM, or what is not, wherever it fills at least half of a column."""
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
    frames = frames_by_kind(frame_map, [pfn_down(edge) for edge in axis.edges], unknown)
    for item in most(frames).tolist():
        look = UNTOLD if item == len(Kind) else LOOKS[Kind(item)]
        line.append(look.sign(unicode), style=f"not bold {look.style}")
    return line


def bar_line(placed: Sequence[tuple[int, bool]], axis: Axis, gutter: int, unicode: bool) -> Text | None:
    """Draw BARs, by byte address and whether they map; None where there are none."""
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
