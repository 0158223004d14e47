"""The p2m as ranges, against one Python list entry a frame."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xenp2m.arch import X86_64
from xenp2m.boot.frames import BUILDER, FRESH, HOST, IDENTITY, MISSING, Frames
from xenp2m.boot.guest import Origin, Placement
from xenp2m.entry import Kind

END = 64
changes = st.lists(
    st.tuples(
        st.integers(0, END),
        st.integers(0, END + 9),
        st.sampled_from([BUILDER, FRESH, HOST, IDENTITY, MISSING]),
        st.integers(0, 5),
    ),
    max_size=12,
)


@given(st.integers(1, END), changes)
def test_put_and_pieces_agree_with_a_list(nr_pages: int, steps: list[tuple[int, int, int, int]]) -> None:
    frames = Frames(nr_pages, END, IDENTITY)
    expected = [(BUILDER, 0)] * nr_pages + [(MISSING, 0)] * (END - nr_pages) + [(IDENTITY, 0)] * 20
    for start, end, content, shift in steps:
        frames.put(start, end, content, shift)
        for pfn in range(start, min(end, END)):
            expected[pfn] = content, shift
    found = [(0, 0)] * len(expected)
    at = 0
    for start, end, content, shift in frames.pieces(0, len(expected)):
        assert start == at < end
        found[start:end] = [(content, shift)] * (end - start)
        at = end
    assert found == expected
    kinds = [run.kind for run in frames.run_map(X86_64) for _ in range(run.pages)]
    names = {IDENTITY: Kind.IDENTITY, MISSING: Kind.MISSING}
    assert kinds == [names.get(content, Kind.RAM) for content, _ in expected[:END]]


def test_placements_name_where_frames_come_from() -> None:
    frames = Frames(10, END, MISSING)
    frames.put(4, 6, IDENTITY)
    frames.put(20, 22, BUILDER, 4 - 20)
    frames.put(22, 23, FRESH, 0 - 22)
    frames.put(30, 31, HOST, 7 - 30)
    assert frames.placements() == (
        Placement(0, 4, Origin.BUILDER, 0),
        Placement(6, 10, Origin.BUILDER, 6),
        Placement(20, 22, Origin.BUILDER, 4),
        Placement(22, 23, Origin.FRESH, 0),
        Placement(30, 31, Origin.HOST, 7),
    )
    assert frames.run_map(X86_64).entry(30).mfn == 7


def test_resize_grows_and_shrinks() -> None:
    frames = Frames(10, 16, IDENTITY)
    frames.resize(32, IDENTITY)
    assert frames.pieces(12, 40) == [(12, 16, MISSING, 0), (16, 32, IDENTITY, 0), (32, 40, IDENTITY, 0)]
    frames.resize(8, IDENTITY)
    assert frames.pieces(0, 9) == [(0, 8, BUILDER, 0), (8, 9, IDENTITY, 0)]
