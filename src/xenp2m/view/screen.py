"""One screen of the viewer, as lines: what fits is chosen by its height, down to 40 columns by 12 lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from rich.console import Console
from rich.text import Text

from xenp2m.draw.console import to_ascii
from xenp2m.draw.maps import Named, map_legend
from xenp2m.draw.palette import DIM
from xenp2m.printable import printable
from xenp2m.view.paint import Painter
from xenp2m.view.viewer import Pane, Viewer

_LEAST = (20, 6)
_MOST_NAME = 18
_NARROW = 60
_HINT = "? keys  / search  Enter explain  b f l d  Tab layer  q quit"
_SHORT_HINT = "? keys  / search  q quit"


class Part(Enum):
    """A part of the screen, for the mouse."""

    FITTED = "fitted axis"
    WINDOW = "window"
    PANE = "pane"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Screen:
    """The lines from top to bottom, and for each the part that it belongs to and its row in the pane."""

    lines: tuple[Text, ...]
    parts: tuple[tuple[Part, int | None], ...]
    gutter: int


def paint(viewer: Viewer, width: int, height: int, *, unicode: bool) -> Screen:
    """Paint one screen; never more lines than ``height`` nor columns than ``width``."""
    if width < _LEAST[0] or height < _LEAST[1]:
        text = Text(f"{width}x{height} is too small", no_wrap=True)
        return Screen((text[:width],), ((Part.OTHER, None),), 0)
    longest = max(len(layer.name) for layer in viewer.scene.layers) + 2
    gutter = min(max(longest, 8), _MOST_NAME if width >= _NARROW else 8)
    painter = Painter(viewer, width, gutter, unicode)
    viewer.width = painter.columns
    lines = _map(painter, width, height - 2)
    room = height - 2 - len(lines)
    viewer.height = room
    below = _pane(viewer, width, room)
    lines += [(line, Part.PANE, row) for line, row in below]
    lines += [(Text(""), Part.PANE, None)] * (room - len(below))
    whole = [(_header(viewer, width), Part.OTHER, None), *lines, (_footer(viewer, width), Part.OTHER, None)]
    for line, _, _ in whole:
        line.no_wrap = True
        line.truncate(width)
    return Screen(
        tuple(_shown(line, unicode) for line, _, _ in whole),
        tuple((part, row) for _, part, row in whole),
        gutter,
    )


_Line = tuple[Text, Part, int | None]


def _map(painter: Painter, width: int, height: int) -> list[_Line]:
    """Return the map with as much as leaves room for the pane."""
    wanted = max(height // (4 if painter.viewer.pane is Pane.FRAME else 2), 3)
    for lines in (_map_with(painter, width, level) for level in range(6)):
        if len(lines) + wanted <= height:
            break
    return lines[: height - 1]


def _map_with(painter: Painter, width: int, level: int) -> list[_Line]:
    """Return the map; a higher level leaves more out: E820, other layers, their marks, the fitted axis."""
    viewer = painter.viewer
    scene, compared = viewer.scene, viewer.compared
    fitted_layers = scene.layers if level < 3 else (viewer.layer,)
    large_layers = scene.layers if level < 2 else (viewer.layer,)
    fitted: list[Text | None] = [painter.fitted_ruler()]
    if level < 1 and scene.host:
        fitted.append(painter.fitted_e820())
    for layer in fitted_layers:
        fitted.append(painter.fitted(layer))
        if level < 3:
            fitted.append(painter.fitted_bars(layer))
    if compared is not None and level < 4:
        fitted.append(painter.differences(compared, fitted=True))
    fitted.append(painter.fitted_extent())
    large: list[Text | None] = [painter.ruler()]
    if level < 1 and scene.host:
        large.append(painter.e820())
    for layer in large_layers:
        kinds, mixed = painter.kinds(layer)
        bars = painter.bars(layer)
        large += [kinds, *([mixed, bars] if level < 4 else [bars if bars is not None else mixed])]
    if compared is not None:
        large.append(painter.differences(compared, fitted=False))
    large.append(painter.pointer())
    found = [(line, Part.FITTED) for line in fitted] if level < 5 else []
    if level < 2:
        shown = [Named(layer.name, layer.map, layer.ambiguous) for layer in scene.layers]
        found.append((map_legend(shown, painter.unicode).text, Part.OTHER))
    found += [(line, Part.WINDOW) for line in large]
    if level < 2:
        found.append((_rule(width, painter.unicode), Part.OTHER))
    return [(line, part, None) for line, part in found if line is not None]


def _rule(width: int, unicode: bool) -> Text:
    return Text(("─" if unicode else "-") * width, style=DIM)


def _header(viewer: Viewer, width: int) -> Text:
    layers = Text(" ")
    for layer in viewer.scene.layers:
        layers.append(f" {layer.name} ", style="reverse" if layer is viewer.layer else "")
    if viewer.other is not None:
        layers.append(f" {viewer.layer.name} ≠ {viewer.scene.layers[viewer.other].name}", style="yellow")
    title = Text(viewer.scene.title, style="bold", end="")
    title.truncate(max(width - layers.cell_len, width // 4), overflow="ellipsis")
    return title.append_text(layers)


def _footer(viewer: Viewer, width: int) -> Text:
    if viewer.prompt is not None:
        text = f"/{viewer.prompt}"
        return Text.assemble((text[-(width - 1) :], "bold"), ("_", "blink bold"))
    if viewer.message:
        return Text(viewer.message, style="bold yellow")
    return Text(_HINT if width >= len(_HINT) else _SHORT_HINT, style=DIM)


def _title(viewer: Viewer) -> Text | None:
    """Return the line above a pane that is a list or a text."""
    pane, layer = viewer.pane, viewer.layer
    if pane is Pane.FRAME:
        return None
    rows = viewer.rows()
    if pane is Pane.LOG:
        text = layer.log_title if rows else f"{layer.log_title}: nothing"
    elif pane is Pane.EXPLAIN:
        text = f"why, in {layer.name} (Esc: back)"
    elif pane is Pane.HELP:
        text = "keys (Esc: back)"
    else:
        compared = viewer.compared if pane is Pane.DIFF else None
        name = layer.name if compared is None else " → ".join(compared.names)
        count = len(rows) if compared is None else len(compared.regions)
        text = f"{name}: {_number(count, pane.value)}"
    return Text(text, style="bold underline")


def _number(count: int, things: str) -> str:
    return f"{count or 'no'} {things.removesuffix('s') if count == 1 else things}"


def _pane(viewer: Viewer, width: int, room: int) -> list[tuple[Text, int | None]]:
    """Return the lines of the pane with the row that each is of."""
    title = _title(viewer)
    head: list[tuple[Text, int | None]] = [] if title is None else [(title, None)]
    space = max(room - len(head), 1)
    lines = _list(viewer, width, space) if viewer.pane.is_list else _text(viewer, width, space)
    return (head + lines)[:room]


def _list(viewer: Viewer, width: int, space: int) -> list[tuple[Text, int | None]]:
    """Return the lines of the rows about the chosen one, which is among them."""
    wrap, rows = _wrapper(width - 2), viewer.rows()
    first = max(viewer.selected - space, 0)
    lines: list[tuple[Text, int | None]] = []
    top = 0
    for number, row in enumerate(rows[first : viewer.selected + space], first):
        chosen = number == viewer.selected
        begin = len(lines)
        for count, wrapped in enumerate(wrap(row.text)):
            line = Text.assemble(("> " if chosen and not count else "  ", "bold"), wrapped)
            if chosen:
                line.stylize("bold")
            lines.append((line, number))
        if chosen:
            top = min(max(len(lines) - space, 0), begin)
    return lines[top : top + space]


def _text(viewer: Viewer, width: int, space: int) -> list[tuple[Text, int | None]]:
    """Return the lines of a text from where it is scrolled to."""
    wrap = _wrapper(width)
    lines = [line for row in viewer.rows() for line in wrap(row.text)]
    viewer.top = min(viewer.top, max(len(lines) - space, 0))
    return [(line, None) for line in lines[viewer.top : viewer.top + space]]


def _wrapper(width: int) -> Callable[[Text], list[Text]]:
    console = Console(width=width, color_system=None, force_terminal=False)

    def wrap(text: Text) -> list[Text]:
        return list(text.wrap(console, width)) or [Text("")]

    return wrap


def _shown(line: Text, unicode: bool) -> Text:
    """Return a line of which a terminal does nothing but print it; it has as many characters."""
    text = printable(line.plain)
    return Text(text if unicode else to_ascii(text), spans=line.spans, style=line.style, no_wrap=True)
