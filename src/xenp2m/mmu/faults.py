"""What happens when an access meets an entry, and when the kernel meets a hole in the M2P.

Sources: mm/memory.c and asm/pgtable_64.h, pgtable-3level.h for how a non-present entry is read (Linux 3.15;
inverted swap entries as of 4.19), arch/x86/mm/fault.c for spurious faults (3.15 and 3.18).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import NamedTuple

from xenp2m.arch import Arch
from xenp2m.mmu.pte import FILE, MFN_MASK, NX, PRESENT, PROTNONE, PSE, PTE_MASK, RW, USER
from xenp2m.p2m.m2p import M2p
from xenp2m.rules import Rules
from xenp2m.units import PAGE_SHIFT

PF_PROT = 1 << 0
PF_WRITE = 1 << 1
PF_USER = 1 << 2
PF_RSVD = 1 << 3
PF_INSTR = 1 << 4


class AccessResult(StrEnum):
    """What becomes of an access."""

    WORKS = "works"
    DENIED = "denied"
    """The entry is there and does not allow it: SIGSEGV, or an oops in the kernel."""
    NONE = "none"
    """The entry is empty and an I/O mapping has nothing to fill it with: SIGBUS."""
    PROTNONE = "protnone"
    """The mapping allows no access at all: SIGSEGV."""
    FILE = "file"
    """Read as a page of a nonlinear file mapping, which it is not: "Bad page map", SIGBUS."""
    SWAP = "swap"
    """Read as a swap entry that no swap area has: the process is killed."""
    OOPS = "oops"
    """The kernel itself met an entry that is not present."""


class SwapEntry(NamedTuple):
    """A non-present entry as the swap code reads it: number of the swap area and offset in it, in pages."""

    type: int
    offset: int


@dataclass(frozen=True, slots=True)
class Access:
    """The outcome of one access.

    ``error_code`` is the page fault's, None when there is no fault.  ``mfn`` is the machine frame that the
    access reaches, None when it reaches none.  ``text`` is one sentence.
    """

    result: AccessResult
    error_code: int | None
    mfn: int | None
    text: str

    @property
    def works(self) -> bool:
        """Whether the access reaches a machine frame."""
        return self.result is AccessResult.WORKS


def swap_entry(entry: int, rules: Rules, arch: Arch) -> SwapEntry:
    """Read a non-present entry as a swap entry.

    64-bit: area in bits 1 to 5 and offset from bit 9 (Linux 3.15; 3.16 to 3.18 with NUMA balancing start one
    bit later).  32-bit PAE: both in the upper half.  Since L1TF: area in the top five bits, offset inverted.
    """
    if rules.inverts_non_present:
        return SwapEntry(entry >> 59, ((entry ^ PTE_MASK) << 5 & PTE_MASK) >> 14)
    if arch.bits == 32:
        high = entry >> 32
        return SwapEntry(high & 0x1F, high >> 5)
    return SwapEntry(entry >> 1 & 0x1F, entry >> 9)


def access(
    entry: int, rules: Rules, arch: Arch, *, user: bool, write: bool = False, fetch: bool = False
) -> Access:
    """Say what an access to the page of a machine PTE does.

    ``user`` tells user space from the kernel, ``write`` and ``fetch`` what is done; reading otherwise.  The
    mapping is one of I/O memory, so that nothing fills an empty entry in.
    """
    code = (PF_USER if user else 0) | (PF_WRITE if write else 0) | (PF_INSTR if fetch else 0)
    if entry & PRESENT:
        wrong = (user and not entry & USER) or (write and not entry & RW) or (fetch and entry & NX)
        if wrong:
            return Access(
                AccessResult.DENIED,
                code | PF_PROT,
                None,
                "protection fault: " + ("SIGSEGV" if user else "oops"),
            )
        mfn = (entry & MFN_MASK) >> PAGE_SHIFT
        return Access(AccessResult.WORKS, None, mfn, f"reaches machine frame {mfn:#x}")
    if not user:
        text = "not present: the kernel is unable to handle its own paging request (oops)"
        return Access(AccessResult.OOPS, code, None, text)
    if entry == 0:
        return Access(AccessResult.NONE, code, None, "empty entry that nothing fills in: SIGBUS")
    if entry & PROTNONE:
        return Access(AccessResult.PROTNONE, code, None, "mapped without access: SIGSEGV")
    if entry & FILE and rules.nonlinear_file:
        text = 'read as a nonlinear file entry: "Bad page map", SIGBUS'
        return Access(AccessResult.FILE, code, None, text)
    area, offset = swap_entry(entry, rules, arch)
    text = (
        f"neither present nor empty, so read as a swap entry (area {area}, offset {offset:#x}): "
        '"Bad swap file entry", the process is killed'
    )
    return Access(AccessResult.SWAP, code, None, text)


def walks_tables(error_code: int, rules: Rules) -> bool:
    """Whether the kernel looks into its page tables to see if a fault of its own is spurious.

    Up to 3.17 it does so for every fault that has neither USER nor RSVD, non-present ones included; with
    patch 7 only for a write or an instruction fetch that a present entry forbade (fault.c, 3.15 and 3.18).
    """
    if rules.spurious_only_protection:
        return error_code in (PF_WRITE | PF_PROT, PF_INSTR | PF_PROT)
    return not error_code & (PF_USER | PF_RSVD)


def spurious_fault(error_code: int, entries: Sequence[int], rules: Rules) -> bool:
    """Whether a kernel fault is taken as spurious, that is retried.

    ``entries`` are the entries of init_mm's tables for the address, from the top level down to the lowest
    one that exists; a large entry ends them.
    """
    if not walks_tables(error_code, rules):
        return False
    for depth, entry in enumerate(entries):
        if not entry & PRESENT:
            return False
        large = 0 < depth < 3 and entry & PSE
        if large:
            return _allows(error_code, entry)
    return len(entries) >= 2 and _allows(error_code, entries[-1]) and _allows(error_code, entries[-2])


def _allows(error_code: int, entry: int) -> bool:
    if error_code & PF_WRITE and not entry & RW:
        return False
    return not (error_code & PF_INSTR and entry & NX)


class M2pRead(Enum):
    """What reading the M2P at one machine frame does."""

    SPARED = "not read"
    """The entry says by itself what it is (_PAGE_IOMAP in dom0), or is not present."""
    PAST_END = "past the end of the M2P: no guest frame, without an access"
    WORD = "the M2P word is read and checked against the p2m"
    FIXED_UP = "hole in the M2P: the access faults and the fixup makes it read all ones"
    OOPS = "hole in the M2P: the access faults, and the test for a spurious fault oopses in Xen's page tables"


def m2p_read(m2p: M2p, mfn: int, rules: Rules) -> M2pRead:
    """Say what the read of ``machine_to_phys_mapping[mfn]`` does.

    A hole faults with error code 0, and the kernel asks whether that is spurious before it reaches the fixup
    (fault.c).
    """
    if mfn >= m2p.nr:
        return M2pRead.PAST_END
    if m2p.read(mfn) is not None:
        return M2pRead.WORD
    return M2pRead.OOPS if walks_tables(0, rules) else M2pRead.FIXED_UP
