"""PTE conversion: from the entry that the kernel means to the entry in memory, and back.

A present entry in memory holds a machine frame, because the hardware reads it; the kernel thinks in guest
frames.  *make* functions turn the kernel's value into the machine entry, *val* functions turn it back
(arch/x86/xen/mmu.c, Linux 3.12 to 6.4).  What _PAGE_IOMAP does in between is up to Rules.
"""

from __future__ import annotations

from collections.abc import Mapping

from xenp2m.mmu.pte import IOMAP, PRESENT, PTE_MASK, layout_of, needs_inversion
from xenp2m.p2m.m2p import M2p, mfn_to_pfn
from xenp2m.p2m.protocol import P2m
from xenp2m.rules import Rules
from xenp2m.units import PAGE_SHIFT

ISA_END_ADDRESS = 0x100000
ISA_START = 0xA0
ISA_END = ISA_END_ADDRESS >> PAGE_SHIFT
"""The ISA range as frames ``[ISA_START, ISA_END)``: ioremap answers it from the direct map."""

_NO_OVERRIDES: Mapping[int, int] = {}


class Converter:
    """The conversions of one domain: its kernel's rules, its p2m and its view of the M2P.

    ``initial_domain`` is true for dom0.  ``overrides`` is the m2p override table, machine frame to guest
    frame; kernels without the table ignore it.  All PTEs are 64-bit numbers; frame numbers have the width of
    the architecture and are cut to it where the kernel cuts them.
    """

    __slots__ = ("arch", "initial_domain", "layout", "m2p", "overrides", "p2m", "rules")

    def __init__(
        self,
        rules: Rules,
        p2m: P2m,
        m2p: M2p,
        *,
        initial_domain: bool = True,
        overrides: Mapping[int, int] = _NO_OVERRIDES,
    ) -> None:
        self.rules = rules
        self.p2m = p2m
        self.m2p = m2p
        self.initial_domain = initial_domain
        self.overrides = overrides if rules.m2p_override else _NO_OVERRIDES
        self.arch = p2m.arch
        self.layout = layout_of(rules, p2m.arch)

    def pte_pfn_to_mfn(self, value: int) -> int:
        """Return the machine entry of a kernel entry, _PAGE_IOMAP not looked at.

        A missing frame gives 0: its frame and every flag are dropped.  Before patch 8 an identity frame
        gets _PAGE_IOMAP.  A 32-bit identity word of a frame at or past 4 TiB loses the frame's upper bits.
        """
        if not value & PRESENT:
            return value
        arch = self.arch
        pfn = (value & self.layout.pfn_mask) >> PAGE_SHIFT & arch.word_mask
        word = pfn if self.p2m.auto_translated else self.p2m.get(pfn)
        if word == arch.invalid:
            return 0
        flags = value & self.layout.flag_mask
        if word & arch.identity_bit and self.rules.pte_iomap:
            flags |= IOMAP
        return (word & arch.frame_mask) << PAGE_SHIFT | flags

    def pte_mfn_to_pfn(self, entry: int) -> int:
        """Return the kernel's value of a machine entry, _PAGE_IOMAP not looked at.

        A machine frame without guest frame gives the flags alone, without PRESENT.
        """
        if not entry & PRESENT:
            return entry
        mfn = (entry & self.layout.mfn_mask) >> PAGE_SHIFT & self.arch.word_mask
        pfn = mfn_to_pfn(self.p2m, self.m2p, mfn, self.overrides)
        flags = entry & self.layout.flag_mask
        if pfn == self.arch.invalid:
            return flags & ~PRESENT
        return pfn << PAGE_SHIFT | flags

    def takes_as_machine(self, value: int) -> bool:
        """Whether make_pte takes ``value`` as a machine address because of _PAGE_IOMAP (before patch 8).

        A domU has no say below 1 MiB: its ISA range is ordinary memory.
        """
        if not (self.rules.pte_iomap and value & IOMAP):
            return False
        return self.initial_domain or value & self.layout.pfn_mask >= ISA_END_ADDRESS

    def make_pte(self, value: int) -> int:
        """Return the machine entry of a kernel PTE (xen_make_pte)."""
        if not self.rules.pte_iomap:
            return self.pte_pfn_to_mfn(value)
        if self.takes_as_machine(value):
            return value
        return self.pte_pfn_to_mfn(value & ~IOMAP)

    def reads_m2p(self, entry: int) -> bool:
        """Whether pte_val asks the M2P about an entry; _PAGE_IOMAP in dom0 spared that (before patch 8)."""
        spared = self.rules.pte_iomap and self.initial_domain and bool(entry & IOMAP)
        return bool(entry & PRESENT) and not spared and not self.p2m.auto_translated

    def pte_val(self, entry: int) -> int:
        """Return the kernel's value of a machine PTE (xen_pte_val)."""
        if self.rules.pte_iomap and self.initial_domain and entry & IOMAP:
            return entry
        return self.pte_mfn_to_pfn(entry)

    def make_pmd(self, value: int) -> int:
        """Return the machine entry of a kernel PMD; _PAGE_IOMAP plays no part above the lowest level."""
        return self.pte_pfn_to_mfn(value)

    def pmd_val(self, entry: int) -> int:
        """Return the kernel's value of a machine PMD."""
        return self.pte_mfn_to_pfn(entry)

    make_pud = make_pmd
    make_pgd = make_pmd
    pud_val = pmd_val
    pgd_val = pmd_val

    def massage_pgprot(self, prot: int) -> int:
        """Return a protection without the bits that are not supported; one without PRESENT stays as it is."""
        return prot & self.layout.supported if prot & PRESENT else prot

    def pfn_pte(self, pfn: int, prot: int) -> int:
        """Return the machine entry for a guest frame and a protection."""
        address = (pfn & self.arch.word_mask) << PAGE_SHIFT
        if self.rules.inverts_non_present:
            inverted = self.layout.pfn_mask if needs_inversion(prot, self.rules) else 0
            address = (address ^ inverted) & self.layout.pfn_mask
        return self.make_pte(address & PTE_MASK | self.massage_pgprot(prot))

    def mfn_pte(self, mfn: int, prot: int) -> int:
        """Return the machine entry for a machine frame and a protection; the p2m plays no part."""
        address = (mfn & self.arch.word_mask) << PAGE_SHIFT & PTE_MASK
        return address | self.massage_pgprot(prot)

    def pte_pfn(self, entry: int) -> int:
        """Return the guest frame of a machine entry; 0 where it has none (its value is not present).

        Where non-present entries are inverted, so is the number read from one.
        """
        value = self.pte_val(entry)
        inverted = self.layout.pfn_mask if needs_inversion(value, self.rules) else 0
        return ((value ^ inverted) & self.layout.pfn_mask) >> PAGE_SHIFT & self.arch.word_mask

    def pte_mfn(self, entry: int) -> int:
        """Return the frame of an entry as it stands in memory."""
        return (entry & self.layout.mfn_mask) >> PAGE_SHIFT & self.arch.word_mask

    def pgprot_modify(self, old: int, new: int) -> int:
        """Return a mapping's new protection: what _PAGE_CHG_MASK keeps of ``old``, the rest of ``new``.

        The mask has never contained _PAGE_IOMAP, so mprotect drops it.
        """
        return old & self.layout.chg_mask | new & ~self.layout.chg_mask

    def pte_modify(self, entry: int, prot: int) -> int:
        """Return the entry with another protection, as mprotect makes it: read back, changed, made again."""
        masks = self.layout
        old = self.pte_val(entry)
        value = old & masks.chg_mask | self.massage_pgprot(prot) & ~masks.chg_mask
        if needs_inversion(old, self.rules) != needs_inversion(value, self.rules):
            value ^= masks.pfn_mask
        return self.make_pte(value)
