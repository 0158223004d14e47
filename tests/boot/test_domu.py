"""The boot of a domU from its own texts: how much it started with."""

from __future__ import annotations

import pytest

from xenp2m.boot import own_domu_config
from xenp2m.machine import E820Entry, Machine, MapSource
from xenp2m.units import GIB, MIB

ISA = E820Entry(0xA0000, MIB, 2)
HOLE = E820Entry(GIB, 4 * GIB, 2)
MAP = (E820Entry(0, 0xA0000, 1), ISA, E820Entry(MIB, GIB, 1), HOLE, E820Entry(4 * GIB, 6 * GIB, 1))
GIB_FRAMES = 1 << 18


@pytest.mark.parametrize(
    ("moved", "frames"),
    [
        (None, 3 * GIB_FRAMES),
        (0, GIB_FRAMES),
        (100, GIB_FRAMES + 100),
        (2 * GIB_FRAMES, 3 * GIB_FRAMES),
        (3 * GIB_FRAMES, 3 * GIB_FRAMES),
    ],
)
def test_it_started_with_what_leaves_as_many_frames_under_holes_as_it_moved(
    moved: int | None, frames: int
) -> None:
    config, assumptions = own_domu_config(Machine(e820=MAP, e820_source=MapSource.GUEST), moved=moved)
    assert config.nr_pages == frames
    assert config.max_reservation == 3 * GIB_FRAMES
    assert not config.is_dom0
    assert len(assumptions) == 2


def test_the_isa_range_is_ram_that_its_kernel_reserved() -> None:
    config, _ = own_domu_config(Machine(e820=MAP, e820_source=MapSource.GUEST))
    assert config.e820 == (E820Entry(0, GIB, 1), *MAP[3:])


def test_what_it_started_with_may_be_known() -> None:
    machine = Machine(e820=MAP, e820_source=MapSource.GUEST, nr_pages=1000)
    config, assumptions = own_domu_config(machine)
    assert config.nr_pages == 1000
    assert [text.what for text in assumptions] == ["a PV domU"]


def test_a_map_without_ram_is_no_reason_to_fail() -> None:
    machine = Machine(e820=(HOLE,), e820_source=MapSource.GUEST)
    assert own_domu_config(machine)[0].nr_pages == 1
