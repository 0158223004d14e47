"""The drivers' ways of mapping a BAR, with the entries as they were measured."""

from __future__ import annotations

import pytest

from mmu.guests import BAR, HOLE, converter
from xenp2m.arch import X86_32
from xenp2m.entry import Kind
from xenp2m.mmu.convert import Converter
from xenp2m.mmu.faults import AccessResult, M2pRead
from xenp2m.mmu.mappers import Mapper, map_frame
from xenp2m.p2m.flat import FlatP2m
from xenp2m.p2m.m2p import M2p
from xenp2m.rules import rules_for
from xenp2m.runs import RunMap


@pytest.mark.parametrize(
    ("kernel", "mapper", "frame", "entry"),
    [
        ("3.15", Mapper.IO_REMAP, BAR, 0x200),
        ("3.15", Mapper.DEV_MEM, BAR, 0x200),
        ("3.15", Mapper.IO_REMAP, 1 << 28, 0x200),
        ("3.15", Mapper.SYSFS, BAR, 0x8000003800000627),
        ("3.15", Mapper.IO_REMAP, HOLE, 0x80000000D0000627),
        ("3.15", Mapper.FOREIGN, BAR, 0x8000003800000627),
        ("3.16", Mapper.IO_REMAP, BAR, 0x8000003800000627),
        ("3.16", Mapper.FOREIGN, BAR, 0x8000003800000227),
        ("3.18", Mapper.IO_REMAP, BAR, 0x8000003800000227),
        ("3.18", Mapper.SYSFS, BAR, 0x8000003800000227),
        ("series", Mapper.SYSFS, BAR, 0x8000003800000227),
        ("series:1-5", Mapper.IO_REMAP, BAR, 0x8000003800000627),
        ("series:1-8", Mapper.SYSFS, BAR, 0x8000003800000627),
        ("series:1-8", Mapper.IO_REMAP, BAR, 0x8000003800000227),
        ("6.4", Mapper.IO_REMAP, BAR, 0x8000003800000237),
    ],
)
def test_entry_written(kernel: str, mapper: Mapper, frame: int, entry: int) -> None:
    mapping = map_frame(converter(rules_for(kernel)), mapper, frame)
    assert mapping.entry == entry
    assert mapping.reaches == (entry != 0x200)


def test_ioremap_needed_the_flag() -> None:
    assert map_frame(converter(rules_for("3.15")), Mapper.IOREMAP, BAR).entry == 0x8000003800000463
    assert map_frame(converter(rules_for("3.18")), Mapper.IOREMAP, BAR).entry == 0x8000003800000063
    ignored = map_frame(converter(rules_for("series:8")), Mapper.IOREMAP, BAR)
    assert ignored.access is not None
    assert ignored.access.result is AccessResult.OOPS


def test_patch_8_without_6_translates_machine_frames() -> None:
    alone = map_frame(converter(rules_for("series:8")), Mapper.FOREIGN, BAR)
    assert alone.entry == 0x200
    assert map_frame(converter(rules_for("series:6,8")), Mapper.FOREIGN, BAR).reaches


def test_unmapping_reads_the_m2p_only_after_patch_8() -> None:
    m2p_nr = 0x400_0000
    expected = {
        "3.15": M2pRead.SPARED,
        "3.16": M2pRead.SPARED,
        "series:1-6,8": M2pRead.OOPS,
        "3.18": M2pRead.FIXED_UP,
    }
    for kernel, read in expected.items():
        guest = converter(rules_for(kernel), m2p_nr=m2p_nr)
        mapping = map_frame(guest, Mapper.SYSFS, BAR)
        assert mapping.m2p is read
        assert mapping.oopses == (read is M2pRead.OOPS)
        assert mapping.read_back == (None if mapping.oopses else BAR)
    below = converter(rules_for("series:1-6,8"), m2p_nr=0x130_0000)
    assert map_frame(below, Mapper.SYSFS, BAR).m2p is M2pRead.PAST_END


def test_a_domu_read_the_m2p_before_as_well() -> None:
    domu = converter(rules_for("3.15"), dom0=False, m2p_nr=1 << 35)
    assert map_frame(domu, Mapper.SYSFS, BAR).oopses


def test_mprotect_destroyed_the_mapping_before() -> None:
    before = map_frame(converter(rules_for("3.15")), Mapper.SYSFS, BAR)
    assert before.protected == 0
    assert before.protected_access is not None
    assert before.protected_access.result is AccessResult.NONE
    assert map_frame(converter(rules_for("3.15")), Mapper.SYSFS, HOLE).protected == 0x80000000D0000625
    after = map_frame(converter(rules_for("3.18")), Mapper.SYSFS, BAR)
    assert after.protected == 0x8000003800000225


def test_ram_is_refused_or_mapped_instead() -> None:
    guest = converter(rules_for("3.18"))
    assert map_frame(guest, Mapper.IOREMAP, 0x1000, system_ram=True).refused
    assert map_frame(guest, Mapper.DEV_MEM, 0x1000, system_ram=True).refused
    assert not map_frame(guest, Mapper.IOREMAP, 0x1000, system_ram=True, reserved=True).refused
    astray = map_frame(guest, Mapper.SYSFS, 0x1000, system_ram=True)
    assert astray.access is not None
    assert astray.access.works
    assert not astray.reaches
    raw = map_frame(converter(rules_for("3.15")), Mapper.SYSFS, 0x1000, system_ram=True)
    assert raw.reaches
    assert raw.taken_raw


def test_an_unknown_ram_frame_is_not_named() -> None:
    mapping = map_frame(converter(rules_for("3.18")), Mapper.SYSFS, 0x1000, ram_known=False)
    assert mapping.entry is None
    assert not mapping.reaches
    assert "0x1001000" not in " ".join(step.text for step in mapping.steps)


def test_32_bit_limits() -> None:
    frame = (5 << 40 | 0x1000) >> 12
    before, after = (converter(rules_for(kernel), X86_32) for kernel in ("3.15", "3.18"))
    assert map_frame(before, Mapper.SYSFS, frame).reaches
    assert not map_frame(after, Mapper.SYSFS, frame).reaches
    assert map_frame(after, Mapper.FOREIGN, frame).reaches
    past_16_tib = (17 << 40) >> 12
    for guest in (before, after):
        for mapper in Mapper:
            assert not map_frame(guest, mapper, past_16_tib).reaches


def test_isa_range_is_answered_from_the_direct_map() -> None:
    for kernel in ("3.15", "3.18"):
        assert map_frame(converter(rules_for(kernel)), Mapper.IOREMAP, 0xB8).reaches


@pytest.mark.parametrize("dom0", [True, False])
@pytest.mark.parametrize("mapper", list(Mapper))
def test_only_ioremap_knows_the_isa_range(mapper: Mapper, dom0: bool) -> None:
    guest = converter(rules_for("3.18"), dom0=dom0)
    for frame, isa in ((0x9F, False), (0xA0, True), (0xFF, True), (0x100, False)):
        texts = [step.text for step in map_frame(guest, mapper, frame).steps]
        assert any("ISA range" in text for text in texts) == (isa and mapper is Mapper.IOREMAP)


def test_an_auto_translated_guest_has_no_foreign_mapping() -> None:
    plain = converter(rules_for("3.15"))
    empty = RunMap(plain.arch, 1, Kind.MISSING, [])
    guest = Converter(plain.rules, FlatP2m(empty, auto_translated=True), M2p(plain.arch, 0))
    assert map_frame(guest, Mapper.FOREIGN, BAR).refused


@pytest.mark.parametrize("mapper", list(Mapper))
@pytest.mark.parametrize("kernel", ["3.15", "3.16", "3.18", "6.4", "series:8"])
def test_steps_tell_the_entry(kernel: str, mapper: Mapper) -> None:
    mapping = map_frame(converter(rules_for(kernel)), mapper, BAR)
    texts = [step.text for step in mapping.steps]
    assert texts[0].startswith(mapper.label)
    assert any(f"{mapping.entry:#x}" in text for text in texts)
    assert any("_PAGE_IOMAP: the number is taken" in text for text in texts) == (
        mapping.taken_raw and not any("mfn_pte" in text for text in texts)
    )
    ways = ("_PAGE_IOMAP: the number is taken", "mfn_pte: ", "p2m(0x3800000) is ")
    assert sum(way in text for text in texts for way in ways) == 1
    assert any("_PAGE_IOMAP ignored" in text for text in texts) == (
        kernel == "series:8" and mapper in (Mapper.IOREMAP, Mapper.SYSFS, Mapper.FOREIGN)
    )
