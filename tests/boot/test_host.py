"""From a machine to the inputs of a boot."""

from __future__ import annotations

from dataclasses import replace

import pytest

from boot.maps import HOST, RAM, RESERVED, UNUSABLE
from xenp2m.arch import X86_32
from xenp2m.boot import MemorySpec, dom0_config, domu_config, host_map
from xenp2m.boot.host import available_pages, reserve_gaps
from xenp2m.boot.memspec import NO_MAXIMUM
from xenp2m.errors import MissingFactError
from xenp2m.machine import E820Entry, Machine, MapSource
from xenp2m.units import GIB, MIB

MACHINE = Machine(e820=HOST, e820_source=MapSource.XEN, nr_pages=1000, max_reservation=2000)
IO_APIC = E820Entry(0xFEC00000, 0xFEC01000, RESERVED)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("50%", "dom0_mem=50%"),
        ("-1G", "dom0_mem=-1G"),
        ("max:2G", "what Xen gives it without dom0_mem="),
        ("0", "what Xen gives it without dom0_mem="),
    ],
)
def test_why_dom0_starts_with_so_much(asked: str, why: str) -> None:
    _, assumptions = dom0_config(MACHINE, dom0_mem=MemorySpec.parse(asked))
    assert [item.why for item in assumptions if item.what.startswith("dom0 starts")] == [why]


def test_what_xen_keeps_is_reserved_in_the_gaps() -> None:
    entries, assumptions = host_map(MACHINE)
    assert set(entries) - set(HOST) == {IO_APIC}
    assert [(item.start, item.source) for item in assumptions] == [(0xFEC00000, "assumed")]


def test_known_io_apics_replace_the_usual_one() -> None:
    entries, assumptions = host_map(replace(MACHINE, io_apics=(0xFEC80000, 0x1000)))
    assert set(entries) - set(HOST) == {E820Entry(0xFEC80000, 0xFEC81000, RESERVED)}
    assert [item.source for item in assumptions] == ["seen in log"]


def test_registers_of_iommus_are_kept_where_the_log_names_them() -> None:
    entries, assumptions = host_map(replace(MACHINE, iommus=(0xFED90000,)))
    assert E820Entry(0xFED90000, 0xFED91000, RESERVED) in entries
    assert [item.start for item in assumptions if item.source == "seen in log"] == [0xFED90000]


@pytest.mark.parametrize(
    ("family", "bits", "kept"),
    [
        (0x0F, None, False),
        (0x10, None, True),
        (0x10, 40, False),
        (0x15, 48, True),
        (0x17, 48, False),
        (None, None, False),
    ],
)
def test_hypertransport_is_kept_where_something_follows_it(
    family: int | None, bits: int | None, kept: bool
) -> None:
    machine = replace(MACHINE, cpu_vendor="AMD", cpu_family=family, physical_bits=bits)
    assert (E820Entry(0xFD_0000_0000, 1 << 40, RESERVED) in host_map(machine)[0]) is kept


def test_old_xen_keeps_the_local_apic_page_only() -> None:
    machine = replace(MACHINE, e820=HOST[:3], xen_version="4.1.5", local_apic=0xFEE00000)
    assert E820Entry(0xFEE00000, 0xFEE01000, RESERVED) in host_map(machine)[0]


def test_seen_ranges_are_told_as_seen() -> None:
    entries, assumptions = host_map(MACHINE, seen_reserved=((0xFED90000, 0xFED92000), (0, MIB)))
    assert E820Entry(0xFED90000, 0xFED92000, RESERVED) in entries
    assert [item.start for item in assumptions if item.source == "seen in log"] == [0xFED90000]


def test_a_map_of_dom0_is_taken_as_it_is() -> None:
    assert host_map(replace(MACHINE, e820_source=MapSource.DOM0)) == (HOST, ())
    final = replace(MACHINE, e820=(E820Entry(0, GIB, UNUSABLE),), e820_source=MapSource.DOM0_FINAL)
    entries, assumptions = host_map(final)
    assert entries == (E820Entry(0, GIB, RAM),)
    assert len(assumptions) == 1


@pytest.mark.parametrize("source", [MapSource.PHYSMEM, MapSource.GUEST])
def test_other_maps_are_no_host_maps(source: MapSource) -> None:
    with pytest.raises(MissingFactError):
        host_map(replace(MACHINE, e820_source=source))


def test_reserve_gaps_takes_whole_pages_only() -> None:
    entries = [E820Entry(0, 0x1800, RAM), E820Entry(0x3400, 0x5000, RAM)]
    assert reserve_gaps(entries, 0, 0x6000) == [
        E820Entry(0x2000, 0x3000, RESERVED),
        E820Entry(0x5000, 0x6000, RESERVED),
    ]


def test_dom0_memory_comes_from_the_option_the_machine_or_xens_default() -> None:
    known, nothing = dom0_config(MACHINE)
    assert (known.nr_pages, known.max_reservation) == (1000, 2000)
    assert all(item.start is not None for item in nothing)
    asked, _ = dom0_config(MACHINE, dom0_mem=MemorySpec.parse("1G"))
    assert (asked.nr_pages, asked.max_reservation) == (GIB >> 12, NO_MAXIMUM)
    unknown = replace(MACHINE, nr_pages=None, max_reservation=None)
    guessed, assumptions = dom0_config(unknown, arch=X86_32)
    assert guessed.nr_pages == available_pages(unknown) - (128 * MIB >> 12)
    assert guessed.arch is X86_32
    assert [item.source for item in assumptions[-2:]] == ["estimated", "assumed"]
    percent = replace(unknown, dom0_mem="25%,max:2G")
    assert dom0_config(percent)[0].max_reservation == 2 * GIB >> 12


def test_builder_places_go_along() -> None:
    machine = replace(MACHINE, kernel=(16, 32), page_tables=(100, 150), p2m_list=(0x1000, 0x2400))
    config, _ = dom0_config(machine)
    assert (config.kernel, config.page_tables, config.p2m_frames) == ((16, 32), (100, 50), (1, 2))


def test_domu() -> None:
    plain = domu_config(GIB, 2 * GIB)
    assert (plain.nr_pages, plain.e820, plain.is_dom0) == (GIB >> 12, (E820Entry(0, 2 * GIB, RAM),), False)
    assert domu_config(GIB, has_map=False).e820 is None
    assert domu_config(GIB, e820=HOST).e820 == HOST
