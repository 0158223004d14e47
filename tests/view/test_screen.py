from __future__ import annotations

from collections.abc import Callable

import pytest

from view.scenes import GIB, HOLE, inspected_scene, own_scene, predicted_scene
from xenp2m.view.scene import Scene
from xenp2m.view.screen import Part, Screen, paint
from xenp2m.view.viewer import Pane, Viewer

SIZES = [(40, 12), (41, 13), (80, 24), (100, 30), (160, 45), (240, 70), (20, 6)]
SCENES: dict[str, Callable[[], Scene]] = {
    "own": own_scene,
    "predicted": predicted_scene,
    "inspected": inspected_scene,
}


def plain(screen: Screen) -> list[str]:
    return [line.plain for line in screen.lines]


@pytest.mark.parametrize("unicode", [True, False], ids=["unicode", "ascii"])
@pytest.mark.parametrize("size", SIZES, ids="{0[0]}x{0[1]}".format)
@pytest.mark.parametrize("name", SCENES)
def test_every_pane_fits_every_size(name: str, size: tuple[int, int], unicode: bool) -> None:
    width, height = size
    viewer = Viewer(SCENES[name]())
    for compared in (False, True):
        for pane in Pane:
            viewer.pane = pane
            screen = paint(viewer, width, height, unicode=unicode)
            assert len(screen.lines) == len(screen.parts) == height
            assert max(line.cell_len for line in screen.lines) <= width
            assert unicode or all(line.isascii() for line in plain(screen))
            assert Part.WINDOW in [part for part, _ in screen.parts]
        if not compared:
            viewer.compare()
            viewer.zoom(closer=True)


@pytest.mark.parametrize("size", [(1, 1), (0, 0), (19, 40), (80, 5)])
def test_a_terminal_too_small_says_so(size: tuple[int, int]) -> None:
    screen = paint(Viewer(own_scene()), *size, unicode=True)
    assert len(screen.lines) == 1
    assert screen.lines[0].cell_len <= size[0]


def test_zooming_all_the_way_paints() -> None:
    viewer = Viewer(own_scene())
    viewer.point(HOLE)
    for _ in range(60):
        viewer.zoom(closer=True)
        paint(viewer, 80, 24, unicode=True)
    assert viewer.window.span == 1
    line = next(line for line in plain(paint(viewer, 80, 24, unicode=True)) if line.startswith("before  ··"))
    assert set(line.removeprefix("before  ")) == {"·"}


def test_a_hole_of_one_frame_is_seen_from_far() -> None:
    viewer = Viewer(Scene("a machine", own_scene().layers[:1]))
    viewer.go(viewer.scene.layers[0].bars[0].place._replace(start=0, end=GIB))
    lines = plain(paint(viewer, 80, 24, unicode=True))
    mixed = next(line for line in lines if line.lstrip().startswith("mixed"))
    column = viewer.window.column(HOLE, viewer.width)
    assert mixed[len("  mixed ") + column] == "·"


def test_the_cursor_is_pointed_at() -> None:
    viewer = Viewer(own_scene())
    viewer.search("3b:00.0/2")
    lines = plain(paint(viewer, 80, 24, unicode=False))
    pointer = next(line for line in lines if "^ 0xc0000000" in line)
    bars = [line for line in lines if line.startswith("  BARs")][-1]
    assert bars[pointer.index("^")] == "v"


def test_kinds_differ_by_sign_and_not_by_colour_alone() -> None:
    viewer = Viewer(predicted_scene())
    lines = plain(paint(viewer, 100, 30, unicode=False))
    drawn = next(line for line in lines if line.startswith("series"))
    assert {"#", "="} <= set(drawn)


def test_lists_scroll_to_the_chosen_row() -> None:
    viewer = Viewer(own_scene())
    viewer.show(Pane.BARS)
    for _ in range(3):
        screen = plain(paint(viewer, 40, 12, unicode=True))
        assert any(line.startswith("> ") for line in screen)
        viewer.choose(1)


def test_texts_scroll_to_their_end_and_no_further() -> None:
    viewer = Viewer(own_scene())
    viewer.show(Pane.EXPLAIN)
    viewer.choose(500)
    lines = plain(paint(viewer, 80, 24, unicode=True))
    assert lines[-2] == "step 29 for 0x0"
    viewer.choose(-1)
    assert plain(paint(viewer, 80, 24, unicode=True))[-2] == "step 28 for 0x0"
