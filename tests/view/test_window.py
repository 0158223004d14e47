from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xenp2m.view.window import Window

ENDS = st.integers(1, 1 << 52)
WIDTHS = st.integers(1, 300)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    end = draw(ENDS)
    span = draw(st.integers(1, end))
    return Window(draw(st.integers(0, end - span)), span, end)


def check(window: Window) -> None:
    assert window.start >= 0
    assert window.span >= 1
    assert window.start + window.span <= window.end


@given(windows(), WIDTHS)
def test_columns_cover_the_window_in_order(window: Window, width: int) -> None:
    edges = window.edges(width)
    assert edges[0] == window.start
    assert edges[-1] == window.start + window.span
    assert edges == sorted(edges)


@given(windows(), WIDTHS, st.data())
def test_a_frame_lies_in_its_columns(window: Window, width: int, data: st.DataObject) -> None:
    frame = data.draw(st.integers(window.start, window.start + window.span - 1))
    first, last = window.column(frame, width), window.last_column(frame, width)
    assert 0 <= first <= last < width
    edges = window.edges(width)
    assert edges[last] <= frame < max(edges[last + 1], edges[last] + 1)
    if window.span <= width:
        assert {edges[column] for column in range(first, last + 1)} == {frame}
    else:
        assert first == last


@given(windows(), st.data())
def test_moves_and_zooms_stay_among_the_frames(window: Window, data: st.DataObject) -> None:
    at = data.draw(st.integers(window.start, window.start + window.span - 1))
    closer = window.zoomed(at, closer=True)
    check(closer)
    assert closer.holds(at)
    assert closer.span == max(window.span // 2, 1)
    check(window.zoomed(at, closer=False))
    check(window.moved(data.draw(st.integers(-(1 << 53), 1 << 53))))
    frame = data.draw(st.integers(0, window.end - 1))
    shown = window.showing(frame)
    check(shown)
    assert shown.holds(frame)
    assert shown.span == window.span
    around = Window.around(frame, frame + 1, window.end)
    check(around)
    assert around.holds(frame)


def test_from_everything_to_one_frame_and_back() -> None:
    window, steps = Window.whole(1 << 32), 0
    while window.span > 1:
        window, steps = window.zoomed(0x12345, closer=True), steps + 1
    assert (window.start, steps) == (0x12345, 32)
    for _ in range(32):
        window = window.zoomed(0x12345, closer=False)
    assert window == Window.whole(1 << 32)
