"""Steps of memory setup against doing them frame by frame, or page by page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boot.maps import config, ranges
from boot.test_frames import END, changes
from xenp2m.boot.conflicts import find_free
from xenp2m.boot.e820 import RAM, Range, sanitise
from xenp2m.boot.frames import FRESH, IDENTITY, MISSING, Frames
from xenp2m.boot.remap import move_by_leaf
from xenp2m.boot.setup import BootStopsError, Setup
from xenp2m.rules import rules_for
from xenp2m.units import PAGE_SIZE

limits = st.none() | st.integers(0, END)
spans = st.tuples(st.integers(0, END), st.integers(0, END))


def _setup(nr_pages: int, steps: list[tuple[int, int, int, int]], limit: int | None) -> Setup:
    frames = Frames(nr_pages, END, MISSING)
    for step in steps:
        frames.put(*step)
    given_config = config(nr_pages, release_limit=limit, populate_limit=limit)
    return Setup(given_config, rules_for("3.15"), frames, nr_pages, nr_pages)


def _contents(setup: Setup) -> list[int]:
    return [content for start, end, content, _ in setup.frames.pieces(0, END) for _ in range(start, end)]


@given(st.integers(1, END), changes, spans, limits)
def test_frames_are_given_back_up_to_the_first_that_xen_refuses(
    nr_pages: int, steps: list[tuple[int, int, int, int]], span: tuple[int, int], limit: int | None
) -> None:
    setup = _setup(nr_pages, steps, limit)
    expected = _contents(setup)
    count = refused = 0
    for pfn in range(*span):
        if expected[pfn] == MISSING:
            continue
        if expected[pfn] == IDENTITY or count == limit:
            refused = 1
            break
        expected[pfn] = MISSING
        count += 1
    assert (setup.release(*span), setup.warning_count) == (count, refused)
    assert _contents(setup) == expected


@given(st.integers(1, END), changes, spans, limits)
def test_missing_frames_are_filled_up_to_the_first_that_xen_refuses(
    nr_pages: int, steps: list[tuple[int, int, int, int]], span: tuple[int, int], limit: int | None
) -> None:
    setup = _setup(nr_pages, steps, limit)
    expected = _contents(setup)
    count = refused = 0
    for pfn in range(*span):
        if expected[pfn] != MISSING:
            continue
        if count == limit:
            refused = 1
            break
        expected[pfn] = FRESH
        count += 1
    assert (setup.populate(*span), setup.warning_count) == (count, refused)
    assert _contents(setup) == expected
    assert [row[2] for row in setup.populated] == ([count] if count else [])


def test_the_boot_stops_where_frames_are_asked_for_past_the_tree() -> None:
    setup = _setup(END - 2, [], None)
    with pytest.raises(BootStopsError, match="BUG_ON"):
        setup.populate(END - 2, END + 2)


def test_the_boot_stops_where_frames_move_past_the_tree() -> None:
    setup = _setup(END - 8, [], None)
    assert move_by_leaf(setup, 0, 4, END - 4) == 4
    with pytest.raises(BootStopsError, match="BUG_ON"):
        move_by_leaf(setup, 4, 4, END - 3)


@given(
    ranges(page=PAGE_SIZE),
    st.integers(1, 20 * PAGE_SIZE),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=6),
)
def test_free_memory_is_the_first_place_in_ram_that_nothing_takes(
    entries: list[Range], size: int, parts: list[tuple[int, int]]
) -> None:
    small = [(start % (60 * PAGE_SIZE), end % (60 * PAGE_SIZE), kind) for start, end, kind in entries]
    host = sanitise([(min(row[:2]), max(row[:2]), row[2]) for row in small], None)
    taken = [(start * PAGE_SIZE, (start + pages) * PAGE_SIZE) for start, pages in parts]
    places = (
        at
        for start, end, kind in host
        if kind == RAM
        for at in range(start, end - size + 1, PAGE_SIZE)
        if not any(first < at + size and at < last for first, last in taken)
    )
    assert find_free(host, size, taken) == next(places, 0)
