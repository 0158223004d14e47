from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from strategies import run_maps
from xenp2m.arch import X86_64
from xenp2m.draw.shares import UNTOLD, frames_by_kind, most
from xenp2m.entry import Kind
from xenp2m.runs import Ambiguous, Run, RunMap


@given(run_maps(), st.lists(st.integers(0, 6000), min_size=2, max_size=20, unique=True).map(sorted))
def test_columns_count_what_the_map_says(frame_map: RunMap, edges: list[int]) -> None:
    counts = frames_by_kind(frame_map, edges)
    for row, start, end in zip(counts.tolist(), edges, edges[1:], strict=False):
        expected = [0] * (UNTOLD + 1)
        for run in frame_map.within(start, end):
            expected[run.kind] += run.pages
        assert row == expected


def test_frames_that_are_not_told_are_not_missing() -> None:
    frame_map = RunMap(X86_64, 100, Kind.MISSING, [Run(0, 20, Kind.RAM, None)])
    both = (Kind.MISSING, Kind.IDENTITY)
    unknown = [Ambiguous(60, 90, both, "a"), Ambiguous(25, 35, both, "b")]
    counts = frames_by_kind(frame_map, [0, 30, 60, 100], unknown)
    assert counts.tolist() == [[20, 0, 0, 5, 5], [0, 0, 0, 25, 5], [0, 0, 0, 10, 30]]
    assert most(counts).tolist() == [Kind.RAM, Kind.MISSING, UNTOLD]
