"""Conversion in scalar and array form: round trips, agreement, and the quirks of each generation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmu.guests import BAR, HOLE, RAM_MFN, converter
from xenp2m.arch import X86_32, X86_64, Arch
from xenp2m.mmu import bulk
from xenp2m.mmu.convert import Converter
from xenp2m.mmu.pte import IOMAP, PAGE_READONLY, PAGE_SHARED, PCD, PRESENT
from xenp2m.rules import Rules, rules_for

KERNELS = ("3.15", "3.16", "3.18", "4.4", "4.19", "6.4", "series", "series:1-5", "series:1-8", "series:8")
FRAMES = st.one_of(
    st.integers(0, 0x50_0000),
    st.integers(RAM_MFN, RAM_MFN + 0x20_0000),
    st.sampled_from([BAR, HOLE, 0x800_0000, (1 << 30) - 1, 1 << 30, 0xFFFF_FFFF, (1 << 40) - 1]),
)
PROTECTIONS = st.sampled_from(
    [0, 0x63, 0x463, 0x120, 0x520, 0x1E3, 0x40, PAGE_SHARED, PAGE_SHARED | PCD, 1 << 63]
)
GUESTS = st.builds(
    converter,
    st.sampled_from([rules_for(kernel) for kernel in KERNELS]),
    st.sampled_from([X86_64, X86_32]),
    dom0=st.booleans(),
    m2p_nr=st.sampled_from([0x130_0000, 0x298_0000]),
)


@given(guest=GUESTS, values=st.lists(st.integers(0, (1 << 64) - 1), min_size=1, max_size=8))
def test_arrays_agree_on_any_bits(guest: Converter, values: list[int]) -> None:
    agree(guest, values, PAGE_READONLY)


@given(guest=GUESTS, frames=st.lists(FRAMES, min_size=1, max_size=8), prot=PROTECTIONS, new=PROTECTIONS)
def test_arrays_agree_on_entries(guest: Converter, frames: list[int], prot: int, new: int) -> None:
    array = np.array(frames, np.uint64)
    assert bulk.pfn_pte_array(guest, array, prot).tolist() == [guest.pfn_pte(frame, prot) for frame in frames]
    assert bulk.mfn_pte_array(guest, array, prot).tolist() == [guest.mfn_pte(frame, prot) for frame in frames]
    agree(guest, [frame << 12 | prot for frame in frames], new)


def agree(guest: Converter, values: list[int], prot: int) -> None:
    array = np.array(values, np.uint64)
    before = array.copy()
    pairs = (
        (guest.make_pte, bulk.make_pte_array),
        (guest.pte_val, bulk.pte_val_array),
        (guest.make_pmd, bulk.make_pmd_array),
        (guest.make_pud, bulk.make_pmd_array),
        (guest.pmd_val, bulk.pmd_val_array),
        (guest.pgd_val, bulk.pmd_val_array),
        (guest.pte_pfn, bulk.pte_pfn_array),
        (guest.pte_mfn, bulk.pte_mfn_array),
    )
    for one, many in pairs:
        assert many(guest, array).tolist() == [one(value) for value in values], one.__name__
    modified = bulk.pte_modify_array(guest, array, prot).tolist()
    assert modified == [guest.pte_modify(value, prot) for value in values]
    assert np.array_equal(array, before)


@given(
    guest=GUESTS,
    frame=st.one_of(st.integers(0x100, HOLE + 0x2_FFFF), st.integers(0x10_0000, 0x1F_FFFF)),
    prot=st.sampled_from([0x63, 0x1E3, PAGE_SHARED, PAGE_READONLY]),
)
def test_ram_and_identity_come_back(guest: Converter, frame: int, prot: int) -> None:
    value = frame << 12 | prot
    back = guest.pte_val(guest.make_pte(value))
    assert back & ~IOMAP == value
    assert guest.pmd_val(guest.make_pmd(value)) & ~IOMAP == value
    assert guest.pte_pfn(guest.pfn_pte(frame, prot)) == frame


@given(guest=GUESTS, frame=st.integers(0x20_0004, 0x47_FFFF))
def test_a_missing_frame_never_becomes_an_address(guest: Converter, frame: int) -> None:
    assert guest.make_pte(frame << 12 | PAGE_SHARED) == 0
    assert guest.make_pmd(frame << 12 | PAGE_SHARED | IOMAP) == 0


@pytest.mark.parametrize("arch", [X86_64, X86_32])
def test_arrays_keep_their_shape_and_are_cut_into_blocks(arch: Arch) -> None:
    guest = converter(rules_for("3.15"), arch)
    values = (np.arange(1 << 17, dtype=np.uint64) << np.uint64(12)).reshape(2, -1) | np.uint64(0x63)
    made = bulk.make_pte_array(guest, values)
    assert made.shape == values.shape
    assert int(made[1, 5]) == guest.make_pte(int(values[1, 5]))


def rules_of_the_matrix() -> list[tuple[Rules, int, int]]:
    """Rules, then what make_pte gives for a BAR past the E820 without and with _PAGE_IOMAP."""
    raw = BAR << 12 | 0x463
    return [
        (rules_for("3.15"), 0, raw),
        (rules_for("3.16"), raw, raw),
        (rules_for("3.18"), BAR << 12 | 0x63, raw),
        (rules_for("series:1-7"), raw, raw),
        (rules_for("series:1-8"), BAR << 12 | 0x63, raw),
        (rules_for("series:8"), 0, 0),
    ]


@pytest.mark.parametrize(("rules", "plain", "flagged"), rules_of_the_matrix())
def test_every_subset_of_patches_composes(rules: Rules, plain: int, flagged: int) -> None:
    guest = converter(rules)
    assert guest.make_pte(BAR << 12 | 0x63) == plain
    assert guest.make_pte(BAR << 12 | 0x463) == flagged


def test_reading_back_loses_the_frame_of_an_unknown_entry_but_not_its_flags() -> None:
    assert converter(rules_for("3.15")).pte_val(BAR << 12 | 0x63) == 0x62
    assert converter(rules_for("3.16")).pte_val(BAR << 12 | 0x63) == BAR << 12 | 0x63


def test_mprotect_lost_the_flag_and_with_it_the_mapping() -> None:
    before = converter(rules_for("3.15"))
    assert before.pte_modify(0x8000003800000627, PAGE_READONLY) == 0
    assert before.pgprot_modify(PAGE_SHARED | IOMAP, PAGE_READONLY) & IOMAP == 0
    after = converter(rules_for("3.18"))
    assert after.pte_modify(0x8000003800000227, PAGE_READONLY) == 0x8000003800000225


def test_protnone_holds_a_guest_frame_and_comes_back() -> None:
    for kernel in ("3.15", "3.18", "6.4"):
        guest = converter(rules_for(kernel))
        entry = guest.pfn_pte(0x123, PAGE_SHARED)
        hidden = guest.pte_modify(entry, 0x120)
        assert not hidden & PRESENT
        assert guest.pte_pfn(hidden) == 0x123
        assert guest.pte_modify(hidden, PAGE_SHARED) == entry


def test_inversion_as_measured() -> None:
    assert converter(rules_for("6.4")).pfn_pte(0x3800000, 0x120) == 0xFFFC7FFFFF120
    assert converter(rules_for("4.4")).pfn_pte(0x3800000, 0x120) == 0x3800000120


@pytest.mark.parametrize(("tib", "machine_tib"), [(4, 0), (5, 1), (8, 0), (12, 0)])
def test_32_bit_wraps_at_4_tib_after_the_series(tib: int, machine_tib: int) -> None:
    after = converter(rules_for("3.18"), X86_32)
    assert after.make_pte(tib << 40 | 0x63) == machine_tib << 40 | 0x63
    before = converter(rules_for("3.15"), X86_32)
    assert before.make_pte(tib << 40 | 0x63) == 0
    assert before.make_pte(tib << 40 | 0x463) == tib << 40 | 0x463


def test_domu_has_no_say_below_1_mib() -> None:
    domu = converter(rules_for("3.15"), dom0=False)
    assert domu.make_pte(0x9000400) == 0x9000400
    assert domu.make_pte(0x9_0400) == 0x9_0000
    assert converter(rules_for("3.15")).make_pte(0x9_0400) == 0x9_0400
    assert converter(rules_for("3.18"), dom0=False).make_pte(0x9_0400) == 0x9_0400


def test_only_kernels_with_the_table_see_overrides() -> None:
    for kernel, frame in (("3.18", 0x20_0000), ("4.4", 0)):
        plain = converter(rules_for(kernel))
        guest = Converter(plain.rules, plain.p2m, plain.m2p, overrides={0x30_0000: 0x20_0000})
        assert guest.pte_pfn(0x30_0000 << 12 | 0x63) == frame
