"""The map of a domU with e820_host."""

from __future__ import annotations

import pytest

from boot.maps import HOST, RAM, RESERVED, UNUSABLE
from xenp2m.boot import libxl_e820_host
from xenp2m.errors import UsageError
from xenp2m.machine import E820Entry
from xenp2m.units import GIB, MIB

K = MIB // 1024


def test_host_ram_below_4g_is_unusable_and_holes_stay() -> None:
    assert libxl_e820_host(HOST, 256 * K, 256 * K) == (
        E820Entry(0, 256 * MIB, RAM),
        E820Entry(256 * MIB, 0xFEE00000, UNUSABLE),
        E820Entry(0xFEE00000, 0xFEF00000, RESERVED),
    )


def test_balloon_space_goes_to_4g_whatever_is_there() -> None:
    host = (*HOST[:4], E820Entry(4 * GIB, 5 * GIB, RESERVED))
    assert libxl_e820_host(host, 256 * K, 512 * K)[-1] == E820Entry(4 * GIB, 4 * GIB + 256 * MIB, RAM)


def test_ram_that_meets_a_hole_continues_at_4g() -> None:
    found = libxl_e820_host(HOST, 5 * 1024 * K, 5 * 1024 * K)
    assert found[0] == E820Entry(0, 0xFEE00000, RAM)
    assert found[-1] == E820Entry(4 * GIB, 5 * GIB + 4 * GIB - 0xFEE00000, RAM)


def test_a_gap_without_host_ram_is_filled() -> None:
    host = (E820Entry(0, GIB, RAM), E820Entry(2 * GIB, 3 * GIB, RESERVED))
    assert libxl_e820_host(host, 512 * K, 512 * K) == (
        E820Entry(0, 512 * MIB, RAM),
        E820Entry(512 * MIB, 2 * GIB, UNUSABLE),
        E820Entry(2 * GIB, 3 * GIB, RESERVED),
    )


def test_host_ram_that_ends_where_the_guests_does_leaves_nothing() -> None:
    host = (E820Entry(512 * MIB, GIB, RAM), E820Entry(GIB, 2 * GIB, RESERVED))
    assert libxl_e820_host(host, 1024 * K, 1024 * K) == (
        E820Entry(0, GIB, RAM),
        E820Entry(GIB, 2 * GIB, RESERVED),
    )


@pytest.mark.parametrize(("memory", "maxmem"), [(0, 0), (2, 1)])
def test_impossible_sizes(memory: int, maxmem: int) -> None:
    with pytest.raises(UsageError):
        libxl_e820_host(HOST, memory, maxmem)
