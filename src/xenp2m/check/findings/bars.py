"""XP1: BARs that a kernel does not map, or not by every way, and the 1:1 map that they need."""

from __future__ import annotations

from collections.abc import Iterator

from xenp2m.boot import Guest
from xenp2m.boot.guest import OpKind
from xenp2m.check.bars import FrameClass, Verdict, class_outcome, frame_class, frame_classes
from xenp2m.check.explain import map_guest_frame
from xenp2m.check.findings.causes import BarCause, Cause
from xenp2m.check.findings.model import Case, Hit, Severity
from xenp2m.check.findings.registry import finding
from xenp2m.entry import Kind
from xenp2m.mmu.mappers import Mapper
from xenp2m.rules import Structure
from xenp2m.runs import END_OF_FRAMES
from xenp2m.units import PAGE_SHIFT, format_frames, format_size

_ELSEWHERE = "makes it reach another address"
_BACKPORT = "Use Linux 3.16 or later, or a kernel with patches 2, 3 and 5 of the 2014 series."


def described(judged: BarCause) -> str:
    """Say where a BAR lies and which ways of mapping it do not work."""
    verdict, bar = judged.verdict, judged.bar
    parts = [f"{format_size(bar.size)} at {bar.start:#x}"]
    for outcome in (Verdict.WRONG, Verdict.COLLIDES, Verdict.FAILS, Verdict.MAPS):
        names = [
            mapper.value
            for mapper, found in verdict.mappers.items()
            if found is outcome and (mapper is not Mapper.FOREIGN or outcome is not Verdict.MAPS)
        ]
        if names:
            parts.append(f"{outcome.label}: {', '.join(names)}")
    text = "; ".join(parts)
    if verdict.partly and verdict.first_bad is not None:
        text += f"; only its {verdict.bad_frames} frames from {verdict.first_bad:#x} on are affected"
    return text


def hits(case: Case, cause: Cause, reason: str, **changes: str) -> Iterator[Hit]:
    """Yield a hit for every BAR of a cause."""
    for judged in case.bars:
        if judged.cause is cause:
            yield Hit.at_bar(judged.bar, f"{reason}: {described(judged)}", **changes)


@finding(
    "XP101",
    "BAR past the end of the memory map",
    Severity.ERROR,
    why="Up to 3.15 the p2m has nothing there, so a page table entry made from the BAR's frame number "
    "becomes empty. Drivers that use ioremap and PCI sysfs pass _PAGE_IOMAP and get through; RDMA, uio, vfio "
    "and /dev/mem do not, and their user process is killed at its first access.",
    kernels="until 3.15; gone with patch 5 of the series (3.16)",
    example="RAM and reserved ranges end at 18 GiB and an InfiniBand adapter has its BAR at 224 GiB.",
    remedy=_BACKPORT,
    source="arch/x86/xen/setup.c, xen_memory_setup (3.15.5, 3.16.0)",
)
def bar_past_map(case: Case) -> Iterator[Hit]:
    """A memory BAR lies past the last entry of the E820 map, where this kernel's p2m is missing."""
    return hits(case, Cause.PAST_MAP, "past the end of the memory map")


@finding(
    "XP102",
    "mprotect takes a working BAR mapping away",
    Severity.WARNING,
    why="The mapping works only because its entry carries _PAGE_IOMAP. mprotect rebuilds entries from "
    "_PAGE_CHG_MASK, which does not hold that bit, so the new entry is looked up in the p2m, found missing, "
    "and becomes empty; on 32-bit it can come out with another address (see XP301).",
    kernels="until 3.15, and 3.16 and 3.17 where a frame is still missing; gone with patch 8 (3.18)",
    example="A user space driver maps resource0 of a BAR past the end of RAM and later makes it read-only.",
    remedy=_BACKPORT + " Until then do not call mprotect on the mapping.",
    source="asm/pgtable.h, pgprot_modify and pte_modify (3.15.5)",
)
def mprotect_loses_iomap(case: Case) -> Iterator[Hit]:
    """A BAR that PCI sysfs maps is lost when the process changes the protection of the mapping."""
    known: dict[FrameClass, str] = {}
    for judged in case.bars:
        first = judged.verdict.first_bad
        works = judged.verdict.mappers[Mapper.SYSFS] is Verdict.MAPS
        if first is None or not works or judged.cause is Cause.OWN_MEMORY:
            continue
        found, _ = frame_class(case.guest, first)
        if found not in known:
            known[found] = _lost_by_mprotect(case.guest, first)
        if known[found]:
            text = f"a PCI sysfs mapping works until mprotect, which {known[found]}"
            yield Hit.at_bar(
                judged.bar,
                f"{text}; {format_size(judged.bar.size)} at {judged.bar.start:#x}",
                remedy="Use a 64-bit kernel." if known[found] == _ELSEWHERE else "",
            )


def _lost_by_mprotect(guest: Guest, frame: int) -> str:
    ((mapping, _),) = map_guest_frame(guest, frame, [Mapper.SYSFS])
    after = mapping.protected_access
    if not mapping.reaches or after is None or after.mfn == frame:
        return ""
    return "leaves an empty entry" if after.mfn is None else _ELSEWHERE


@finding(
    "XP103",
    "BAR past the end of the p2m",
    Severity.ERROR,
    why="The three-level p2m holds 512 GiB (64-bit) or 4 TiB (32-bit) of frame numbers. Before patch 5 a "
    "lookup past that answers INVALID_P2M_ENTRY, whatever the memory map says.",
    kernels="until 3.15; gone with patch 5 of the series (3.16)",
    example="A GPU with a 64-bit BAR at 0x21fff000000 (2.1 TiB).",
    remedy="Use Linux 3.16 or later, or a kernel with patch 5 of the 2014 series; or let the firmware place "
    "64-bit BARs below 512 GiB.",
    source="arch/x86/xen/p2m.c, get_phys_to_machine (3.15.5, 3.16.0)",
)
def bar_past_p2m(case: Case) -> Iterator[Hit]:
    """A memory BAR lies past MAX_P2M_PFN, and this kernel takes such frames as missing."""
    limit = format_frames(case.config.arch.max_p2m_pfn)
    return hits(case, Cause.PAST_P2M, f"past the {limit} that the p2m can hold")


@finding(
    "XP104",
    "BAR past the kernel's page table frame mask",
    Severity.ERROR,
    why="The kernel keeps 46 bits of physical address in a page table entry, so a number past 64 TiB is cut "
    "or looked up wrongly.",
    kernels="until 4.13 (the release was not traced exactly: 46 bits in 4.4, 52 bits in 6.4)",
    example="A server with 52 address bits whose firmware places BARs at 0x800000000000 (128 TiB).",
    remedy="Use Linux 4.14 or later, or limit the firmware's 64-bit MMIO window to 64 TiB.",
    source="asm/page_types.h, __PHYSICAL_MASK_SHIFT (4.4.173, 6.4.0)",
)
def bar_past_frame_mask(case: Case) -> Iterator[Hit]:
    """A memory BAR of a 64-bit kernel has more address bits than the kernel's frame mask."""
    return hits(case, Cause.FRAME_MASK, f"past the {case.rules.pte_frame_end} address bits of a PTE")


@finding(
    "XP105",
    "BAR at an address that no processor has",
    Severity.ERROR,
    why="A page table entry holds 52 bits of physical address. The input is damaged, or the register was "
    "read while it was being sized.",
    kernels="all",
    example="A hand-typed lspci listing with a digit too many.",
    remedy="Read the BARs again: lspci -vv, or the resource files under /sys/bus/pci/devices.",
    source="Intel SDM volume 3, section 4.4",
)
def bar_past_hardware(case: Case) -> Iterator[Hit]:
    """A memory BAR lies past 4 PiB, which no entry can address."""
    return hits(case, Cause.HARDWARE, "beyond 52 address bits")


@finding(
    "XP107",
    "BAR in a hole that was not made 1:1",
    Severity.ERROR,
    why="Memory setup makes holes and reserved ranges 1:1 as it finds them in the sanitised map. A range "
    "that was dropped there, or whose frame numbers wrapped, is left out.",
    kernels="until 3.18",
    example="A 32-bit kernel, and a reserved entry that ends above 16 TiB.",
    remedy="See the findings on the memory map (XP5) and on 32-bit kernels (XP3) beside this one.",
    source="arch/x86/xen/setup.c, xen_set_identity_and_release (3.12.9)",
)
def bar_in_forgotten_hole(case: Case) -> Iterator[Hit]:
    """A memory BAR lies in a hole or reserved range of the map, and its frames are missing all the same."""
    return hits(case, Cause.NOT_MADE, "in a hole that memory setup left out")


@finding(
    "XP110",
    "1:1 range that reaches 512 GiB is ignored",
    Severity.ERROR,
    why="set_phys_range_identity refuses a range whose end is at or past MAX_P2M_PFN as a whole. From the "
    "last RAM of the map to its last entry nothing is 1:1 then; on a host without RAM above 4 GiB that is "
    "every device.",
    kernels="until 3.15; gone with patch 2 of the series (3.16)",
    example="An AMD host whose map has the reserved HyperTransport range 0xfd00000000-0xffffffffff.",
    remedy="Use Linux 3.16 or later, or a kernel with patch 2 of the 2014 series.",
    source="arch/x86/xen/p2m.c, set_phys_range_identity (3.15.5, 3.16.0)",
)
def identity_range_refused(case: Case) -> Iterator[Hit]:
    """The map has a hole or reserved range that reaches the end of the p2m, and this kernel ignores it."""
    limit = case.config.arch.max_p2m_pfn
    if case.guest.stopped or case.rules.clamp_identity_range or case.rules.structure is not Structure.TREE:
        return
    yield from hits(case, Cause.REFUSED, f"the 1:1 range around it reaches {format_frames(limit)}")
    if any(judged.cause is Cause.REFUSED for judged in case.bars):
        return
    for op in case.guest.ops:
        if op.kind is OpKind.IDENTITY and op.start < limit <= op.end < END_OF_FRAMES:
            text = "this 1:1 range is ignored; no BAR in the input lies in it"
            yield Hit.at_frames(op.start, op.end, text, severity=Severity.INFO)


@finding(
    "XP112",
    "Bridge window where a BAR would not map",
    Severity.INFO,
    why="BARs that are assigned later (hot-plug, SR-IOV, resizable BARs) come from the window of their host "
    "bridge, so they can land where this kernel's p2m is missing.",
    kernels="until 3.15; gone with patches 2 and 5 of the series (3.16)",
    example="A host bridge with a window from 0x380000000000 on, and nothing in it yet.",
    remedy=_BACKPORT,
    source="arch/x86/xen/setup.c and p2m.c (3.15.5)",
)
def window_does_not_map(case: Case) -> Iterator[Hit]:
    """A bridge forwards addresses that this kernel cannot map in every way, and no known BAR is there yet."""
    if case.guest.stopped or not case.config.is_dom0:
        return
    bars = [judged.bar for judged in case.bars]
    reported: list[tuple[int, int]] = []
    widest_first = sorted(case.prediction.machine.windows, key=lambda window: window.start - window.end)
    for window in widest_first:
        start, end = window.start >> PAGE_SHIFT, window.end >> PAGE_SHIFT
        if any(low <= window.start and window.end <= high for low, high in reported):
            continue
        if any(window.start <= bar.start < window.end for bar in bars):
            continue
        missing = [
            (at, min(until, end))
            for at, until, found in frame_classes(case.guest, start, end)
            if found.kind is Kind.MISSING and class_outcome(case.guest, found).worst is Verdict.FAILS
        ]
        if missing:
            reported.append((window.start, window.end))
            text = f"window of {window.bridge}: a BAR at {missing[0][0] << PAGE_SHIFT:#x} would not map"
            yield Hit.at_range(window.start, window.end, text)


@finding(
    "XP120",
    "Unmapping a BAR oopses on a hole in the M2P",
    Severity.ERROR,
    why="Unmapping reads the machine-to-physical table at the BAR's frame. Where Xen has no memory behind "
    "that part of the table the read faults; before patch 7 the kernel looks for a spurious fault first, "
    "walks page tables that belong to Xen, and oopses before it reaches the fixup.",
    kernels="patch 8 without patch 7 in dom0; until 3.17 in a domU; gone with patch 7 (3.18)",
    example="A kernel with a backport of patches 1 to 6 and 8, and a BAR in the hole below 4 GiB.",
    remedy="Take patch 7 (31668511424110) together with patch 8; or use Linux 3.18 or later.",
    source="arch/x86/mm/fault.c, spurious_fault (3.15.5, 3.18.0)",
)
def m2p_hole_oops(case: Case) -> Iterator[Hit]:
    """A user space mapping of a BAR makes the kernel read a hole in the machine-to-physical table."""
    for judged in case.bars:
        if judged.verdict.hazard:
            yield Hit.at_bar(judged.bar, judged.verdict.hazard.removesuffix("; fixed by patch 7"))
