"""XP4: page table entries that read back as something else than was written."""

from __future__ import annotations

from collections.abc import Iterator

from xenp2m.check.explain import map_guest_frame
from xenp2m.check.findings.model import Case, Hit, Severity
from xenp2m.check.findings.registry import finding
from xenp2m.check.places import given_map
from xenp2m.entry import Kind
from xenp2m.mmu.convert import ISA_END
from xenp2m.mmu.mappers import Mapper
from xenp2m.mmu.pte import IOMAP
from xenp2m.units import format_frames, pfn_down, pfn_up


@finding(
    "XP401",
    "Frames of other domains read back as 1:1",
    Severity.INFO,
    why="An entry for another domain's frame is read back through the M2P, which gives no frame of ours. The "
    "kernel then asks whether the number itself is 1:1 here. In the linear list all is 1:1 that is neither "
    "RAM nor balloon space, host RAM that dom0 may never use included, so a granted or foreign frame reads "
    "back as a present 1:1 frame instead of none.",
    kernels="since 3.19; 3.16 to 3.18 for RAM past 512 GiB",
    example="dom0_mem=4G on a host of 64 GiB; the toolstack maps a page of a guest.",
    remedy="Take no address from such an entry in tools that walk page tables; ask Xen who owns the frame.",
    source="asm/xen/page.h, mfn_to_pfn; arch/x86/xen/setup.c (6.4.0); xen/arch/x86/setup.c, __start_xen",
)
def foreign_as_identity(case: Case) -> Iterator[Hit]:
    """Host RAM that other domains may own is 1:1 in dom0's p2m; Xen gives none of the first MiB to any."""
    guest = case.guest
    if guest.stopped or not case.config.is_dom0:
        return
    frames = 0
    for entry in given_map(guest):
        if entry.is_ram:
            for run in guest.p2m.within(max(pfn_up(entry.start), ISA_END), pfn_down(entry.end)):
                frames += run.pages if run.kind is Kind.IDENTITY else 0
    if frames:
        yield Hit(f"{frames} frames of host RAM ({format_frames(frames)}) are 1:1 and not dom0's")


@finding(
    "XP402",
    "1:1 mappings show bit 10 that nobody set",
    Severity.INFO,
    why="Looking up a 1:1 frame adds _PAGE_IOMAP (0x400) to the entry, and in dom0 such an entry reads back "
    "unchanged. Page table dumps and tools that compare flags see it.",
    kernels="until 3.17; gone with patch 8 (3.18)",
    example="A uio mapping of a BAR in the PCI hole: 0x80000000d0000627 instead of ...227.",
    remedy="Ignore bit 10 (0x400) of entries for I/O memory.",
    source="arch/x86/xen/mmu.c, pte_pfn_to_mfn and xen_pte_val (3.15.5, 3.18.0)",
)
def iomap_visible(case: Case) -> Iterator[Hit]:
    """A BAR that is mapped as 1:1 gets a flag that its driver did not ask for."""
    if not case.rules.pte_iomap or not case.config.is_dom0:
        return
    seen = [judged for judged in case.bars if judged.cause is None and judged.found.kind is Kind.IDENTITY]
    if not seen:
        return
    ((mapping, _),) = map_guest_frame(case.guest, seen[0].bar.pfn_start, [Mapper.IO_REMAP])
    entry = mapping.entry
    if entry is not None and entry & IOMAP:
        bar = seen[0].bar
        text = f"io_remap_pfn_range stores {entry:#x}; {len(seen)} BARs are 1:1 like this one"
        yield Hit.at_bar(bar, text)


@finding(
    "XP403",
    "domU: a working mapping reads back as not present",
    Severity.WARNING,
    why="In a domU an entry with _PAGE_IOMAP is read back through the M2P like any other. Where the BAR's "
    "frame is missing that gives no frame, and the kernel sees an entry that is not present in a mapping "
    "that works: unmapping takes it for a swap entry.",
    kernels="until 3.17; gone with patch 8 (3.18)",
    example="A domU of Linux 3.15 with a passed-through device whose BAR lies past its memory map.",
    remedy="Use Linux 3.18 or later in the domU, and e820_host=1 so that the BAR lies in a hole of its map.",
    source="arch/x86/xen/mmu.c, xen_pte_val (3.15.5)",
)
def not_present_in_domu(case: Case) -> Iterator[Hit]:
    """In a domU, a PCI sysfs mapping of a BAR works and its entry reads back as not present."""
    if case.config.is_dom0 or not case.rules.pte_iomap:
        return
    for judged in case.bars:
        if judged.found.kind is not Kind.MISSING:
            continue
        frame = judged.verdict.first_bad or judged.bar.pfn_start
        ((mapping, _),) = map_guest_frame(case.guest, frame, [Mapper.SYSFS])
        if mapping.reaches and mapping.read_back is None and not mapping.oopses:
            yield Hit.at_bar(judged.bar, f"PTE {mapping.entry:#x} reaches the device and reads back as none")


@finding(
    "XP404",
    "Cache attributes are dropped from mappings of BARs",
    Severity.INFO,
    why="These kernels take PWT and PCD out of every present entry that they make from a frame number, so "
    "pgprot_noncached and pgprot_writecombine leave no trace in it: the memory type is what the processor's "
    "MTRRs say. A frame buffer gets no write combining, and page table dumps show device memory as cached.",
    kernels="until 3.18; 3.19 keeps both bits",
    example="A driver maps a BAR at 224 GiB with 0x8000000000000037: Linux 3.18 stores 0x8000003800000227.",
    remedy="Use Linux 3.19 or later.",
    source="arch/x86/xen/enlighten.c, __supported_pte_mask (3.15.5, 3.18.0)",
)
def cache_bits_dropped(case: Case) -> Iterator[Hit]:
    """A prefetchable BAR maps, and its entries lose the cache attributes that were asked for."""
    if case.rules.keeps_cache_bits:
        return
    mapped = [judged.bar for judged in case.bars if judged.bar.prefetchable and judged.cause is None]
    if mapped:
        ((mapping, _),) = map_guest_frame(case.guest, mapped[0].pfn_start, [Mapper.IO_REMAP])
        text = f"io_remap_pfn_range asks for {mapping.prot:#x} and stores {mapping.entry or 0:#x}"
        yield Hit.at_bar(mapped[0], f"{text}; {len(mapped)} prefetchable BARs are like this one")
