"""Sanitising, holes, alignment and the kernel's table."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boot.maps import ranges
from xenp2m.boot.e820 import (
    RAM,
    TABLE_ENTRIES,
    KernelMap,
    Range,
    cut_ram,
    holes,
    is_reserved,
    ram_frames,
    sanitise,
    unusable_to_ram,
)

MASK = (1 << 64) - 1


def _type_at(entries: list[Range], address: int) -> int:
    return max((kind for start, end, kind in entries if start <= address < end), default=0)


@given(ranges(), st.integers(0, 1 << 16))
def test_sanitise_keeps_the_highest_type_of_every_byte(entries: list[Range], address: int) -> None:
    assert _type_at(sanitise(entries, 1000), address) == _type_at(entries, address)


@given(ranges(), st.booleans())
def test_sanitise_gives_a_sorted_map_and_is_idempotent(entries: list[Range], apart: bool) -> None:
    once = sanitise(entries, 1000, persistent_kept_apart=apart)
    assert sanitise(once, 1000, persistent_kept_apart=apart) == once
    if len(entries) >= 2:
        assert all(start < end for start, end, _ in once)
        assert all(left[1] <= right[0] for left, right in pairwise(once))


def test_sanitise_merges_what_touches() -> None:
    assert sanitise([(10, 20, 1), (0, 10, 1)], 9) == [(0, 20, 1)]
    assert sanitise([(0, 10, 12), (10, 20, 12)], 9) == [(0, 20, 12)]
    assert sanitise([(0, 10, 12), (10, 20, 12)], 9, persistent_kept_apart=True) == [(0, 10, 12), (10, 20, 12)]


def test_sanitise_loses_the_top_when_an_overlap_needs_more_entries() -> None:
    assert sanitise([(0, 100, 1), (40, 50, 2)], 2) == [(0, 40, 1), (40, 50, 2)]


@pytest.mark.parametrize("entries", [[], [(5, 5, 1)], [(8, 9, 1), (MASK - 3, 4, 2), (0, 8, 1)]])
def test_sanitise_leaves_short_and_wrapping_maps_alone(entries: list[Range]) -> None:
    assert sanitise(entries, 9) == entries


def test_holes_join_gaps_and_other_types_and_round_outwards() -> None:
    host = [(0, 0x9FC00, 1), (0x9FC00, 0xA0000, 2), (0x100000, 0x200000, 1), (0x300000, 0x300001, 2)]
    assert holes(host, MASK) == [(0x9F, 0x100), (0x200, 0x301)]


def test_nothing_past_a_last_ram_entry_is_a_hole() -> None:
    assert holes([(0, 0x1000, 2), (0x1000, 0x2000, 1)], MASK) == [(0, 1)]


def test_frame_numbers_of_a_32bit_guest_wrap() -> None:
    assert holes([(0, 0x1000, 1), ((16 << 40) + 0x5000, (16 << 40) + 0x6000, 2)], 0xFFFF_FFFF) == [(1, 6)]


def test_ram_smaller_than_a_page_has_less_than_no_frames() -> None:
    assert ram_frames([(0x1400, 0x1800, 1), (0x2000, 0x4000, 1)], MASK) == [(2, 1), (2, 4)]


def test_reserved_means_not_inside_one_ram_entry() -> None:
    host = [(0, 0x1000, 1), (0x1000, 0x2000, 1), (0x2000, 0x3000, 2)]
    assert not is_reserved(host, 0x400, 0x400)
    assert is_reserved(host, 0x800, 0x1000)
    assert not is_reserved(host, 0x2000, 0)


def test_mem_cuts_ram_only() -> None:
    host = [(0, 0x4000, 1), (0x4000, 0x5000, 2), (0x5000, 0x6000, 1)]
    assert cut_ram(host, 0x3000) == [(0, 0x3000, 1), (0x4000, 0x5000, 2)]


def test_unusable_becomes_ram() -> None:
    assert unusable_to_ram([(0, 1, 5), (1, 2, 4)]) == [(0, 1, 1), (1, 2, 4)]


def test_the_table_aligns_ram_and_drops_what_does_not_fit() -> None:
    table = KernelMap()
    table.add(0x800, 0x2800, RAM)
    table.add(0x2800, 0x2900, 2)
    assert table.entries == [(0x1000, 0x2000, RAM), (0x2800, 0x2900, 2)]
    table.add_empty_pages(0x10000, 1000)
    assert len(table.entries) == TABLE_ENTRIES
    table.add(0, 0x1000, 2)
    assert table.ignored == 1000 - (TABLE_ENTRIES - 2) + 1
