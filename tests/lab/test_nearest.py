"""The nearest shape to a captured machine."""

from __future__ import annotations

import pytest

from cli.program import CAPTURES, DATA
from xenp2m.capture import read_files
from xenp2m.lab.nearest import MOST_MEMORY, nearest_shape
from xenp2m.lab.shapefile import parse_shape
from xenp2m.machine import Bar, E820Entry, Machine
from xenp2m.units import GIB, MIB

MACHINES = sorted(
    path for path in CAPTURES.iterdir() if path.is_dir() and (path / "xen-console.txt").is_file()
)


def machine(ram: int, low: int, *bars: Bar, **facts: object) -> Machine:
    low = min(ram, low)
    entries = [E820Entry(0, low, 1), E820Entry(0xFEC0_0000, 0xFEC0_1000, 2)]
    if ram > low:
        entries.append(E820Entry(4 * GIB, 4 * GIB + ram - low, 1))
    return Machine(e820=tuple(entries), bars=bars, **facts)  # type: ignore[arg-type]


def test_ram_is_split_where_the_machine_splits_it() -> None:
    near = nearest_shape(machine(6 * GIB, 3 * GIB))
    assert (near.shape.memory, near.shape.ram_below_4g) == (6 * GIB, 3 * GIB)
    assert not any("RAM is" in text for text in near.differs)


def test_too_much_ram_is_cut_and_said() -> None:
    near = nearest_shape(machine(192 * GIB, 2 * GIB, cpu_vendor="GenuineIntel"))
    assert near.shape.memory == MOST_MEMORY
    assert near.shape.ram_below_4g == 2 * GIB
    assert near.shape.cpu == "Nehalem"
    assert "RAM is 8 GiB instead of 192 GiB" in near.differs


def test_bars_are_pushed_up_and_what_is_left_out_is_said() -> None:
    bars = [Bar("0000:01:00.0", 2, (56 << 40) + n * 64 * MIB, 64 * MIB, True, True) for n in range(7)]
    near = nearest_shape(machine(4 * GIB, 2 * GIB, *bars))
    assert near.shape.bars == (64 * MIB,) * 4
    assert near.shape.spacers == (256 * GIB,)
    assert any("0x8000000000 on instead of 0x380000000000" in text for text in near.differs)
    assert any("3 of its 7" in text for text in near.differs)


def test_dom0_is_as_large_as_it_was_where_it_fits() -> None:
    fits = machine(4 * GIB, 2 * GIB, dom0_mem="1G,max:2G", nr_pages=1 << 18)
    assert nearest_shape(fits).shape.dom0_mem == "1G,max:2G"
    huge = machine(64 * GIB, 2 * GIB, dom0_mem="32G", nr_pages=8 << 20)
    near = nearest_shape(huge)
    assert near.shape.dom0_mem == "4096M"
    assert any("instead of 32 GiB" in text for text in near.differs)


@pytest.mark.parametrize("folder", MACHINES, ids=lambda folder: folder.name)
def test_every_captured_machine_gives_a_shape_that_can_be_read(folder: object) -> None:
    shape = nearest_shape(read_files([str(folder)]).machine).shape
    assert parse_shape(shape.to_toml(), shape.name, "") == shape


def test_there_are_captured_machines() -> None:
    assert MACHINES, DATA
