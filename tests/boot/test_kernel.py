"""boot(): what is true of every kernel, and what single choices change."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boot.maps import FRAMES, HOST, NVS, RAM, RESERVED, UNUSABLE, config, host_maps
from xenp2m.arch import X86_32, X86_64, Arch
from xenp2m.boot import Guest, OpKind, Origin, boot, publish
from xenp2m.boot.setup import limit_pages
from xenp2m.entry import Kind
from xenp2m.errors import InputError, UsageError
from xenp2m.machine import E820Entry
from xenp2m.rules import KERNELS, Rules, rules_for
from xenp2m.units import GIB, MIB, PAGE_SHIFT, TIB

kernels = st.sampled_from(KERNELS)
MAX = X86_64.max_p2m_pfn
AMD_HOLE = E820Entry(0xFD_0000_0000, 1 << 40, RESERVED)
"""A reserved range past the end of the tree: the last hole reaches past MAX_P2M_PFN."""


@pytest.mark.parametrize(
    ("kernel", "arch", "is_dom0", "limited", "pages"),
    [
        ("3.15", X86_64, True, True, 131072000),
        ("4.2", X86_32, False, True, 1 << 24),
        ("4.4", X86_32, True, True, 1 << 24),
        ("4.4", X86_64, True, True, 1 << 34),
        ("6.1", X86_64, False, True, 1 << 27),
        ("6.1", X86_64, False, False, 1 << 34),
    ],
)
def test_how_many_frames_a_domain_may_have(
    kernel: str, arch: Arch, is_dom0: bool, limited: bool, pages: int
) -> None:
    given_config = replace(config(1, HOST, is_dom0=is_dom0), arch=arch, limit_512gb=limited)
    assert limit_pages(given_config, rules_for(kernel)) == pages


def _ram(guest: Guest) -> int:
    return guest.p2m.counts()[Kind.RAM]


@given(kernels, host_maps(), st.integers(1, 1 << 16), st.booleans())
def test_the_p2m_is_whole_and_frames_are_conserved(
    rules: Rules, e820: tuple[E820Entry, ...], pages: int, is_dom0: bool
) -> None:
    guest = boot(config(pages, e820, is_dom0=is_dom0), rules)
    assert sum(run.pages for run in guest.p2m) == guest.p2m.end_pfn
    assert _ram(guest) == sum(place.end - place.start for place in guest.placements)
    overwrites_ram = rules.high_identity and pages << 12 > e820[-1].end
    if guest.stopped is None and not overwrites_ram:
        assert _ram(guest) + guest.ballooned == pages
    assert all(entry.end >= entry.start for entry in guest.e820)


@given(kernels, host_maps(), st.integers(1, 1 << 16))
def test_no_builder_frame_is_used_twice(rules: Rules, e820: tuple[E820Entry, ...], pages: int) -> None:
    guest = boot(config(pages, e820), rules)
    used = sorted(
        (place.base, place.base + place.end - place.start)
        for place in guest.placements
        if place.origin is Origin.BUILDER
    )
    assert all(left[1] <= right[0] for left, right in pairwise(used))


@pytest.mark.parametrize("rules", KERNELS, ids=lambda rules: rules.name)
def test_the_size_of_a_machine_costs_nothing(rules: Rules) -> None:
    host = (*HOST[:4], E820Entry(4 * GIB, 12 * TIB, RAM))
    guest = boot(config((12 * TIB >> 12) - 1000, host), rules)
    assert len(guest.p2m) < 20
    assert len(guest.ops) < 50


def test_unaligned_ram_past_the_limit_costs_nothing() -> None:
    host = (E820Entry(0, 2 * GIB, RAM), E820Entry(4 * GIB + 0x400, 12 * TIB, RAM))
    guest = boot(config(GIB // 4096, host, max_reservation=GIB // 4096 * 3), rules_for("6.1"))
    assert guest.ignored_entries > 1_000_000


def test_patch_2_alone_cuts_ranges_past_the_tree() -> None:
    host = (*HOST, AMD_HOLE)
    top = HOST[-1].end >> 12
    assert boot(config(e820=host), rules_for("3.15")).p2m.entry(top).kind is Kind.MISSING
    patched = boot(config(e820=host), rules_for("series:2"))
    assert patched.p2m.run_at(top)[:3] == (top, MAX - top, Kind.IDENTITY)
    assert patched.p2m.beyond is Kind.MISSING
    assert patched.log.set_identity is not None
    assert patched.log.set_identity > MAX - top


def test_patch_5_without_2_has_its_tail_refused() -> None:
    guest = boot(config(), rules_for("series:5"))
    top = HOST[-1].end >> 12
    assert guest.p2m.entry(top).kind is Kind.MISSING
    assert guest.p2m.beyond is Kind.IDENTITY
    assert guest.ops[-1][:3] == (OpKind.IDENTITY, top, X86_64.word_mask)
    both = boot(config(), rules_for("series:2,5"))
    assert both.p2m.entry(top).kind is Kind.IDENTITY


def test_patch_4_warns_once() -> None:
    host = (E820Entry(0, 64 * MIB, RAM), E820Entry(200 * GIB, 700 * GIB, RAM), AMD_HOLE)
    wide = config(100 * FRAMES, host)
    every = boot(wide, rules_for("series:2,5"))
    assert (len(every.warnings), every.warning_count > 1) == (1, True)
    assert boot(wide, rules_for("series:2,4,5")).warning_count == 1


def test_lines_come_in_the_order_of_the_kernel() -> None:
    lines = boot(config(), rules_for("3.15")).log.lines
    assert lines[:7] == (
        "Freeing 9f-100 pfn range: 97 pages freed",
        "1-1 mapping on 9f->100",
        "1-1 mapping on c0000->100000",
        "Released 97 pages of unused memory",
        "Set 262241 page(s) to 1-1 mapping",
        "Populating 40000-40061 pfn range: 97 pages added",
        "e820: BIOS-provided physical RAM map:",
    )
    assert lines[7] == "Xen: [mem 0x0000000000000000-0x000000000009efff] usable"
    later = boot(config(), rules_for("6.12")).log.lines
    assert later[:2] == ("Released 0 page(s)", "BIOS-provided physical RAM map:")
    assert later[-3:] == (
        "p2m virtual area at (____ptrval____), size is 40000000",
        "Remapped 97 page(s)",
        "Remapped 0 non-RAM page(s)",
    )
    oldest = boot(config(), rules_for("3.2")).log.lines
    assert oldest[0] == "Freeing  9f-100 pfn range: 97 pages freed"
    assert " Xen: 0000000000000000 - 000000000009f000 (usable)" in oldest


def test_balloon_space_past_the_tree_stops_3_18_when_it_builds_the_frame_list() -> None:
    # RAM of 488 GiB, in two parts so that it ends two pages past the tree's 512 GiB.
    parts = ((0, 0xA0000), (MIB, 256 * GIB), (280 * GIB, (MAX + 2) << PAGE_SHIFT))
    wide = config(256 * FRAMES, tuple(E820Entry(start, end, RAM) for start, end in parts))
    stopped = {
        name: publish(boot(wide, rules_for(name))).stopped for name in ("3.15", "3.17", "3.18", "3.19")
    }
    assert boot(wide, rules_for("3.18")).max_p2m_pfn == MAX + 2
    assert stopped.pop("3.18") == "p2m_top_index: BUG_ON(pfn >= MAX_P2M_PFN)"
    assert set(stopped.values()) == {None}
    assert publish(boot(config(), rules_for("3.18"))).stopped is None


def test_mem_that_cuts_off_moved_frames_stops_the_boot() -> None:
    fine = boot(config(mem_limit=2 * GIB), rules_for("5.16"))
    assert fine.stopped is None
    assert max(entry.end for entry in fine.e820 if entry.type == RAM) == 2 * GIB
    cut = boot(config(mem_limit=GIB), rules_for("5.16"))
    assert cut.stopped == "xen_remap_memory: mem= removed the target pfn 40000+61"
    assert boot(config(mem_limit=GIB), rules_for("3.15")).stopped is None


def test_a_range_taken_by_acpi_nvs_is_exchanged() -> None:
    host = (
        E820Entry(0, 16 * MIB, RAM),
        E820Entry(16 * MIB, 16 * MIB + 0x3000, NVS),
        E820Entry(16 * MIB + 0x3000, 4 * GIB, RAM),
    )
    given = config(e820=host, kernel=(16 * MIB, 32 * MIB))
    guest = boot(given, rules_for("6.12"))
    assert guest.stopped is None
    assert guest.placements[-1] == ((4 * GIB >> 12) - 3, 4 * GIB >> 12, Origin.HOST, 16 * MIB >> 12)
    assert guest.log.remapped_nonram == 3
    stopped = boot(given, rules_for("6.1")).stopped
    assert stopped == "xen_memory_setup: BUG: Xen hypervisor allocated kernel memory conflicts with E820 map"
    assert boot(given, rules_for("3.18")).stopped is None


def test_start_info_and_page_tables_are_checked() -> None:
    host = (E820Entry(0, GIB, RAM), E820Entry(GIB, GIB + MIB, RESERVED), E820Entry(2 * GIB, 4 * GIB, RAM))
    tables = boot(config(e820=host, page_tables=(GIB, 4096)), rules_for("6.1")).stopped
    assert tables is not None
    assert tables.startswith("xen_pt_check_e820: BUG")
    info = boot(config(e820=host, start_info=(GIB, GIB + 4096)), rules_for("6.12")).stopped
    assert info is not None
    assert "xen_start_info" in info


def test_initrd_and_p2m_list_move_to_the_first_free_place() -> None:
    host = (E820Entry(0, 640 << 10, RAM), E820Entry(MIB, 512 * MIB, RAM), E820Entry(GIB, 4 * GIB, RAM))
    given = config(
        e820=host,
        kernel=(MIB, 16 * MIB),
        p2m_frames=(600 * MIB >> 12, 512),
        ramdisk=(500 * MIB, 20 * MIB),
    )
    guest = boot(given, rules_for("6.1"))
    assert guest.p2m_relocated == 16 * MIB
    place = 16 * MIB + ((512 + 1 + 1 + 1) << 12)
    assert guest.initrd_moved == (500 * MIB, 520 * MIB, place, place + 20 * MIB)
    assert guest.log.lines[0] == (
        f"initrd moved from [mem 0x1f400000-0x20800000] to [mem {place:#010x}-{place + 20 * MIB:#010x}]"
    )


def test_maps_that_stop_the_boot() -> None:
    rules = rules_for("3.18")
    assert boot(config(e820=None), rules).stopped == "xen_memory_setup: BUG_ON(xen_initial_domain())"
    assert boot(config(e820=()), rules).stopped == "xen_memory_setup: BUG_ON(memmap.nr_entries == 0)"
    many = tuple(E820Entry(index << 20, (index << 20) + 4096, RAM) for index in range(129))
    assert boot(config(e820=many), rules).stopped == "xen_memory_setup: BUG_ON(rc)"
    assert boot(config(e820=many), rules_for("6.1")).stopped is None
    assert boot(config(e820=()), rules_for("3.15")).stopped is None


def test_xen_may_take_or_give_fewer_frames() -> None:
    guest = boot(config(release_limit=10), rules_for("3.15"))
    assert guest.log.freed == ((0x9F, 0x100, 10),)
    assert guest.warnings == ("Failed to release pfn a9 err=0",)
    guest = boot(config(populate_limit=10), rules_for("3.15"))
    assert guest.log.populated == ((FRAMES, FRAMES + 97, 10),)
    assert guest.ballooned == 87


def test_discarded_ram() -> None:
    given = config(max_reservation=FRAMES)
    assert UNUSABLE in {entry.type for entry in boot(given, rules_for("4.16")).e820}
    assert UNUSABLE not in {entry.type for entry in boot(given, rules_for("4.21")).e820}


def test_32bit_guests() -> None:
    guest = boot(config(arch=X86_32), rules_for("3.16"))
    assert guest.p2m.end_pfn == X86_32.max_p2m_pfn
    high = (*HOST, E820Entry(16 * TIB, 16 * TIB + MIB, RESERVED))
    wrapped = boot(config(e820=high, arch=X86_32), rules_for("3.16"))
    assert wrapped.p2m.entry(FRAMES // 2).kind is Kind.IDENTITY
    with pytest.raises(UsageError, match="32-bit"):
        boot(config(arch=X86_32), rules_for("6.1"))


def test_impossible_inputs() -> None:
    with pytest.raises(InputError):
        boot(config(0), rules_for("3.15"))
    with pytest.raises(InputError):
        boot(config(e820=(E820Entry(0, (1 << 64) + 1, RAM),)), rules_for("3.15"))


def test_the_name_of_a_generation_means_nothing() -> None:
    rules = rules_for("3.18")
    renamed = replace(rules, generation="", name="", since=(0, 0))
    assert boot(config(), renamed).e820 == boot(config(), rules).e820
    assert boot(config(), renamed).p2m == boot(config(), rules).p2m
