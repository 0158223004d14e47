"""The ways in which drivers map a BAR: the PTE that each writes, and what becomes of it.

Each is a composition of the conversions in ``convert`` and the faults in ``faults``.  Sources:
arch/x86/mm/ioremap.c, arch/x86/pci/i386.c (pci_mmap_page_range), mm/memory.c (remap_pfn_range),
drivers/char/mem.c, arch/x86/xen/mmu.c (xen_remap_domain_mfn_range); Linux 3.15, 3.16, 3.18 and 6.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from xenp2m.entry import Kind, decode
from xenp2m.mmu.convert import ISA_END, ISA_START, Converter
from xenp2m.mmu.faults import Access, M2pRead, access, m2p_read
from xenp2m.mmu.pte import (
    IOMAP,
    PAGE_KERNEL,
    PAGE_READONLY,
    PAGE_SHARED,
    PCD,
    PRESENT,
    PROTNONE,
    SPECIAL,
    describe,
)
from xenp2m.units import PAGE_SHIFT


class Mapper(StrEnum):
    """A way of mapping a BAR."""

    IOREMAP = "ioremap"
    SYSFS = "sysfs"
    IO_REMAP = "io_remap_pfn_range"
    DEV_MEM = "dev_mem"
    FOREIGN = "foreign"

    @property
    def label(self) -> str:
        """What a person calls it."""
        return _LABELS[self]


_LABELS = {
    Mapper.IOREMAP: "ioremap (kernel drivers)",
    Mapper.SYSFS: "PCI sysfs mmap",
    Mapper.IO_REMAP: "io_remap_pfn_range (RDMA, uio, vfio)",
    Mapper.DEV_MEM: "/dev/mem",
    Mapper.FOREIGN: "toolstack foreign mapping",
}


class Step(NamedTuple):
    """One step towards an answer, and where the rule behind it was read (empty where it only follows)."""

    text: str
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """One machine frame mapped one way.

    ``mfn`` is the frame of the BAR and ``number`` what is passed down for it, cut to ``unsigned long``.
    ``prot`` is the protection asked for and ``entry`` the PTE that is stored; None when the mapper refuses
    (``refused`` says why) or when the entry holds a RAM frame that is not known.
    ``taken_raw`` is true when the number was taken as a machine frame without asking the p2m.
    ``access`` is what the first access does, None when refused.  ``read_back`` is the guest frame that
    pte_pfn gives for the entry, None where it gives none, and ``m2p`` what the M2P has to do with that.
    ``protected`` is the entry after mprotect(PROT_READ), None where it is not applied or not known, and
    ``protected_access`` what an access does then.
    """

    mapper: Mapper
    mfn: int
    number: int
    prot: int
    entry: int | None
    refused: str = ""
    taken_raw: bool = False
    access: Access | None = None
    read_back: int | None = None
    m2p: M2pRead = M2pRead.SPARED
    protected: int | None = None
    protected_access: Access | None = None
    steps: tuple[Step, ...] = ()

    @property
    def reaches(self) -> bool:
        """Whether an access reaches the frame that was asked for."""
        return self.access is not None and self.access.mfn == self.mfn

    @property
    def oopses(self) -> bool:
        """Whether unmapping (or mprotect) oopses on the M2P."""
        return self.m2p is M2pRead.OOPS


def protection(mapper: Mapper, converter: Converter) -> int:
    """Return the page protection that a mapper asks for, before unsupported bits are taken away."""
    rules, iomap = converter.rules, converter.layout.iomap
    if mapper is Mapper.IOREMAP:
        return PAGE_KERNEL | PCD | iomap
    if mapper is Mapper.SYSFS:
        return PAGE_SHARED | PCD | iomap
    if mapper is Mapper.FOREIGN:
        return PAGE_SHARED | (iomap if rules.foreign_remap_iomap else 0)
    return PAGE_SHARED | PCD


def map_frame(
    converter: Converter,
    mapper: Mapper,
    mfn: int,
    *,
    system_ram: bool = False,
    reserved: bool = False,
    ram_known: bool = True,
) -> Mapping:
    """Map the machine frame ``mfn`` of a BAR, use it, read it back, change its protection and unmap it.

    ``system_ram`` says that the kernel's map has RAM at that number, and ``reserved`` that its pages belong
    to the balloon.  ``ram_known`` is false when RAM words of the p2m stand in for machine frames that are not
    known; no such frame is then named.
    """
    number = mfn & converter.arch.word_mask
    if mapper is Mapper.IOREMAP:
        number &= converter.layout.pfn_mask >> PAGE_SHIFT
    prot = protection(mapper, converter)
    steps = _asked(mapper, converter, mfn, number, prot)
    refused = _refusal(mapper, converter, system_ram=system_ram, reserved=reserved)
    if refused:
        steps.append(Step(refused, _SOURCES[mapper]))
        return Mapping(
            mapper=mapper,
            mfn=mfn,
            number=number,
            prot=prot,
            entry=None,
            refused=refused,
            steps=tuple(steps),
        )
    entry, taken_raw = _write(mapper, converter, number, prot, steps)
    first = access(entry, converter.rules, converter.arch, user=mapper is not Mapper.IOREMAP)
    kind = decode(converter.p2m.get(number), converter.arch).kind
    if kind is Kind.RAM and not ram_known and not taken_raw and entry & PRESENT:
        hidden = Access(first.result, first.error_code, None, "reaches the guest's own RAM, not the device")
        steps.append(Step(hidden.text))
        return Mapping(
            mapper=mapper,
            mfn=mfn,
            number=number,
            prot=prot,
            entry=None,
            access=hidden,
            steps=tuple(steps),
        )
    steps.append(Step(f"PTE in memory: {entry:#x} ({describe(entry, converter.rules, converter.arch)})"))
    steps.append(Step(f"access: {first.text}" + _strays(first, mfn)))
    m2p, read_back = _read_back(mapper, converter, entry, steps)
    protected = _protect(mapper, converter, entry, m2p, steps)
    after = None if protected is None else access(protected, converter.rules, converter.arch, user=True)
    return Mapping(
        mapper=mapper,
        mfn=mfn,
        number=number,
        prot=prot,
        entry=entry,
        taken_raw=taken_raw,
        access=first,
        read_back=read_back,
        m2p=m2p,
        protected=protected,
        protected_access=after,
        steps=tuple(steps),
    )


_SOURCES = {
    Mapper.IOREMAP: "arch/x86/mm/ioremap.c",
    Mapper.SYSFS: "arch/x86/pci/i386.c, pci_mmap_page_range",
    Mapper.IO_REMAP: "mm/memory.c, remap_pfn_range",
    Mapper.DEV_MEM: "drivers/char/mem.c, mmap_mem",
    Mapper.FOREIGN: "arch/x86/xen/mmu.c, xen_remap_domain_mfn_range",
}


def _asked(mapper: Mapper, converter: Converter, mfn: int, number: int, prot: int) -> list[Step]:
    shown = describe(prot, converter.rules, converter.arch)
    steps = [Step(f"{mapper.label} asks for frame {mfn:#x} with {'|'.join(shown.flags)}", _SOURCES[mapper])]
    if number != mfn:
        steps.append(
            Step(
                f"the number does not fit in {converter.arch.bits}-bit arithmetic and becomes {number:#x}",
                "frame numbers are unsigned long",
            )
        )
    return steps


def _refusal(mapper: Mapper, converter: Converter, *, system_ram: bool, reserved: bool) -> str:
    if mapper is Mapper.FOREIGN and converter.p2m.auto_translated:
        return "refused with -EINVAL in an auto-translated guest"
    if mapper is Mapper.IOREMAP and system_ram and not reserved:
        return "refused: the kernel's map has RAM in use there"
    if mapper is Mapper.DEV_MEM and system_ram:
        return "refused: the kernel's map has RAM there (CONFIG_STRICT_DEVMEM)"
    return ""


def _write(
    mapper: Mapper, converter: Converter, number: int, prot: int, steps: list[Step]
) -> tuple[int, bool]:
    """Return the stored entry, and whether the number was taken as a machine frame; tell how in ``steps``."""
    rules = converter.rules
    if mapper is Mapper.IOREMAP and ISA_START <= number < ISA_END:
        steps.append(Step("ISA range: answered from the kernel's direct map", "arch/x86/mm/ioremap.c"))
        if converter.initial_domain:
            return converter.mfn_pte(number, prot), True
        return converter.pfn_pte(number, PAGE_KERNEL), False
    if mapper is Mapper.FOREIGN and not rules.foreign_remap_iomap:
        steps.append(Step("mfn_pte: the number is a machine frame, the p2m is not asked (patch 6)"))
        return converter.mfn_pte(number, prot) | SPECIAL, True
    lost = prot & ~converter.massage_pgprot(prot)
    if lost:
        names = "|".join(describe(lost | PRESENT, rules, converter.arch).flags[:-1])
        steps.append(Step(f"{names} not supported under Xen: dropped", "__supported_pte_mask, enlighten.c"))
    value = number << PAGE_SHIFT | converter.massage_pgprot(prot)
    taken_raw = converter.takes_as_machine(value)
    entry = converter.pfn_pte(number, prot)
    if taken_raw:
        steps.append(
            Step("_PAGE_IOMAP: the number is taken as a machine frame", "xen_make_pte before patch 8")
        )
    else:
        steps.append(_translated(converter, number, prot))
    if mapper is Mapper.IOREMAP:
        return entry, taken_raw
    if not entry:
        steps.append(Step("pte_mkspecial adds bit 9 to the empty entry: 0x200", "remap_pfn_range"))
    return entry | SPECIAL, taken_raw


def _translated(converter: Converter, number: int, prot: int) -> Step:
    found = decode(converter.p2m.get(number), converter.arch)
    ignored = "_PAGE_IOMAP ignored; " if prot & IOMAP and not converter.rules.pte_iomap else ""
    if found.kind is Kind.MISSING:
        answer = "missing: the frame and every flag are dropped, the entry is 0"
    elif found.kind is Kind.IDENTITY and found.mfn == number:
        flag = ", and the entry gets _PAGE_IOMAP" if converter.rules.pte_iomap else ""
        answer = f"1:1: machine frame {number:#x}{flag}"
    elif found.kind is Kind.IDENTITY:
        answer = "1:1, but the marker bits of the word take the frame's upper bits with them"
    else:
        answer = "RAM" if found.kind is Kind.RAM else "a frame of another domain"
    return Step(f"{ignored}p2m({number:#x}) is {answer}", "pte_pfn_to_mfn")


def _strays(first: Access, mfn: int) -> str:
    return "" if first.mfn is None or first.mfn == mfn else f", which is not the device's ({mfn:#x})"


def _read_back(
    mapper: Mapper, converter: Converter, entry: int, steps: list[Step]
) -> tuple[M2pRead, int | None]:
    """Unmap: user mappings read the guest frame back, ioremap's do not."""
    if mapper is Mapper.IOREMAP or not entry & PRESENT:
        return M2pRead.SPARED, None
    m2p = M2pRead.SPARED
    if converter.reads_m2p(entry):
        m2p = m2p_read(converter.m2p, converter.pte_mfn(entry), converter.rules)
    if m2p is M2pRead.OOPS:
        steps.append(Step(f"unmap: {m2p.value}", "arch/x86/mm/fault.c before patch 7"))
        return m2p, None
    frame = converter.pte_pfn(entry) if converter.pte_val(entry) & PRESENT else None
    answer = "no guest frame" if frame is None else f"guest frame {frame:#x}"
    steps.append(Step(f"unmap: pte_pfn gives {answer} ({m2p.value})", "vm_normal_page"))
    return m2p, frame


def _protect(mapper: Mapper, converter: Converter, entry: int, m2p: M2pRead, steps: list[Step]) -> int | None:
    """mprotect(PROT_READ); entries that the kernel does not count as present are left alone."""
    if mapper is Mapper.IOREMAP or m2p is M2pRead.OOPS or not entry & (PRESENT | PROTNONE):
        return None
    prot = converter.pgprot_modify(protection(mapper, converter), PAGE_READONLY)
    protected = converter.pte_modify(entry, prot)
    after = access(protected, converter.rules, converter.arch, user=True)
    steps.append(Step(f"mprotect(PROT_READ): PTE {protected:#x}; then {after.text}", "_PAGE_CHG_MASK"))
    return protected
