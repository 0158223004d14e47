"""The layout of a page table entry: its masks, its bits by name, printed and parsed.

A PTE is 64 bits wide on both architectures.  Which bits hold the frame, and what the bits that hardware
ignores mean, follows from Rules (asm/pgtable_types.h and asm/page_types.h, Linux 3.12 to 6.4).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from functools import cache

from xenp2m.arch import Arch
from xenp2m.errors import UsageError
from xenp2m.rules import Rules, SoftwareBits
from xenp2m.units import PAGE_SHIFT

PRESENT = 1 << 0
RW = 1 << 1
USER = 1 << 2
PWT = 1 << 3
PCD = 1 << 4
ACCESSED = 1 << 5
DIRTY = 1 << 6
FILE = 1 << 6
PSE = 1 << 7
GLOBAL = 1 << 8
PROTNONE = 1 << 8
SPECIAL = 1 << 9
IOMAP = 1 << 10
SOFT_DIRTY = 1 << 11
NX = 1 << 63

PTE_MASK = (1 << 64) - 1
MFN_MASK = ((1 << 52) - 1) & ~((1 << PAGE_SHIFT) - 1)
"""XEN_PTE_MFN_MASK: the bits of a machine entry that hold its frame where the kernel's own mask is as wide
(Linux 6.4, asm/xen/page.h)."""

PAGE_SHARED = PRESENT | RW | USER | ACCESSED | NX
"""The protection of a shared read-write user mapping."""
PAGE_READONLY = PRESENT | USER | ACCESSED | NX
"""The protection of a read-only user mapping."""
PAGE_KERNEL = PRESENT | RW | ACCESSED | DIRTY | GLOBAL | NX
"""The protection of kernel memory, and of ioremap before its cache bits."""


class Level(Enum):
    """The level of the table that holds an entry; it decides what bit 7 means."""

    PTE = "pte"
    PMD = "pmd"
    PUD = "pud"
    PGD = "pgd"


@dataclass(frozen=True, slots=True)
class Layout:
    """The masks of one build of the kernel.

    ``pfn_mask`` is PTE_PFN_MASK, the frame as the kernel reads it, and ``flag_mask`` its complement in 64
    bits.  ``mfn_mask`` is the frame of a machine entry.  ``chg_mask`` is _PAGE_CHG_MASK: what mprotect keeps.
    ``supported`` is __supported_pte_mask under Xen PV: what pfn_pte and mfn_pte keep of a present protection.
    ``iomap`` is _PAGE_IOMAP, or 0 where the flag does not exist.
    """

    pfn_mask: int
    flag_mask: int
    mfn_mask: int
    chg_mask: int
    supported: int
    iomap: int


@cache
def layout_of(rules: Rules, arch: Arch) -> Layout:
    """Return the masks of a kernel on an architecture.

    Sources: asm/pgtable_types.h; arch/x86/xen/enlighten.c for the supported bits (up to 3.18 without GLOBAL,
    PWT and PCD in every domain; later only without GLOBAL).  NX is taken as supported.
    """
    end = rules.pte_frame_end if arch.bits == 64 else rules.pae_frame_end
    pfn_mask = ((1 << end) - 1) & ~((1 << PAGE_SHIFT) - 1)
    keep = PCD | PWT | SPECIAL | ACCESSED | DIRTY
    if rules.software_bits is not SoftwareBits.NUMA_IS_PROTNONE:
        keep |= SOFT_DIRTY
    if rules.software_bits is SoftwareBits.UFFD:
        keep |= 1 << 10 | 1 << 58
    dropped = GLOBAL if rules.keeps_cache_bits else GLOBAL | PWT | PCD
    return Layout(
        pfn_mask=pfn_mask,
        flag_mask=PTE_MASK & ~pfn_mask,
        mfn_mask=MFN_MASK if end == 52 else pfn_mask,
        chg_mask=pfn_mask | keep,
        supported=PTE_MASK & ~dropped,
        iomap=IOMAP if rules.iomap_flag else 0,
    )


@cache
def flag_names(rules: Rules, arch: Arch, *, present: bool = True, level: Level = Level.PTE) -> dict[int, str]:
    """Return the name of every flag bit (bit number to name) as an entry of this state and level has it.

    Bits that no name is known for are ``BIT46`` and the like.
    """
    software = rules.software_bits
    names = {0: "PRESENT", 1: "RW", 2: "USER", 3: "PWT", 4: "PCD", 5: "ACCESSED", 6: "DIRTY"}
    names |= {
        7: "PAT" if level is Level.PTE else "PSE",
        8: "GLOBAL",
        9: "SPECIAL",
        11: "SOFT_DIRTY",
        63: "NX",
    }
    if not present:
        names |= {7: "SWP_SOFT_DIRTY", 8: "PROTNONE"} | ({6: "FILE"} if rules.nonlinear_file else {})
    if rules.iomap_flag:
        names[10] = "IOMAP"
    elif software is SoftwareBits.UFFD:
        names[10] = "UFFD_WP"
    else:
        names[10] = "SOFTW2"
    if software is SoftwareBits.UFFD:
        names |= {58: "DEVMAP", 59: "PKEY_BIT0", 60: "PKEY_BIT1", 61: "PKEY_BIT2", 62: "PKEY_BIT3"}
    flags = layout_of(rules, arch).flag_mask
    return {bit: names.get(bit, f"BIT{bit}") for bit in range(64) if flags >> bit & 1}


@cache
def _bits_by_name(rules: Rules, arch: Arch) -> dict[str, int]:
    """Every name that a flag may be given by, the second names of shared bits included."""
    bits: dict[str, int] = {"CPA_TEST": 9, "HIDDEN": 11, "SOFTW1": 9, "SOFTW2": 10, "SOFTW3": 11}
    if rules.software_bits is SoftwareBits.NUMA_IS_PROTNONE:
        bits |= {"NUMA": 8, "SPLITTING": 9}
    elif rules.software_bits is SoftwareBits.NUMA_IS_SPECIAL:
        bits |= {"NUMA": 9, "SPLITTING": 10}
    for present in (True, False):
        for level in (Level.PTE, Level.PMD):
            names = flag_names(rules, arch, present=present, level=level)
            bits |= {name: bit for bit, name in names.items()}
    return bits


def needs_inversion(value: int, rules: Rules) -> bool:
    """Whether the frame of an entry or protection is kept inverted: not present and not zero, since L1TF."""
    return rules.inverts_non_present and value != 0 and not value & PRESENT


@dataclass(frozen=True, slots=True)
class Pte:
    """One entry taken apart.

    ``frame`` is the number in the frame bits, not inverted; whether it counts machine frames is up to the
    entry's side (a present entry in memory holds an MFN, anything else a PFN).  ``flags`` are the names of
    the bits that are set, highest first.
    """

    value: int
    frame: int
    flags: tuple[str, ...]

    @property
    def present(self) -> bool:
        """Whether hardware uses the entry."""
        return bool(self.value & PRESENT)

    @property
    def none(self) -> bool:
        """Whether the entry is empty (pte_none)."""
        return self.value == 0

    def __str__(self) -> str:
        if self.none:
            return "none"
        return f"frame {self.frame:#x}, {'|'.join(self.flags) or 'no flags'}"


def describe(value: int, rules: Rules, arch: Arch, level: Level = Level.PTE) -> Pte:
    """Take a 64-bit entry apart, as the kernel of ``rules`` names its bits.

    In a large entry bit 12 (PAT_LARGE) counts as the lowest frame bit, as in the kernel's own conversion.
    """
    masks = layout_of(rules, arch)
    names = flag_names(rules, arch, present=bool(value & PRESENT), level=level)
    flags = tuple(names[bit] for bit in sorted(names, reverse=True) if value >> bit & 1)
    inverted = masks.pfn_mask if needs_inversion(value, rules) else 0
    return Pte(value, ((value ^ inverted) & masks.pfn_mask) >> PAGE_SHIFT, flags)


def parse_flags(text: str, rules: Rules, arch: Arch) -> int:
    """Parse flags by name, ``PRESENT|RW|USER``; separators are ``|``, ``,``, ``+`` and blanks.

    Raises UsageError for a name that the kernel of ``rules`` has no bit for.
    """
    bits = _bits_by_name(rules, arch)
    value = 0
    if text.strip().lower() == "no flags":
        return value
    for name in re.split(r"[|,+\s]+", text.strip()):
        bit = bits.get(name.upper().removeprefix("_PAGE_"))
        if bit is None:
            near = get_close_matches(name.upper(), bits, n=1)
            expected = near[0] if near else "names such as PRESENT|RW|USER|NX"
            raise UsageError("not a PTE flag of this kernel", expected=expected, found=repr(name))
        value |= 1 << bit
    return value


_NAMED = re.compile(r"(?:frame\s+)?(0x[0-9a-f]+)[\s,]+(\S.*)", re.IGNORECASE)


def parse_pte(text: str, rules: Rules, arch: Arch) -> int:
    """Parse an entry: ``0x8000003800000627``, or frame and flags: ``0x3800000 PRESENT|RW|USER``.

    The second form is also what a Pte prints.  Raises UsageError when the text is neither, when a flag is
    unknown, and when the number does not fit its place.
    """
    if text.strip().lower() == "none":
        return 0
    named = _NAMED.fullmatch(text.strip())
    if named is None:
        if re.fullmatch(r"0x[0-9a-f]+", text.strip(), re.IGNORECASE) is None:
            raise UsageError(
                "not a PTE",
                expected='"0x8000003800000627" or a frame and flags, "0x3800000 PRESENT|RW"',
                found=repr(text),
            )
        value = int(text, 16)
        if value > PTE_MASK:
            raise UsageError("a PTE has 64 bits", found=text.strip())
        return value
    masks = layout_of(rules, arch)
    flags = parse_flags(named[2], rules, arch)
    frame = int(named[1], 16) << PAGE_SHIFT
    if frame & ~masks.pfn_mask:
        limit = masks.pfn_mask >> PAGE_SHIFT
        raise UsageError(
            "the frame does not fit in a PTE of this kernel", expected=f"at most {limit:#x}", found=named[1]
        )
    inverted = masks.pfn_mask if rules.inverts_non_present and not flags & PRESENT else 0
    return (frame ^ inverted) | flags
