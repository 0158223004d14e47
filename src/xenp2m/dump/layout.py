"""Where things are: structure offsets, note types and fixed address ranges of Xen and its PV guests.

All values are little-endian.  Source: Xen's public headers (xen/include/public/xen.h, arch-x86/xen*.h,
elfnote.h) compiled for both widths, and asm/config.h of Xen 4.4 to 4.23.  Words that an older Xen had as
padding (``p2m_cr3`` and after, before 4.6) read as 0.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from xenp2m.arch import X86_32, X86_64, Arch

ENTRIES = 512
"""Entries of a page table, and 64-bit words of a page."""
PRESENT = 1
PSE = 1 << 7
FRAME_MASK = 0x000F_FFFF_FFFF_F000
"""The bits of a page table entry that hold the machine address of a frame."""

MOST_PFNS = 1 << 34
"""More frames (64 TiB) than any PV guest has: larger numbers are no p2m's."""

XEN_SLOTS = range(256, 272)
"""L4 slots of a 64-bit PV address space that belong to Xen."""
SELF_MAP_SLOT = 258
"""The L4 slot through which Xen sees the page tables themselves: it holds the L4's own frame."""
RO_M2P_START, RO_M2P_END = 0xFFFF_8000_0000_0000, 0xFFFF_8040_0000_0000
RW_M2P_START, RW_M2P_END = 0xFFFF_8280_0000_0000, 0xFFFF_82C0_0000_0000
FRAME_TABLE_START, FRAME_TABLE_END = 0xFFFF_82E0_0000_0000, 0xFFFF_8300_0000_0000
DIRECT_MAP_START = 0xFFFF_8300_0000_0000
XEN_START, XEN_END = 0xFFFF_8000_0000_0000, 0xFFFF_8800_0000_0000
"""Xen's half-open range in a 64-bit PV address space."""
XEN_START_32 = 0xF580_0000
"""Where Xen's range begins in a 32-bit PV address space; it reaches to the end."""
KERNEL_MAP_START = 0xFFFF_FFFF_8000_0000
"""__START_KERNEL_map: where a 64-bit Linux maps its own image."""
PAGE_OFFSETS = (0xFFFF_8800_0000_0000, 0xFFFF_8880_0000_0000)
"""Where a 64-bit Linux maps all its memory (before 4.20, and from it)."""

PAGE_INFO_SIZE = 32
PAGE_INFO_COUNT, PAGE_INFO_TYPE, PAGE_INFO_OWNER = 8, 16, 24
"""Offsets in struct page_info (xen/include/asm-x86/mm.h, 4.4 and later): count_info, type_info, _domain."""
PGT_SHIFT = 61
PGT_L4 = 4
"""The type (top three bits of type_info) of a page that is a validated L4."""


@dataclass(frozen=True, slots=True)
class SharedInfoLayout:
    """Offsets in struct shared_info of one guest width; a word is ``unsigned long``."""

    arch: Arch
    wc_version: int
    max_pfn: int
    frame_list_list: int
    nmi_reason: int
    p2m_cr3: int
    p2m_vaddr: int
    p2m_generation: int
    size: int

    @property
    def word(self) -> struct.Struct:
        """The guest's ``unsigned long``."""
        return struct.Struct("<Q" if self.arch.bits == 64 else "<I")


SHARED_INFO_64 = SharedInfoLayout(X86_64, 3072, 3088, 3096, 3104, 3112, 3120, 3128, 3136)
SHARED_INFO_32 = SharedInfoLayout(X86_32, 2304, 2316, 2320, 2324, 2328, 2332, 2336, 2344)
SHARED_INFO = {64: SHARED_INFO_64, 32: SHARED_INFO_32}


@dataclass(frozen=True, slots=True)
class StartInfoLayout:
    """Offsets in struct start_info of one guest width."""

    arch: Arch
    nr_pages: int
    shared_info: int
    flags: int
    mfn_list: int
    size: int


START_INFO_MAGIC = b"xen-"
START_INFO_64 = StartInfoLayout(X86_64, 32, 40, 48, 104, 1168)
START_INFO_32 = StartInfoLayout(X86_32, 32, 36, 40, 68, 1112)
START_INFO = {64: START_INFO_64, 32: START_INFO_32}

VCPU_CONTEXT_CR3 = {64: 5008, 32: 2728}
"""Offset of ctrlreg[3] in struct vcpu_guest_context."""
VCPU_CONTEXT_SIZE = 5168
"""The size of an entry of .xen_prstatus: the larger of the two widths, whatever the guest's."""

NOTE_CORE_HEADER, NOTE_CORE_VERSION, NOTE_CORE_FORMAT = 0x200_0001, 0x200_0002, 0x200_0003
"""Notes of an ``xl dump-core`` file (XEN_ELFNOTE_DUMPCORE_*)."""
NOTE_CRASH_INFO, NOTE_CRASH_REGS = 0x100_0001, 0x100_0002
"""Notes that Xen leaves for a kdump kernel (XEN_ELFNOTE_CRASH_*)."""
CORE_MAGIC_PV, CORE_MAGIC_HVM = 0xF00F_EBED, 0xF00F_EBEE
QEMU_NOTE_CR3 = 0x1A0
"""Offset of cr[3] in QEMU's own note (QEMUCPUState, version 1)."""


def unfold_cr3(value: int, arch: Arch) -> int:
    """Return the frame that a CR3 value names; a 32-bit guest's is folded (public/arch-x86/xen-x86_32.h)."""
    if arch.bits == 64:
        return (value & FRAME_MASK) >> 12
    return ((value >> 12) | (value << 20)) & 0xFFFF_FFFF


def canonical(address: int) -> int:
    """Sign-extend a 48-bit virtual address."""
    address &= (1 << 48) - 1
    return address | 0xFFFF_0000_0000_0000 if address >> 47 else address
