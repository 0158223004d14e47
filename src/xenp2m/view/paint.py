"""The lines of the map: the fitted axis with all layers, and the window on it, drawn to scale."""

from __future__ import annotations

import numpy as np
from rich.text import Text

from xenp2m.check.diff import Status
from xenp2m.draw.axis import Axis
from xenp2m.draw.overview import bar_line, e820_line, map_line
from xenp2m.draw.palette import BAD, DIM, GOOD, LOOKS, UNTOLD, Look
from xenp2m.draw.shares import frames_by_kind, most
from xenp2m.entry import Kind
from xenp2m.units import PAGE_SHIFT, format_size
from xenp2m.view.compared import Compared
from xenp2m.view.scene import Layer
from xenp2m.view.viewer import Viewer

_HERE = "reverse"


class Painter:
    """Paints the lines of one moment; ``gutter`` columns to the left are for names."""

    def __init__(self, viewer: Viewer, width: int, gutter: int, unicode: bool) -> None:
        self.viewer = viewer
        self.columns = max(width - gutter, 8)
        self.gutter = gutter
        self.unicode = unicode
        self.axis = Axis.to(viewer.scene.highest, self.columns)

    def name(self, layer: Layer) -> Text:
        """Return a layer's name, marked if it is the one that keys are about."""
        text = layer.name
        if len(text) >= self.gutter:
            text = text[: self.gutter - 2] + ("…" if self.unicode else "~")
        style = f"bold {_HERE}" if layer is self.viewer.layer else "bold"
        return Text.assemble((text.ljust(self.gutter), style))

    def fitted_ruler(self) -> Text:
        """Return the labels of the fitted axis."""
        return Text(" " * self.gutter + self.axis.ruler(), style=DIM)

    def fitted_extent(self) -> Text:
        """Return the line that shows where on the fitted axis the window is, and the cursor in it."""
        window = self.viewer.window
        low = self.axis.column(window.start << PAGE_SHIFT)
        high = self.axis.column((window.start + window.span << PAGE_SHIFT) - 1)
        at = self.axis.column(self.viewer.cursor << PAGE_SHIFT)
        line = Text("window".ljust(self.gutter)[: self.gutter], style=DIM)
        for column in range(high + 1):
            if column == at:
                line.append("▲" if self.unicode else "^", style="not dim bold yellow")
            else:
                line.append(("─" if self.unicode else "-") if column >= low else " ", style="not dim")
        return line

    def fitted_e820(self) -> Text:
        """Return the E820 on the fitted axis."""
        return e820_line(self.viewer.scene.host, self.axis, self.gutter, self.unicode)

    def fitted(self, layer: Layer) -> Text:
        """Return a layer on the fitted axis."""
        line = map_line("", layer.map, self.axis, self.gutter, self.unicode, layer.ambiguous)
        return self.name(layer).append_text(line[self.gutter :])

    def fitted_bars(self, layer: Layer) -> Text | None:
        """Return where a layer's BARs are on the fitted axis; None where it has none."""
        placed = [(mark.place.start << PAGE_SHIFT, mark.maps) for mark in layer.bars]
        return bar_line(placed, self.axis, self.gutter, self.unicode)

    def ruler(self) -> Text:
        """Return the addresses at which the window begins and ends, and between them the scale."""
        window = self.viewer.window
        first = f"{window.start << PAGE_SHIFT:#x}"
        last = f"{window.start + window.span << PAGE_SHIFT:#x}"
        size = format_size((window.span << PAGE_SHIFT) // self.columns)
        each = f"{size} a column" if window.span > self.columns else format_size(window.span << PAGE_SHIFT)
        room = self.columns - len(first) - len(last)
        middle = each if len(each) + 2 <= room else ""
        return Text(" " * self.gutter + first + middle.center(max(room, 1)) + last, style=DIM)

    def e820(self) -> Text:
        """Return the E820 in the window."""
        start, size = self.viewer.window.start << PAGE_SHIFT, self.viewer.window.span << PAGE_SHIFT
        edges = tuple(start + size * column // self.columns for column in range(self.columns + 1))
        return e820_line(self.viewer.scene.host, Axis(edges), self.gutter, self.unicode)

    def kinds(self, layer: Layer) -> tuple[Text, Text | None]:
        """Return a layer in the window: what most frames of each column are, and what others are too."""
        edges = self.viewer.window.edges(self.columns)
        distinct = sorted(set(edges))
        counts = frames_by_kind(layer.map, distinct, layer.ambiguous)
        rows = counts[np.searchsorted(distinct, edges[:-1])]
        line, fine = self.name(layer), Text("  mixed".ljust(self.gutter)[: self.gutter], style=DIM)
        first = most(rows)
        rest = rows.copy()
        rest[np.arange(len(rows)), first] = 0
        second, mixed = most(rest), rest.sum(axis=1)
        for column, (kind, other, also) in enumerate(
            zip(first.tolist(), second.tolist(), mixed.tolist(), strict=True)
        ):
            here = f" {_HERE}" if column == self._cursor_column() and layer is self.viewer.layer else ""
            look = _look(kind)
            line.append(look.sign(self.unicode), style=f"{look.style}{here}")
            fine.append(
                _look(other).sign(self.unicode) if also else " ", style=f"not dim {_look(other).style}"
            )
        fine.rstrip()
        return line, fine if mixed.any() else None

    def bars(self, layer: Layer) -> Text | None:
        """Return the BARs in the window, a sign for every column that one of them reaches into."""
        window = self.viewer.window
        signs: dict[int, bool] = {}
        for mark in layer.bars:
            if mark.place.end <= window.start or not mark.place.start < window.start + window.span:
                continue
            low, high = self._columns_of(mark.place.start, mark.place.end)
            for column in range(low, high + 1):
                signs[column] = signs.get(column, True) and mark.maps
        if not signs:
            return None
        line = Text("  BARs".ljust(self.gutter)[: self.gutter], style=DIM)
        good, bad = ("✓", "✗") if self.unicode else ("v", "X")
        for column in range(max(signs) + 1):
            maps = signs.get(column)
            line.append(
                " " if maps is None else good if maps else bad, style=f"not dim {GOOD if maps else BAD}"
            )
        return line

    def differences(self, compared: Compared, *, fitted: bool) -> Text:
        """Return the columns with differences, on the fitted axis or in the window."""
        if fitted:
            edges = [edge >> PAGE_SHIFT for edge in self.axis.edges]
        else:
            edges = self.viewer.window.edges(self.columns)
        signs = compared.columns(edges)
        line = Text("  diff".ljust(self.gutter)[: self.gutter], style=DIM)
        for status in signs:
            differs = "≠" if self.unicode else "!"
            sign = " " if status is None else differs if status is Status.DIFFERS else "?"
            line.append(sign, style="not dim bold yellow")
        return line

    def pointer(self) -> Text:
        """Return the line that points at the cursor, with its address."""
        column = self._cursor_column()
        sign = "▲" if self.unicode else "^"
        label = f"{self.viewer.cursor << PAGE_SHIFT:#x}"
        if column + 2 + len(label) <= self.columns:
            text = " " * column + f"{sign} {label}"
        else:
            text = " " * max(column - len(label) - 1, 0) + f"{label} {sign}"
        return Text(" " * self.gutter + text, style="bold yellow")

    def _columns_of(self, start: int, end: int) -> tuple[int, int]:
        """Return the first and last column of frames of which some are in the window."""
        window = self.viewer.window
        low, high = max(start, window.start), min(end, window.start + window.span) - 1
        return window.column(low, self.columns), window.last_column(high, self.columns)

    def _cursor_column(self) -> int:
        return self.viewer.window.column(self.viewer.cursor, self.columns)


def _look(kind: int) -> Look:
    return UNTOLD if kind == len(Kind) else LOOKS[Kind(kind)]
