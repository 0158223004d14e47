from __future__ import annotations

import pytest

from view.scenes import GIB, HOLE, inspected_scene, own_scene, predicted_scene
from xenp2m.view.viewer import Pane, Viewer


@pytest.fixture
def viewer() -> Viewer:
    viewer = Viewer(own_scene())
    viewer.width = 64
    return viewer


def compared(viewer: Viewer) -> tuple[int | None, Pane]:
    return viewer.other, viewer.pane


def texts(viewer: Viewer) -> str:
    return "\n".join(row.text.plain for row in viewer.rows())


def test_it_begins_with_everything(viewer: Viewer) -> None:
    assert (viewer.window.start, viewer.window.span, viewer.cursor) == (0, viewer.end, 0)
    assert viewer.end >= 4 * GIB


def test_steps_are_columns_and_at_last_frames(viewer: Viewer) -> None:
    viewer.step(1)
    assert viewer.cursor == viewer.end // 64
    viewer.step(-1)
    assert viewer.cursor == 0
    viewer.step(-1)
    assert viewer.cursor == 0
    for _ in range(60):
        viewer.zoom(closer=True)
    viewer.step(1)
    assert (viewer.cursor, viewer.window.span) == (1, 1)
    assert viewer.window.holds(1)


def test_zooming_keeps_the_cursor_in_the_window(viewer: Viewer) -> None:
    viewer.point(3 * GIB)
    for _ in range(10):
        viewer.zoom(closer=True)
        assert viewer.window.holds(viewer.cursor)
    assert viewer.cursor == 3 * GIB
    viewer.zoom(closer=True, at=viewer.window.start)
    assert viewer.window.holds(viewer.cursor)
    viewer.whole()
    assert viewer.window.span == viewer.end


def test_a_search_past_the_end_stays_and_says_so(viewer: Viewer) -> None:
    viewer.search("pfn:0x100")
    before = viewer.cursor, viewer.window
    for text in (hex(viewer.end << 12), f"pfn:{viewer.end:#x}", "16P"):
        viewer.message = ""
        viewer.search(text)
        assert (viewer.cursor, viewer.window) == before
        assert viewer.message == f"not here: {text}; what is shown ends at {viewer.end << 12:#x}"
    viewer.search(f"pfn:{viewer.end - 1:#x}")
    assert viewer.cursor == viewer.end - 1


def test_half_a_window_and_the_ends(viewer: Viewer) -> None:
    viewer.zoom(closer=True)
    start = viewer.window.span // 2
    viewer.turn(0.5)
    assert viewer.window.start == start
    viewer.point(viewer.end + 5)
    assert viewer.cursor == viewer.end - 1


def test_runs_from_one_to_the_next(viewer: Viewer) -> None:
    viewer.run(neighbour=1)
    assert viewer.cursor == HOLE
    viewer.run(neighbour=1)
    assert viewer.cursor == HOLE + 1
    viewer.run(neighbour=-1)
    assert viewer.cursor == HOLE
    viewer.run()
    assert viewer.window.holds(HOLE)
    assert viewer.window.span <= 8
    viewer.run(neighbour=-1)
    viewer.run(neighbour=-1)
    assert viewer.cursor == 0


def test_layers_and_their_differences(viewer: Viewer) -> None:
    viewer.next()
    assert "search" in viewer.message
    viewer.compare()
    assert compared(viewer) == (1, Pane.DIFF)
    viewer.next()
    assert viewer.cursor == HOLE
    viewer.next()
    assert viewer.cursor == 4 * GIB
    viewer.next(back=True)
    assert (viewer.cursor, viewer.selected) == (HOLE, 0)
    viewer.compare()
    assert compared(viewer) == (2, Pane.DIFF)
    viewer.compare()
    assert compared(viewer) == (None, Pane.FRAME)
    viewer.compare()
    viewer.next_layer()
    assert viewer.layer.name == "after"
    assert compared(viewer)[0] is None


def test_lists_lead_to_places(viewer: Viewer) -> None:
    viewer.show(Pane.BARS)
    viewer.choose(1)
    viewer.enter()
    assert viewer.cursor == 3 * GIB
    viewer.show(Pane.FINDINGS)
    viewer.enter()
    assert viewer.cursor == HOLE
    viewer.choose(99)
    viewer.enter()
    assert (viewer.cursor, viewer.message) == (HOLE, "it has no place on the map")
    viewer.show(Pane.FINDINGS)
    assert viewer.pane is Pane.FRAME


def test_the_frame_is_told_in_every_layer(viewer: Viewer) -> None:
    viewer.point(HOLE)
    told = texts(viewer)
    assert "0x12345000  pfn 0x12345  missing in before: from 0x12345000, 4 KiB" in told
    assert "reason of 0x12345" in told
    assert "after: RAM" in told
    viewer.point(2 * GIB)
    assert "0000:3b:00.0/0  does not map" in texts(viewer)
    viewer.next_layer(2)
    viewer.point(GIB)
    assert "cannot tell in dump" in texts(viewer)


def test_explaining_a_frame_of_a_prediction() -> None:
    viewer = Viewer(predicted_scene())
    broken = next(mark for mark in viewer.layer.bars if not mark.maps and mark.place.start > GIB)
    viewer.search(broken.name)
    assert viewer.cursor == broken.place.start
    viewer.enter()
    told = texts(viewer)
    assert "does not map" in told
    assert "PTE 0x200" in told
    assert "9 SPECIAL  not present: no frame" in told
    assert f"45-12 frame {viewer.cursor:#x}" in told
    viewer.next_layer()
    assert "not present" not in texts(viewer)


def test_explaining_a_frame_of_a_dump() -> None:
    viewer = Viewer(inspected_scene())
    viewer.show(Pane.EXPLAIN)
    assert texts(viewer) == "working ..."
    work = viewer.pending()
    assert work is not None
    work()
    assert viewer.pending() is None
    told = texts(viewer)
    assert "p2m: RAM: machine frame 0x1c000" in told
    assert "frame 0x1c000" in told
    assert "page tables with machine frame 0x1c000: 2" in told
    viewer.show(Pane.FINDINGS)
    work = viewer.pending()
    assert work is not None
    work()
    assert "XA305" in texts(viewer)


def test_a_missing_frame_of_a_dump_is_no_address() -> None:
    viewer = Viewer(inspected_scene())
    viewer.search("missing")
    assert "missing" in texts(viewer)
    viewer.show(Pane.EXPLAIN)
    work = viewer.pending()
    assert work is not None
    work()
    assert "missing: no machine frame" in texts(viewer)
    assert "PTE 0x0" not in [row.text.plain for row in viewer.rows() if "io_remap" not in row.text.plain]
