"""The viewer under Textual's own driver: keys, mouse, sizes, colours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("textual", reason="the extra view is not installed")

from textual.pilot import Pilot

from view.scenes import GIB, HOLE, inspected_scene, own_scene, predicted_scene
from xenp2m.view.app import ViewerApp
from xenp2m.view.scene import Scene
from xenp2m.view.viewer import Pane, Viewer

Act = Callable[[Pilot[None], Viewer], Awaitable[None]]


def drive(scene: Scene, act: Act, *, size: tuple[int, int] = (80, 24), unicode: bool = True) -> str:
    """Run the viewer, act on it, and return the screenshot that it then gives."""

    async def go() -> str:
        app = ViewerApp(scene, unicode=unicode)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await act(pilot, app.viewer)
            await pilot.pause()
            return app.export_screenshot(simplify=True).replace("&#160;", " ")

    # In a thread: where browser tests ran before, this one has their event loop.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, go()).result()


async def type_in(pilot: Pilot[None], text: str) -> None:
    names = {"/": "slash", ":": "colon", ".": "full_stop"}
    await pilot.press("slash", *(names.get(sign, sign) for sign in text), "enter")


def test_keys_of_the_map() -> None:
    async def act(pilot: Pilot[None], viewer: Viewer) -> None:
        for key, span in (("+", 2), ("up", 4), ("equals_sign", 8), ("-", 4), ("down", 2), ("0", 1)):
            await pilot.press(key)
            assert viewer.window.span == viewer.end // span
        await pilot.press("]")
        assert viewer.cursor == HOLE
        await pilot.press("z")
        assert viewer.window.span <= 8
        await pilot.press("right")
        assert viewer.cursor == HOLE + 1
        await pilot.press("left", "[")
        assert viewer.cursor == 0
        await pilot.press("end")
        assert viewer.cursor == viewer.end - 1
        await pilot.press("pageup")
        assert viewer.cursor < viewer.end - 1
        await pilot.press("home")
        assert viewer.cursor == 0

    drive(own_scene(), act)


def test_search_by_typing() -> None:
    async def act(pilot: Pilot[None], viewer: Viewer) -> None:
        await type_in(pilot, "3b:00.0")
        assert viewer.cursor == 2 * GIB
        await pilot.press("n")
        assert viewer.cursor == 3 * GIB
        await pilot.press("N")
        assert viewer.cursor == 2 * GIB
        await pilot.press("slash", "q", "x", "backspace", "backspace", "backspace")
        assert viewer.prompt is None
        await type_in(pilot, "hello")
        assert "cannot look for it" in viewer.message
        await pilot.press("slash", "q", "escape")
        assert viewer.prompt is None

    shot = drive(own_scene(), act)
    assert "0x80000000" in shot


def test_panes_by_key() -> None:
    async def act(pilot: Pilot[None], viewer: Viewer) -> None:
        for key, pane in (("b", Pane.BARS), ("f", Pane.FINDINGS), ("l", Pane.LOG), ("?", Pane.HELP)):
            await pilot.press(key)
            assert viewer.pane is pane
        await pilot.press("escape")
        assert viewer.pane is Pane.FRAME
        await pilot.press("b", "down", "enter", "escape", "enter")
        assert (viewer.cursor, viewer.pane) == (3 * GIB, Pane.EXPLAIN)
        await pilot.press("pagedown", "down")
        assert viewer.top > 1
        await pilot.press("escape", "home", "d", "n", "tab")
        assert (viewer.layer.name, viewer.cursor) == ("after", HOLE)

    drive(own_scene(), act)


def test_a_picture_of_an_explanation() -> None:
    async def act(pilot: Pilot[None], _: Viewer) -> None:
        await type_in(pilot, "0x200000000")
        await pilot.press("enter")

    shot = drive(predicted_scene(), act, size=(140, 50))
    for text in ("why, in 3.15", "PTE 0x200", "9 SPECIAL", "refused as a whole"):
        assert text in shot


def test_what_takes_long_is_done_beside_the_screen() -> None:
    async def act(pilot: Pilot[None], viewer: Viewer) -> None:
        await pilot.press("f")
        await pilot.app.workers.wait_for_complete()
        assert viewer.pending() is None

    assert "XA305" in drive(inspected_scene(), act)


def test_the_mouse() -> None:
    async def act(pilot: Pilot[None], viewer: Viewer) -> None:
        canvas = pilot.app.query_one("_Canvas")
        parts = [part.name for part, _ in canvas.painted.parts]  # type: ignore[attr-defined]
        window, fitted = parts.index("WINDOW") + 1, parts.index("FITTED") + 1
        await pilot.click(offset=(50, window))
        middle = viewer.cursor
        assert viewer.window.column(middle, viewer.width) == 42
        await pilot.click(offset=(50, window), times=2)
        assert viewer.window.span == viewer.end // 2
        await pilot.click(offset=(9, fitted))
        assert viewer.cursor < GIB
        await pilot.press("b")
        await pilot.pause()
        rows = [row for _, row in canvas.painted.parts]  # type: ignore[attr-defined]
        await pilot.click(offset=(5, rows.index(1)))
        assert viewer.cursor == 3 * GIB

    drive(own_scene(), act)


@pytest.mark.parametrize("size", [(40, 12), (80, 24), (160, 45), (10, 3), (300, 90)])
@pytest.mark.parametrize("unicode", [True, False], ids=["unicode", "ascii"])
def test_sizes(size: tuple[int, int], unicode: bool) -> None:
    async def act(pilot: Pilot[None], _: Viewer) -> None:
        await pilot.press("d", "n", "+", "b", "down", "enter", "f", "l", "?", "escape", "enter")
        await pilot.resize_terminal(size[0] + 7, size[1] + 3)

    shot = drive(own_scene(), act, size=size, unicode=unicode)
    assert "<svg" in shot


def test_quitting() -> None:
    async def act(pilot: Pilot[None], _: Viewer) -> None:
        await pilot.press("q")
        assert pilot.app._exit

    drive(own_scene(), act)
