"""Two maps side by side on the terminal, and where they differ."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from xenp2m.check.diff import Diff, Half, Piece, Status
from xenp2m.draw.axis import Axis
from xenp2m.draw.console import say, supports_unicode
from xenp2m.draw.maps import Named, axis_of, map_legend, map_lines
from xenp2m.draw.palette import BAD, DIM, GOOD, LOOKS, UNTOLD
from xenp2m.draw.tables import FittedTable
from xenp2m.runs import END_OF_FRAMES
from xenp2m.units import PAGE_SHIFT, format_frames

_MOST_ROWS = 60


def print_diff(diff: Diff, console: Console) -> None:
    """Print both maps, the frames that differ by kinds, and every piece."""
    unicode = supports_unicode(console)
    maps = [Named(side.name, side.map, side.ambiguous) for side in (diff.a, diff.b)]
    console.print(_answer(diff, unicode))
    for note in diff.notes:
        say(console, f"note: {note}", style=DIM)
    if not diff.mfns:
        say(console, "kinds are compared, machine frames are not", style=DIM)
    console.print()
    axis, gutter = axis_of(maps, console.width)
    lines = map_lines(maps, axis, gutter, unicode)
    if diff.pieces:
        lines.append(_marks(diff, axis, gutter, unicode))
    for line in lines:
        console.print(line, no_wrap=True, overflow="crop")
    console.print(map_legend(maps, unicode), style=DIM)
    if diff.pieces:
        console.print()
        console.print(_counts(diff))
        console.print()
        console.print(_pieces(diff))


def _answer(diff: Diff, unicode: bool) -> Text:
    good, bad = ("✓ ", "✗ ") if unicode else ("", "")
    if differing := diff.amount(Status.DIFFERS):
        return Text(f"{bad}different: {differing}", style=BAD)
    if untold := diff.amount(Status.UNKNOWN):
        return Text(f"cannot tell: {untold} are not known on both sides", style=UNTOLD.style)
    return Text(f"{good}the same", style=GOOD)


def _marks(diff: Diff, axis: Axis, gutter: int, unicode: bool) -> Text:
    """Return the line that marks the columns with differences."""
    columns: dict[int, Status] = {}
    for piece in diff.pieces:
        low = axis.column(piece.start << PAGE_SHIFT)
        high = axis.column((piece.end << PAGE_SHIFT) - 1)
        for column in range(low, high + 1):
            if columns.get(column) is not Status.DIFFERS:
                columns[column] = piece.status
    line = Text(" " * gutter)
    for column in range(max(columns) + 1):
        status = columns.get(column)
        if status is None:
            line.append(" ")
        elif status is Status.DIFFERS:
            line.append("✗" if unicode else "X", style=BAD)
        else:
            line.append(UNTOLD.ascii, style=UNTOLD.style)
    return line


def _counts(diff: Diff) -> Table:
    table = FittedTable()
    table.add_column("frames", justify="right")
    table.add_column("memory", justify="right")
    table.add_column(Text(diff.a.name), overflow="fold")
    table.add_column(Text(diff.b.name), overflow="fold")
    table.add_column("")
    end = diff.pieces[-1]
    last = (end.a.label, end.b.label, end.status) if end.end == END_OF_FRAMES else None
    for (a, b, status), frames in sorted(diff.counts().items(), key=lambda item: -item[1]):
        endless = (a, b, status) == last
        size = "no end" if endless else format_frames(frames)
        table.add_row("" if endless else f"{frames:,}", size, a, b, status.value)
    return table


def _pieces(diff: Diff) -> Table:
    table = FittedTable()
    table.add_column("address", justify="right")
    table.add_column("size", justify="right")
    table.add_column(Text(diff.a.name), overflow="fold")
    table.add_column(Text(diff.b.name), overflow="fold")
    regions = diff.regions()
    for piece in regions[:_MOST_ROWS]:
        size = "no end" if piece.end == END_OF_FRAMES else format_frames(piece.pages)
        table.add_row(f"{piece.start << PAGE_SHIFT:#x}", size, _half(piece, piece.a), _half(piece, piece.b))
    if len(regions) > _MOST_ROWS:
        table.add_row("", "", Text(f"{len(regions) - _MOST_ROWS} more (--json)", style=DIM), "")
    return table


def _half(piece: Piece, half: Half) -> Text:
    look = UNTOLD if half.kind is None else LOOKS[half.kind]
    text = Text(look.word, style=look.style)
    if half.mfn is not None:
        text.append(f" at {half.mfn << PAGE_SHIFT:#x}", style=DIM)
    elif half.kind is piece.a.kind is piece.b.kind:
        text.append(" elsewhere", style=DIM)
    return text
