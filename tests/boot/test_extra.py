"""The slots of extra memory."""

from __future__ import annotations

from xenp2m.boot.extra import SLOTS, ExtraMemory


def test_touching_ranges_grow_a_slot() -> None:
    extra = ExtraMemory()
    assert extra.add(10, 5)
    assert extra.add(15, 5)
    assert extra.add(30, 1)
    assert extra.regions() == ((10, 20), (30, 31))


def test_a_full_list_takes_no_more() -> None:
    extra = ExtraMemory()
    assert all(extra.add(10 * index, 1) for index in range(SLOTS))
    assert not extra.add(10 * SLOTS, 1)


def test_ranges_are_taken_from_either_end_and_from_the_middle() -> None:
    extra = ExtraMemory()
    extra.add(100, 100)
    assert extra.remove(100, 10) is None
    assert extra.remove(190, 10) is None
    assert extra.remove(140, 10) is None
    assert extra.regions() == ((110, 140), (150, 190))
    assert extra.remove(500, 10) is None


def test_taking_more_than_a_slot_has_stops_the_kernel() -> None:
    extra = ExtraMemory()
    extra.add(100, 100)
    assert extra.remove(100, 101) == "n_pfns > size_r"
    assert extra.remove(50, 150) == "n_pfns > size_r"
    assert extra.remove(150, 60) == "start_pfn + n_pfns > start_r + size_r"
