"""What the viewer shows at a moment, and what each key makes of it.  It knows no terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial

from rich.text import Text

from xenp2m.draw.palette import BAD, DIM
from xenp2m.errors import Xenp2mError
from xenp2m.units import PAGE_SHIFT
from xenp2m.view import rows
from xenp2m.view.compared import Compared
from xenp2m.view.scene import Layer, Place, Row, Rows, Scene
from xenp2m.view.search import is_code, search
from xenp2m.view.window import Window


class Pane(Enum):
    """What stands below the map."""

    FRAME = "frame"
    EXPLAIN = "explain"
    BARS = "BARs"
    FINDINGS = "findings"
    LOG = "log"
    DIFF = "differences"
    HELP = "keys"

    @property
    def is_list(self) -> bool:
        """Whether its rows can be gone to."""
        return self in (Pane.BARS, Pane.FINDINGS, Pane.DIFF)


KEYS = (
    ("left right", "move by a column"),
    ("PgUp PgDn", "move by half a window (in a text or list: scroll)"),
    ("up down", "zoom (in a text or list: move)"),
    ("+ - wheel", "zoom; double click zooms too"),
    ("0", "the whole map"),
    ("z", "zoom to the run of the cursor"),
    ("[ ]", "begin of the run before, after"),
    ("Home End", "first frame, end of the map"),
    ("Tab", "next layer"),
    ("Enter", "explain the frame; in a list: go there"),
    ("/", "search: 0x.., 64G, pfn:0x.., mfn:0x.., 82:00.0, XP101, missing"),
    ("n N", "next, previous: difference or hit of the search"),
    ("d", "differences to the next layer, the one after, none"),
    ("b f l", "BARs, findings, log lines"),
    ("Esc", "back to the frame"),
    ("q", "quit"),
)
"""The keys and what they do."""

_WAIT = (Row(Text("working ...", style=DIM)),)


class Viewer:
    """The state of the viewer.  ``width`` is how many columns the map has; the screen sets it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.end = scene.end
        self.window = Window.whole(self.end)
        self.cursor = 0
        self.number = 0
        self.other: int | None = None
        self.pane = Pane.FRAME
        self.selected = 0
        self.top = 0
        self.prompt: str | None = None
        self.message = ""
        self.width = 80
        self.height = 8
        self._searched = ""
        self._rows: dict[tuple[object, ...], Sequence[Row]] = {}
        self._compared: dict[tuple[int, int], Compared] = {}

    @property
    def layer(self) -> Layer:
        """The layer that the keys are about."""
        return self.scene.layers[self.number]

    @property
    def compared(self) -> Compared | None:
        """The differences that are shown, between the layer and the other one; None while there are none."""
        if self.other is None:
            return None
        if not self.scene.slow and (work := self.pending()) is not None:
            work()
        return self._compared.get((self.number, self.other))

    def go(self, place: Place) -> None:
        """Put the cursor on a place and show it large."""
        first = min(place.start, self.end - 1)
        self.window = Window.around(first, min(max(place.end, first + 1), self.end), self.end)
        self.cursor = first

    def point(self, frame: int) -> None:
        """Put the cursor on a frame, which is shown."""
        self.cursor = min(max(frame, 0), self.end - 1)
        self.window = self.window.showing(self.cursor)

    def step(self, columns: int) -> None:
        """Move the cursor by some columns of the window."""
        if self.window.span <= self.width:
            self.point(self.cursor + columns)
        else:
            self.point(self.window.frame(self.window.column(self.cursor, self.width) + columns, self.width))

    def turn(self, windows: float) -> None:
        """Move window and cursor by a part of the window."""
        by = max(int(abs(windows) * self.window.span), 1) * (1 if windows > 0 else -1)
        self.window = self.window.moved(by)
        self.cursor = min(max(self.cursor + by, self.window.start), self.window.start + self.window.span - 1)

    def zoom(self, *, closer: bool, at: int | None = None) -> None:
        """Zoom by two about the cursor, or about the frame ``at``."""
        self.window = self.window.zoomed(self.cursor if at is None else at, closer=closer)
        self.cursor = min(max(self.cursor, self.window.start), self.window.start + self.window.span - 1)

    def whole(self) -> None:
        """Show everything."""
        self.window = Window.whole(self.end)

    def run(self, *, neighbour: int = 0) -> None:
        """Zoom to the run of the cursor, or go to the begin of a neighbouring one."""
        run = self.layer.map.run_at(self.cursor)
        if not neighbour:
            self.window = Window.around(run.pfn, min(run.end, self.end), self.end)
        elif neighbour > 0:
            self.point(min(run.end, self.end - 1))
        else:
            self.point(
                self.layer.map.run_at(run.pfn - 1).pfn if self.cursor == run.pfn and run.pfn else run.pfn
            )

    def next_layer(self, by: int = 1) -> None:
        """Turn to another layer; a comparison with it ends."""
        self.number = (self.number + by) % len(self.scene.layers)
        if self.other == self.number:
            self.other = None
        self._reset()

    def compare(self) -> None:
        """Compare the layer with the next one, then with the one after it, then with none."""
        count = len(self.scene.layers)
        if count == 1:
            self.message = "one layer only: give more --kernel"
            return
        following = (self.number if self.other is None else self.other) + 1
        self.other = None if following % count == self.number else following % count
        self.show(Pane.FRAME if self.other is None else Pane.DIFF)

    def show(self, pane: Pane) -> None:
        """Show a pane, or the frame again if it is the one that is shown."""
        self.pane = Pane.FRAME if pane is self.pane is not Pane.DIFF else pane
        self._reset()

    def _reset(self) -> None:
        self.selected = self.top = 0

    def enter(self) -> None:
        """Go to the chosen row of a list; else explain the frame."""
        if not self.pane.is_list:
            self.show(Pane.EXPLAIN if self.pane is not Pane.EXPLAIN else Pane.FRAME)
            return
        listed = self.rows()
        place = listed[self.selected].place if listed else None
        if place is None:
            self.message = "it has no place on the map"
        else:
            self.go(place)

    def choose(self, by: int) -> None:
        """Move in a list or scroll a text."""
        if self.pane.is_list:
            self.selected = min(max(self.selected + by, 0), max(len(self.rows()) - 1, 0))
        else:
            self.top = max(self.top + by, 0)

    def search(self, text: str, *, back: bool = False) -> None:
        """Look for a text and go there; the message says what is wrong with it."""
        self._searched = text
        try:
            findings = self.layer.findings() if is_code(text) else ()
            place = search(text, self.layer, self.cursor, findings, back=back)
        except Xenp2mError as error:
            self.message = str(error)
            return
        if place.start < self.end:
            self.go(place)
        else:
            self.message = f"not here: {text.strip()}; what is shown ends at {self.end << PAGE_SHIFT:#x}"

    def next(self, *, back: bool = False) -> None:
        """Go to the next difference while layers are compared, else to the next hit of the search."""
        compared = self.compared
        if compared is None:
            if self._searched:
                self.search(self._searched, back=back)
            else:
                self.message = "nothing to go to: search (/) or compare layers (d)"
            return
        index = compared.next(self.cursor, back=back)
        if index is None:
            self.message = "no difference"
            return
        self.go(Place(compared.regions[index].start, compared.regions[index].end))
        if self.pane is Pane.DIFF:
            self.selected = index

    def pending(self) -> Callable[[], None] | None:
        """Return the work that is waited for, to be done in a thread; None where there is none."""
        if self.other is not None and (self.number, self.other) not in self._compared:
            return partial(self._compare, self.number, self.other)
        key = self._key()
        if key is None or key in self._rows:
            return None
        layer = self.layer
        make = layer.findings if self.pane is Pane.FINDINGS else partial(layer.explain, self.cursor)
        return partial(self._make, key, make)

    def _compare(self, number: int, other: int) -> None:
        self._compared[number, other] = Compared.of(self.scene.layers[number], self.scene.layers[other])

    def _make(self, key: tuple[object, ...], make: Rows) -> None:
        try:
            self._rows[key] = make()
        except Xenp2mError as error:
            self._rows[key] = (Row(Text(str(error), style=BAD)),)

    def _key(self) -> tuple[object, ...] | None:
        if self.pane is Pane.FINDINGS:
            return self.pane, self.number
        return (self.pane, self.number, self.cursor) if self.pane is Pane.EXPLAIN else None

    def rows(self) -> Sequence[Row]:
        """Return the rows of the pane."""
        key = self._key()
        if key is not None:
            while not self.scene.slow and (work := self.pending()) is not None:
                work()
            return self._rows.get(key, _WAIT)
        if self.pane is Pane.BARS:
            return rows.bars(self.layer)
        if self.pane is Pane.LOG:
            return tuple(Row(Text(line)) for line in self.layer.log)
        if self.pane is Pane.HELP:
            return tuple(Row(Text.assemble((f"{keys:<12}", "bold"), what)) for keys, what in KEYS)
        if self.pane is Pane.DIFF:
            return _WAIT if self.compared is None else rows.differences(self.compared, self.end)
        return tuple(rows.frame(self.scene, self.layer, self.cursor))
