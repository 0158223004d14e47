from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from view.scenes import GIB, HOLE, own_scene
from xenp2m.check.diff import Status
from xenp2m.view.compared import Compared

BEFORE, AFTER, DUMP = own_scene().layers


def test_regions_and_their_order() -> None:
    compared = Compared.of(BEFORE, AFTER)
    assert compared.names == ("before", "after")
    assert [piece.start for piece in compared.regions] == [HOLE, 4 * GIB]
    assert compared.next(0) == 0
    assert compared.next(HOLE) == 1
    assert compared.next(4 * GIB) == 0
    assert compared.next(4 * GIB, back=True) == 0
    assert compared.next(HOLE, back=True) == 1


def test_what_cannot_be_told_is_marked_as_such() -> None:
    compared = Compared.of(AFTER, DUMP)
    edges = [0, GIB, GIB + 8, 2 * GIB, 4 * GIB, 5 * GIB]
    assert compared.columns(edges) == [None, Status.UNKNOWN, None, None, Status.DIFFERS]


def test_layers_that_are_the_same() -> None:
    compared = Compared.of(AFTER, AFTER)
    assert compared.columns([0, GIB, 8 * GIB]) == [None, None]
    assert compared.next(0) is None


@given(st.lists(st.integers(0, 5 * GIB), min_size=2, max_size=9))
def test_a_column_differs_if_some_frame_of_it_does(numbers: list[int]) -> None:
    edges = sorted(numbers)
    found = Compared.of(BEFORE, AFTER).columns(edges)
    for status, start, edge in zip(found, edges, edges[1:], strict=False):
        end = max(edge, start + 1)
        differs = start <= HOLE < end or end > 4 * GIB
        assert (status is Status.DIFFERS) == differs
