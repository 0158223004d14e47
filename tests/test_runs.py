from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import arches, run_maps
from xenp2m.arch import X86_64, Arch
from xenp2m.entry import NO_MFN, Kind, encode
from xenp2m.errors import FormatError, UsageError
from xenp2m.p2m.lookup import word_runs
from xenp2m.runs import Run, RunMap


def make(*runs: Run, end_pfn: int = 100, beyond: Kind = Kind.MISSING) -> RunMap:
    return RunMap(X86_64, end_pfn, beyond, runs)


def test_gaps_are_missing_and_neighbours_join() -> None:
    frame_map = make(
        Run(0, 10, Kind.RAM, 50),
        Run(10, 10, Kind.RAM, 60),
        Run(30, 5, Kind.IDENTITY, 30),
        Run(35, 5, Kind.IDENTITY, None),
    )
    assert list(frame_map) == [
        Run(0, 20, Kind.RAM, 50),
        Run(20, 10, Kind.MISSING, None),
        Run(30, 10, Kind.IDENTITY, None),
        Run(40, 60, Kind.MISSING, None),
    ]


def test_ram_with_and_without_known_frames_stays_apart() -> None:
    frame_map = make(Run(0, 10, Kind.RAM, 0), Run(10, 10, Kind.RAM, None), end_pfn=20)
    assert [run.pages for run in frame_map] == [10, 10]


@pytest.mark.parametrize(
    "runs",
    [
        [Run(0, 10, Kind.RAM, 0), Run(5, 10, Kind.RAM, 0)],
        [Run(10, 10, Kind.RAM, 0), Run(0, 10, Kind.RAM, 0)],
        [Run(95, 10, Kind.RAM, 0)],
    ],
    ids=["overlap", "unsorted", "past the end"],
)
def test_bad_runs_are_refused(runs: list[Run]) -> None:
    with pytest.raises(UsageError, match="runs overlap"):
        make(*runs)


def test_a_missing_run_never_keeps_a_machine_frame() -> None:
    frame_map = make(Run(0, 100, Kind.MISSING, 7))
    assert list(frame_map) == [Run(0, 100, Kind.MISSING, None)]
    assert frame_map.entry(3).mfn is None


def test_beyond_the_end() -> None:
    assert make(beyond=Kind.IDENTITY).entry(1 << 30) == (Kind.IDENTITY, 1 << 30)
    assert make(beyond=Kind.MISSING).entry(1 << 30) == (Kind.MISSING, None)
    with pytest.raises(UsageError, match="past a map"):
        make(beyond=Kind.RAM)


def test_an_empty_map_has_only_a_beyond() -> None:
    frame_map = make(end_pfn=0, beyond=Kind.IDENTITY)
    assert list(frame_map) == []
    assert frame_map.entry(5) == (Kind.IDENTITY, 5)
    kinds, mfns = frame_map.lookup(np.array([5], np.uint64))
    assert kinds.tolist() == [Kind.IDENTITY]
    assert mfns.tolist() == [5]


def test_identity_of_another_frame_is_kept() -> None:
    frame_map = make(Run(10, 2, Kind.IDENTITY, 90))
    assert frame_map.entry(11) == (Kind.IDENTITY, 91)


@given(run_maps())
def test_json_round_trip(frame_map: RunMap) -> None:
    assert RunMap.from_json(json.loads(json.dumps(frame_map.to_json()))) == frame_map


@given(run_maps())
def test_runs_are_sorted_merged_and_cover_the_map(frame_map: RunMap) -> None:
    at = 0
    previous: Run | None = None
    for run in frame_map:
        assert run.pfn == at
        assert run.pages > 0
        if previous is not None and previous.kind == run.kind:
            assert (previous.mfn, run.mfn) != (None, None)
            assert previous.mfn is None or run.mfn != previous.mfn + previous.pages
        at, previous = run.end, run
    assert at == frame_map.end_pfn
    assert sum(frame_map.counts().values()) == frame_map.end_pfn


@given(run_maps(), st.lists(st.integers(0, 5000), max_size=50))
def test_lookup_agrees_with_entry(frame_map: RunMap, pfns: list[int]) -> None:
    kinds, mfns = frame_map.lookup(np.array(pfns, np.uint64))
    for pfn, kind, mfn in zip(pfns, kinds.tolist(), mfns.tolist(), strict=True):
        assert frame_map.entry(pfn) == (Kind(kind), None if mfn == NO_MFN else mfn)


@given(run_maps(known_mfns=True))
def test_words_round_trip(frame_map: RunMap) -> None:
    words = frame_map.to_words(0, frame_map.end_pfn)
    assert RunMap.from_words(words, frame_map.arch, frame_map.beyond) == frame_map


@given(arches, st.lists(st.tuples(st.sampled_from(Kind), st.integers(0, 9)), max_size=12))
def test_words_become_runs_word_by_word(arch: Arch, parts: list[tuple[Kind, int]]) -> None:
    words = np.array([encode(kind, mfn, arch) for kind, mfn in parts], np.uint64)
    frame_map = RunMap.from_words(words, arch, Kind.MISSING)
    for pfn, (kind, mfn) in enumerate(parts):
        assert frame_map.entry(pfn) == (kind, None if kind is Kind.MISSING else mfn)
    assert frame_map == RunMap(arch, len(words), Kind.MISSING, word_runs(words, 0, arch))


@given(run_maps(), st.integers(0, 5000), st.integers(0, 5000))
def test_within_is_the_map_cut(frame_map: RunMap, start: int, end: int) -> None:
    pieces = frame_map.within(start, end)
    assert sum(piece.pages for piece in pieces) == max(end - start, 0)
    for piece in pieces:
        assert frame_map.entry(piece.pfn).kind == piece.kind
        assert frame_map.entry(piece.end - 1).kind == piece.kind


@pytest.mark.parametrize(
    "damage",
    [
        {"format": "xenp2m.map/2"},
        {"arch": "arm"},
        {"end_pfn": -1},
        {"beyond": "ram"},
        {"runs": [[0, 50, "ram", None]]},
        {"runs": [[0, 100, "raam", None]]},
        {"runs": [[0, 100, "ram"]]},
        {"runs": [[0, 100, "ram", "x"]]},
        {"runs": [[False, 100, "ram", None]]},
        {"runs": [[0, 100, "ram", (1 << 52) + 1]]},
        {"runs": 5},
    ],
)
def test_damaged_json_is_one_clear_error(damage: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        RunMap.from_json({**make(Run(0, 100, Kind.RAM, None)).to_json(), **damage}, "map.json")


def test_json_that_is_no_object() -> None:
    with pytest.raises(FormatError, match="not a map"):
        RunMap.from_json([1, 2])


def test_without_mfns_keeps_kinds() -> None:
    frame_map = make(Run(0, 10, Kind.RAM, 5), Run(10, 90, Kind.RAM, 50)).without_mfns()
    assert list(frame_map) == [Run(0, 100, Kind.RAM, None)]
