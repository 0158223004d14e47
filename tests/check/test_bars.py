"""BAR verdicts: recorded boots, every rule by name, and agreement with the simulated mappers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from check.guests import example, guest, recorded
from xenp2m.arch import X86_32, X86_64, Arch
from xenp2m.boot import Guest, GuestConfig, boot
from xenp2m.check.bars import BarVerdict, Verdict, judge_bars
from xenp2m.check.explain import map_guest_frame
from xenp2m.entry import Kind
from xenp2m.machine import Bar, E820Entry
from xenp2m.mmu.mappers import Mapper
from xenp2m.rules import rules_for
from xenp2m.runs import Run
from xenp2m.units import GIB, MIB, PAGE_SIZE, TIB

MAPS, FAILS, COLLIDES, WRONG = Verdict.MAPS, Verdict.FAILS, Verdict.COLLIDES, Verdict.WRONG
KERNELS = (
    "3.2",
    "3.15",
    "3.16",
    "3.18",
    "4.4",
    "6.4",
    "series",
    "series:1-5",
    "series:5",
    "series:8",
    "series:1-8",
)


def bar(start: int, size: int = MIB) -> Bar:
    return Bar("0000:03:00.0", 2, start, size)


def judge(machine: Guest, start: int, size: int = MIB) -> BarVerdict:
    (verdict,) = judge_bars(machine, (bar(start, size),))
    return verdict


def by_mapper(verdict: BarVerdict) -> tuple[Verdict, ...]:
    return tuple(verdict.mappers[mapper] for mapper in Mapper)


def test_3_14_as_it_really_happened() -> None:
    machine, bars = recorded("k314-bar")
    for verdict in judge_bars(machine, bars):
        assert verdict.verdict is FAILS
        assert verdict.mappers[Mapper.SYSFS] is MAPS
        assert verdict.mappers[Mapper.DEV_MEM] is FAILS
        assert "refused" in verdict.rule
    (mapping,) = [
        mapping
        for mapping, _ in map_guest_frame(machine, bars[0].pfn_start)
        if mapping.mapper is Mapper.DEV_MEM
    ]
    assert mapping.entry == 0x200


@pytest.mark.parametrize("name", ["k316-bar", "balloon", "bar-above-ram", "bar-512g"])
def test_later_kernels_as_it_really_happened(name: str) -> None:
    machine, bars = recorded(name)
    assert bars
    for verdict in judge_bars(machine, bars):
        assert set(verdict.mappers.values()) == {MAPS}
        assert verdict.first_bad is None


def test_ballooned_frames_fail_before_and_after() -> None:
    for name in ("k314-bar", "k316-bar"):
        machine, _ = recorded(name)
        verdict = judge(machine, 0x1300_0000)
        assert verdict.verdict is COLLIDES
        assert verdict.mappers[Mapper.DEV_MEM] is COLLIDES


@pytest.mark.parametrize(
    ("kernel", "start", "verdicts", "rule"),
    [
        (
            "3.15",
            224 * GIB,
            (MAPS, MAPS, FAILS, FAILS, MAPS),
            "past the end of the E820 map: p2m missing; fixed by patch 5",
        ),
        (
            "3.15",
            TIB,
            (MAPS, MAPS, FAILS, FAILS, MAPS),
            "past MAX_P2M_PFN (512 GiB): the lookup returns INVALID",
        ),
        ("3.15", 0xE000_0000, (MAPS,) * 5, "E820 hole: 1:1"),
        ("3.15", 0xF_0000, (MAPS,) * 5, "reserved in the E820 map: 1:1"),
        ("3.15", 13 * GIB, (MAPS, MAPS, COLLIDES, COLLIDES, MAPS), "balloon space"),
        (
            "3.15",
            17 * GIB,
            (MAPS, MAPS, FAILS, FAILS, MAPS),
            "host RAM that the domain does not have: p2m missing",
        ),
        ("3.15", 5 * GIB, (COLLIDES, MAPS, COLLIDES, COLLIDES, MAPS), "guest RAM"),
        ("series", 224 * GIB, (MAPS,) * 5, "past the end of the E820 map: 1:1 (patch 5)"),
        ("series", TIB, (MAPS,) * 5, "past MAX_P2M_PFN (512 GiB): the lookup answers 1:1 (patch 5)"),
        ("series", 13 * GIB, (COLLIDES,) * 4 + (MAPS,), "balloon space"),
        ("series", 17 * GIB, (FAILS,) * 4 + (MAPS,), "host RAM"),
        ("series", 5 * GIB, (COLLIDES,) * 4 + (MAPS,), "guest RAM"),
        ("3.16", 13 * GIB, (MAPS, MAPS, COLLIDES, COLLIDES, MAPS), "balloon space"),
        ("series:8", 224 * GIB, (FAILS,) * 5, "fixed by patch 5"),
        ("series:1-5,8", 224 * GIB, (MAPS,) * 5, "1:1 (patch 5)"),
    ],
)
def test_rules(kernel: str, start: int, verdicts: tuple[Verdict, ...], rule: str) -> None:
    verdict = judge(example(kernel), start, 64 << 10)
    assert by_mapper(verdict) == verdicts
    assert rule in verdict.rule
    assert verdict.verdict is max(verdicts, key=lambda one: one.severity)
    assert verdict.source


def test_patch_5_needs_patch_2_below_the_end_of_the_p2m() -> None:
    runs = [Run(0, 0x100, Kind.RAM, None)]
    machine = guest("series:5", runs, [E820Entry(0, 0x10_0000, 1)], end_pfn=X86_64.max_p2m_pfn)
    assert "fixed by patch 2" in judge(machine, 224 * GIB).rule
    assert judge(machine, TIB).verdict is MAPS


def test_a_range_that_reaches_the_end_of_the_p2m_was_refused() -> None:
    e820 = [E820Entry(0, 0x10_0000, 1), E820Entry(0xFD_0000_0000, 0x100_0000_0000, 2)]
    config = GuestConfig(nr_pages=0x100, e820=tuple(e820))
    machine = boot(config, rules_for("3.15"))
    assert (
        judge(machine, 4 * GIB).rule
        == "1:1 range that reaches 512 GiB is refused as a whole; fixed by patch 2"
    )


@pytest.mark.parametrize(("kernel", "at_5_tib"), [("3.15", FAILS), ("3.16", WRONG), ("series", WRONG)])
def test_32_bit(kernel: str, at_5_tib: Verdict) -> None:
    machine = example(kernel, X86_32)
    verdict = judge(machine, 5 * TIB)
    assert verdict.verdict is at_5_tib
    assert verdict.mappers[Mapper.FOREIGN] is MAPS
    assert (verdict.mappers[Mapper.SYSFS] is MAPS) == (kernel != "series")
    assert judge(machine, 3 * TIB).verdict is (FAILS if kernel == "3.15" else MAPS)
    beyond = judge(machine, 16 * TIB + 0xE000_0000)
    assert beyond.verdict is WRONG
    assert "16 TiB" in beyond.rule


def test_hardware_addresses_52_bits() -> None:
    last, past = (judge(example("6.4"), frame * PAGE_SIZE, PAGE_SIZE) for frame in ((1 << 40) - 1, 1 << 40))
    assert last.verdict is MAPS
    assert past.verdict is WRONG
    assert past.rule == "beyond the 52 address bits of a PTE"


def test_a_bar_may_break_in_the_middle() -> None:
    verdict = judge(example("3.15"), 18 * GIB - MIB, 2 * MIB)
    assert verdict.verdict is FAILS
    assert not verdict.partly
    across = judge(example("series"), 18 * GIB - MIB, 4 * MIB)
    assert across.verdict is FAILS
    assert across.partly
    assert across.first_bad == (18 * GIB - MIB) // PAGE_SIZE
    assert across.bad_frames == MIB // PAGE_SIZE
    late = judge(example("3.15"), 4 * GIB - MIB, 2 * MIB)
    assert late.first_bad == 0x10_0000
    assert late.bad_frames == MIB // PAGE_SIZE
    assert late.verdict is COLLIDES


def test_the_oops_of_patch_8_without_7() -> None:
    in_hole = 0xE000_0000
    hazard = judge(example("series:1-6,8"), in_hole).hazard
    assert hazard is not None
    assert "patch 7" in hazard
    for kernel in ("3.15", "3.16", "series", "6.4"):
        assert judge(example(kernel), in_hole).hazard is None
    assert judge(example("series:1-6,8"), 224 * GIB).hazard is None


def test_json() -> None:
    value = judge(example("3.15"), 224 * GIB).to_json()
    assert {"bdf", "index", "start", "size", "verdict", "rule", "mappers"} <= set(value)
    assert value["verdict"] == "fails"
    assert value["mappers"] == {
        "ioremap": "maps",
        "sysfs": "maps",
        "io_remap_pfn_range": "fails",
        "dev_mem": "fails",
        "foreign": "maps",
    }


def test_order_and_number_are_kept() -> None:
    bars = [bar(start) for start in (224 * GIB, 0xE000_0000, 5 * GIB, 224 * GIB, 13 * GIB)]
    verdicts = judge_bars(example("3.15"), bars)
    assert [verdict.bar for verdict in verdicts] == bars
    assert [verdict.verdict for verdict in verdicts] == [FAILS, MAPS, COLLIDES, FAILS, COLLIDES]
    assert judge_bars(example("3.15"), ()) == ()


FRAMES = st.one_of(
    st.integers(0, 0x110),
    st.integers(0, 0x500000),
    st.sampled_from(
        [0xA0, 0xFF, 0x100, 0xBFFFF, 0xC0000, 0x2FFFFF, 0x300000, 0x3FFFFF, 0x400000, 0x47FFFF, 0x480000]
    ),
    st.sampled_from(
        [(1 << 27) - 1, 1 << 27, 1 << 30, (1 << 32) - 1, 1 << 32, (1 << 34) - 1, 1 << 34, 1 << 40]
    ),
    st.integers(1 << 30, 1 << 52),
)


@settings(max_examples=300, deadline=None)
@given(
    kernel=st.sampled_from(KERNELS),
    arch=st.sampled_from([X86_64, X86_32]),
    dom0=st.booleans(),
    frame=FRAMES,
)
def test_verdicts_are_those_of_the_simulated_mappers(kernel: str, arch: Arch, dom0: bool, frame: int) -> None:
    machine = example(kernel, arch, dom0=dom0)
    verdict = judge(machine, frame * PAGE_SIZE, PAGE_SIZE)
    simulated = {mapping.mapper: result for mapping, result in map_guest_frame(machine, frame)}
    assert dict(verdict.mappers) == simulated


@settings(max_examples=100, deadline=None)
@given(kernel=st.sampled_from(KERNELS), frame=FRAMES, pages=st.integers(1, 40))
def test_a_bar_is_the_sum_of_its_frames(kernel: str, frame: int, pages: int) -> None:
    machine = example(kernel)
    whole = judge(machine, frame * PAGE_SIZE, pages * PAGE_SIZE)
    single = [judge(machine, (frame + i) * PAGE_SIZE, PAGE_SIZE) for i in range(pages)]
    bad = [i for i, one in enumerate(single) if one.verdict is not MAPS]
    assert whole.bad_frames == len(bad)
    assert whole.first_bad == (frame + bad[0] if bad else None)
    for mapper in Mapper:
        assert whole.mappers[mapper] is max((one.mappers[mapper] for one in single), key=lambda v: v.severity)
