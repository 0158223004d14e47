"""What an access, and the kernel itself, make of an entry."""

from __future__ import annotations

import pytest

from xenp2m.arch import X86_32, X86_64
from xenp2m.mmu.faults import (
    PF_INSTR,
    PF_PROT,
    PF_RSVD,
    PF_USER,
    PF_WRITE,
    AccessResult,
    M2pRead,
    SwapEntry,
    access,
    m2p_read,
    spurious_fault,
    swap_entry,
    walks_tables,
)
from xenp2m.p2m.m2p import M2p, M2pRun
from xenp2m.rules import rules_for

BEFORE, AFTER = rules_for("3.15"), rules_for("3.18")
TABLE = 0x67
"""Flags of an entry that points to a table."""


@pytest.mark.parametrize(
    ("entry", "result"),
    [
        (0x8000003800000627, AccessResult.WORKS),
        (0x200, AccessResult.SWAP),
        (0, AccessResult.NONE),
        (0x3800000120, AccessResult.PROTNONE),
        (0x240, AccessResult.FILE),
        (0x8000003800000063, AccessResult.DENIED),
    ],
)
def test_user_access(entry: int, result: AccessResult) -> None:
    assert access(entry, BEFORE, X86_64, user=True).result is result


def test_the_machine_frame_reached() -> None:
    assert access(0x8000003800000627, BEFORE, X86_64, user=True).mfn == 0x3800000
    assert access(0x200, BEFORE, X86_64, user=True).mfn is None


def test_permissions() -> None:
    read_only = 0x8000003800000225
    assert access(read_only, AFTER, X86_64, user=True).works
    denied = access(read_only, AFTER, X86_64, user=True, write=True)
    assert denied.error_code == PF_PROT | PF_WRITE | PF_USER
    assert access(read_only, AFTER, X86_64, user=True, fetch=True).result is AccessResult.DENIED


def test_the_kernel_oopses_on_what_user_space_is_killed_for() -> None:
    assert access(0x200, BEFORE, X86_64, user=False).result is AccessResult.OOPS
    assert access(0, BEFORE, X86_64, user=False).error_code == 0


def test_without_nonlinear_mappings_bit_6_is_no_file() -> None:
    assert access(0x240, rules_for("4.4"), X86_64, user=True).result is AccessResult.SWAP


def test_0x200_as_a_swap_entry() -> None:
    assert swap_entry(0x200, BEFORE, X86_64) == SwapEntry(0, 1)
    assert swap_entry(0x200, BEFORE, X86_32) == SwapEntry(0, 0)
    assert swap_entry(0x200, rules_for("6.4"), X86_64) == SwapEntry(0, 0x3FFFFFFFFFFFE)


@pytest.mark.parametrize("code", range(32))
def test_which_faults_may_be_spurious(code: int) -> None:
    assert walks_tables(code, BEFORE) == (not code & (PF_USER | PF_RSVD))
    assert walks_tables(code, AFTER) == (code in (PF_WRITE | PF_PROT, PF_INSTR | PF_PROT))
    assert walks_tables(code, rules_for("series:7")) == walks_tables(code, AFTER)


def test_spurious_faults() -> None:
    stale = PF_WRITE | PF_PROT
    for rules in (BEFORE, AFTER):
        assert spurious_fault(stale, [TABLE, TABLE, TABLE, 0x63], rules)
        assert not spurious_fault(stale, [TABLE, TABLE, TABLE, 0x61], rules)
        assert not spurious_fault(stale, [TABLE, TABLE, 0], rules)
        assert spurious_fault(stale, [TABLE, 0x61, 0xE3], rules)  # nothing above a large page is asked
        assert not spurious_fault(stale, [TABLE, TABLE, 0x65, 0x63], rules)
        assert not spurious_fault(PF_INSTR | PF_PROT, [TABLE, TABLE, TABLE, 1 << 63 | 0x63], rules)
    assert spurious_fault(0, [TABLE, TABLE, TABLE, 0x63], BEFORE)
    assert not spurious_fault(0, [TABLE, TABLE, TABLE, 0x63], AFTER)


def test_the_hole_that_oopsed() -> None:
    m2p = M2p(X86_64, 0x1000, [M2pRun(0, 0x800, 0)])
    assert m2p_read(m2p, 0x10, BEFORE) is M2pRead.WORD
    assert m2p_read(m2p, 0x900, BEFORE) is M2pRead.OOPS
    assert m2p_read(m2p, 0x900, rules_for("series:1-6,8")) is M2pRead.OOPS
    assert m2p_read(m2p, 0x900, AFTER) is M2pRead.FIXED_UP
    assert m2p_read(m2p, 0x1000, BEFORE) is M2pRead.PAST_END
