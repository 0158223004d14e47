"""The layout of an entry: names, masks, parsing and printing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenp2m.arch import X86_32, X86_64, Arch
from xenp2m.errors import UsageError
from xenp2m.mmu.pte import Level, describe, flag_names, layout_of, parse_flags, parse_pte
from xenp2m.rules import KERNELS, Rules, rules_for

BEFORE = rules_for("3.15")


def test_known_entry_of_the_series() -> None:
    pte = describe(0x8000003800000627, BEFORE, X86_64)
    assert pte.frame == 0x3800000
    assert pte.flags == ("NX", "IOMAP", "SPECIAL", "ACCESSED", "USER", "RW", "PRESENT")
    assert str(pte) == "frame 0x3800000, NX|IOMAP|SPECIAL|ACCESSED|USER|RW|PRESENT"
    assert pte.present


def test_bit_10_has_the_name_of_its_time() -> None:
    names = {kernel: flag_names(rules_for(kernel), X86_64)[10] for kernel in ("3.15", "3.17", "3.18", "6.4")}
    assert names == {"3.15": "IOMAP", "3.17": "IOMAP", "3.18": "SOFTW2", "6.4": "UFFD_WP"}


def test_bits_of_an_entry_that_is_not_present() -> None:
    assert describe(0x3800000120, BEFORE, X86_64).flags == ("PROTNONE", "ACCESSED")
    assert describe(0x40, BEFORE, X86_64).flags == ("FILE",)
    assert describe(0x40, rules_for("4.4"), X86_64).flags == ("DIRTY",)
    assert describe(0x80, BEFORE, X86_64).flags == ("SWP_SOFT_DIRTY",)
    assert describe(0x200, BEFORE, X86_64).flags == ("SPECIAL",)


def test_bit_7_follows_the_level() -> None:
    assert "PAT" in describe(0x81, BEFORE, X86_64).flags
    assert "PSE" in describe(0x81, BEFORE, X86_64, Level.PMD).flags


def test_numa_moved_from_bit_8_to_bit_9() -> None:
    assert parse_flags("NUMA", BEFORE, X86_64) == 1 << 8
    assert parse_flags("NUMA", rules_for("3.16"), X86_64) == 1 << 9


@pytest.mark.parametrize(
    ("kernel", "arch", "end"),
    [
        ("3.15", X86_64, 46),
        ("4.4", X86_64, 46),
        ("6.4", X86_64, 52),
        ("3.18", X86_32, 44),
        ("4.19", X86_32, 52),
    ],
)
def test_frame_masks(kernel: str, arch: Arch, end: int) -> None:
    masks = layout_of(rules_for(kernel), arch)
    assert masks.pfn_mask == (1 << end) - 0x1000
    assert masks.pfn_mask ^ masks.flag_mask == (1 << 64) - 1


def test_supported_bits() -> None:
    assert layout_of(BEFORE, X86_64).supported & 0x118 == 0
    assert layout_of(rules_for("6.4"), X86_64).supported & 0x118 == 0x18


@given(
    value=st.integers(0, (1 << 64) - 1),
    rules=st.sampled_from([*KERNELS, rules_for("series"), rules_for("series:1-8")]),
    arch=st.sampled_from([X86_64, X86_32]),
)
def test_print_and_parse(value: int, rules: Rules, arch: Arch) -> None:
    pte = describe(value, rules, arch)
    assert parse_pte(str(pte), rules, arch) == value
    assert parse_pte(f"{value:#x}", rules, arch) == value
    assert parse_pte(f"{pte.frame:#x} {' '.join(pte.flags) or 'no flags'}", rules, arch) == value or not value


def test_inverted_frames_are_shown_upright() -> None:
    assert describe(0xFFFC7FFFFF120, rules_for("6.4"), X86_64).frame == 0x3800000
    assert parse_pte("0x3800000 PROTNONE|ACCESSED", rules_for("6.4"), X86_64) == 0xFFFC7FFFFF120


def test_zero_is_none() -> None:
    pte = describe(0, BEFORE, X86_64)
    assert pte.none
    assert parse_pte(str(pte), BEFORE, X86_64) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0x3800000 PRESNT|RW", "expected PRESENT"),
        ("0x3800000 IOMAP|", "not a PTE flag"),
        ("hello", "not a PTE"),
        ("", "not a PTE"),
        ("0x10000000000000000", "64 bits"),
        ("0x400000000 PRESENT", "at most 0x3ffffffff"),
    ],
)
def test_typos(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_pte(text, BEFORE, X86_64)


def test_a_flag_of_another_kernel_is_a_typo() -> None:
    with pytest.raises(UsageError, match="IOMAP"):
        parse_flags("IOMAP", rules_for("3.18"), X86_64)
