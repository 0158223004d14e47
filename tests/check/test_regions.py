from __future__ import annotations

from itertools import pairwise

from xenp2m.boot import GuestConfig, boot
from xenp2m.check.regions import Region, regions
from xenp2m.entry import Kind
from xenp2m.machine import Bar, E820Entry
from xenp2m.rules import rules_for
from xenp2m.units import GIB, MIB

HOST = (E820Entry(0, 2 * GIB, 1), E820Entry(3 * GIB, 4 * GIB, 2), E820Entry(4 * GIB, 8 * GIB, 1))
BAR = Bar("0000:01:00.0", 0, 256 * GIB, 16 * MIB)


def cut(*kernels: str) -> tuple[Region, ...]:
    config = GuestConfig(nr_pages=1 << 18, e820=HOST, max_reservation=1 << 19)
    return regions([boot(config, rules_for(kernel)) for kernel in kernels], [BAR])


def test_regions_cover_all_frames_once() -> None:
    found = cut("3.15", "series")
    assert found[0].start == 0
    assert all(one.end == other.start for one, other in pairwise(found))
    assert found[-1].end is None


def test_neighbours_differ() -> None:
    found = cut("3.15", "series", "6.1")
    assert all((one.kinds, one.what) != (other.kinds, other.what) for one, other in pairwise(found))


def test_what_is_there_and_what_each_kernel_makes_of_it() -> None:
    rows = {region.what: region.kinds for region in cut("3.15", "series")}
    assert rows["hole, reserved"] == (Kind.IDENTITY, Kind.IDENTITY)
    assert rows["host RAM, balloon space"] == (Kind.MISSING, Kind.MISSING)
    assert rows["past the end of the E820 map"] == (Kind.MISSING, Kind.IDENTITY)
    assert rows["past the end of the p2m (512 GiB)"] == (Kind.MISSING, Kind.IDENTITY)


def test_a_bar_stands_where_it_starts() -> None:
    (region,) = [region for region in cut("3.15") if region.bars]
    assert region.what == "past the end of the E820 map"
