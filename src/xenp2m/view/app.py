"""The viewer on a terminal: Textual's screen, keys and mouse over what ``viewer`` and ``screen`` do."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.widget import Widget

from xenp2m.units import PAGE_SHIFT
from xenp2m.view.paint import Painter
from xenp2m.view.scene import Scene
from xenp2m.view.screen import Part, Screen, paint
from xenp2m.view.viewer import Pane, Viewer

_PANES = {"b": Pane.BARS, "f": Pane.FINDINGS, "l": Pane.LOG, "question_mark": Pane.HELP}


class _Canvas(Widget):
    """The whole screen: what ``paint`` makes of the viewer at this size."""

    DEFAULT_CSS = "_Canvas { width: 100%; height: 100%; background: ansi_default; color: ansi_default; }"
    can_focus = True

    def __init__(self, viewer: Viewer, *, unicode: bool) -> None:
        super().__init__()
        self.viewer = viewer
        self.unicode = unicode
        self.painted = Screen((), (), 0)

    def render(self) -> Text:
        self.painted = paint(self.viewer, self.size.width, self.size.height, unicode=self.unicode)
        return Text("\n", no_wrap=True, overflow="crop").join(self.painted.lines)

    def part_at(self, line: int) -> tuple[Part, int | None]:
        """Return the part of the screen on a line, and its row in the pane."""
        return self.painted.parts[line] if line < len(self.painted.parts) else (Part.OTHER, None)

    def frame_at(self, part: Part, column: int) -> int:
        """Return the frame that is drawn in a column of the screen."""
        painter = Painter(self.viewer, self.size.width, self.painted.gutter, self.unicode)
        at = min(max(column - self.painted.gutter, 0), painter.columns - 1)
        if part is Part.FITTED:
            return painter.axis.edges[at] >> PAGE_SHIFT
        return self.viewer.window.frame(at, painter.columns)


class ViewerApp(App[None]):
    """The viewer on a scene; ``unicode`` says whether the terminal can show more than ASCII."""

    CSS = "Screen { background: ansi_default; color: ansi_default; overflow: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = []
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, scene: Scene, *, unicode: bool = True) -> None:
        super().__init__(ansi_color=True)
        self.title = f"xenp2m view {scene.title}"
        self.viewer = Viewer(scene)
        self.canvas = _Canvas(self.viewer, unicode=unicode)

    def compose(self) -> ComposeResult:
        """Fill the screen with the map."""
        yield self.canvas

    def on_mount(self) -> None:
        """Take the keys."""
        self.canvas.focus()

    def on_key(self, event: events.Key) -> None:
        """Do what a key says, and paint."""
        event.prevent_default()
        event.stop()
        if event.key == "ctrl+c":
            self.exit()
        elif self.viewer.prompt is not None:
            self._type(event)
        elif event.key in {"q", "ctrl+q"}:
            self.exit()
        else:
            self.viewer.message = ""
            self._act(event.key)
        self._show()

    def on_paste(self, event: events.Paste) -> None:
        """Take a pasted text into the search line."""
        if self.viewer.prompt is not None:
            self.viewer.prompt += event.text.split("\n")[0]
            self._show()

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on a frame, or go to a row of a list."""
        viewer = self.viewer
        part, row = self.canvas.part_at(event.y)
        if part is Part.PANE and row is not None and viewer.pane.is_list:
            viewer.selected = row
            viewer.enter()
        elif part is Part.FITTED:
            frame = self.canvas.frame_at(part, event.x)
            viewer.window = viewer.window.moved(frame - viewer.window.start - viewer.window.span // 2)
            viewer.point(frame)
        elif part is Part.WINDOW:
            viewer.point(self.canvas.frame_at(part, event.x))
            if event.chain == 2:
                viewer.zoom(closer=True)
        self._show()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Zoom closer, or move up in a list."""
        self._wheel(event, closer=True)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zoom out, or move down in a list."""
        self._wheel(event, closer=False)

    def _wheel(self, event: events.MouseEvent, *, closer: bool) -> None:
        part, _ = self.canvas.part_at(event.y)
        if part is Part.PANE and self.viewer.pane is not Pane.FRAME:
            self.viewer.choose(-1 if closer else 1)
        else:
            at = self.canvas.frame_at(part, event.x) if part is not Part.OTHER else None
            self.viewer.zoom(closer=closer, at=at)
        self._show()

    def _type(self, event: events.Key) -> None:
        """Take a key of the search line."""
        text = self.viewer.prompt or ""
        if event.key == "enter":
            self.viewer.prompt = None
            self.viewer.message = ""
            if text.strip():
                self.viewer.search(text)
        elif event.key == "escape":
            self.viewer.prompt = None
        elif event.key in {"backspace", "ctrl+h"}:
            self.viewer.prompt = text[:-1] if text else None
        elif event.is_printable and event.character:
            self.viewer.prompt = text + event.character

    def _act(self, key: str) -> None:
        """Do what a key says."""
        viewer = self.viewer
        moved = viewer.pane is not Pane.FRAME
        if key in {"up", "down"}:
            if moved:
                viewer.choose(-1 if key == "up" else 1)
            else:
                viewer.zoom(closer=key == "up")
        elif key in {"pageup", "pagedown"}:
            if moved:
                viewer.choose((-1 if key == "pageup" else 1) * max(viewer.height - 2, 1))
            else:
                viewer.turn(-0.5 if key == "pageup" else 0.5)
        elif key in {"plus", "equals_sign", "minus"}:
            viewer.zoom(closer=key != "minus")
        elif key in {"left", "right"}:
            viewer.step(-1 if key == "left" else 1)
        elif key in {"home", "end"}:
            viewer.point(0 if key == "home" else viewer.end - 1)
        elif key in {"left_square_bracket", "right_square_bracket"}:
            viewer.run(neighbour=-1 if key == "left_square_bracket" else 1)
        elif key in {"n", "N", "upper_n"}:
            viewer.next(back=key != "n")
        elif key in {"tab", "shift+tab"}:
            viewer.next_layer(1 if key == "tab" else -1)
        elif key in _PANES:
            viewer.show(_PANES[key])
        else:
            self._once(key)

    def _once(self, key: str) -> None:
        viewer = self.viewer
        if key == "0":
            viewer.whole()
        elif key == "z":
            viewer.run()
        elif key == "d":
            viewer.compare()
        elif key == "enter":
            viewer.enter()
        elif key == "slash":
            viewer.prompt = ""
        elif key == "escape":
            viewer.show(Pane.FRAME)

    def _show(self) -> None:
        """Paint; what takes long is done in a thread first."""
        self.canvas.refresh()
        work = self.viewer.pending() if self.viewer.scene.slow else None
        if work is not None:

            def wait() -> None:
                work()
                self.call_from_thread(self._show)

            self.run_worker(wait, thread=True, exclusive=True, exit_on_error=False)
