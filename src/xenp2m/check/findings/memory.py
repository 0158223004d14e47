"""XP20 and XP22: BARs over memory, and frames that memory setup gives away, loses or forbids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from xenp2m.boot import boot
from xenp2m.boot.guest import Origin, Placement
from xenp2m.boot.memspec import NO_MAXIMUM
from xenp2m.boot.setup import EXTRA_MEM_RATIO, limit_pages
from xenp2m.check.bars import frame_classes
from xenp2m.check.findings.bars import described, hits
from xenp2m.check.findings.causes import Cause
from xenp2m.check.findings.model import Case, Hit, Severity
from xenp2m.check.findings.registry import finding
from xenp2m.check.places import Place, given_map
from xenp2m.entry import Kind
from xenp2m.mmu.convert import ISA_END, ISA_START
from xenp2m.rules import HoleFrames
from xenp2m.units import PAGE_SIZE, format_frames, format_size, pfn_down, pfn_up

_NOT_OF_HOST = (Cause.OWN_MEMORY, Cause.FRAME_WRAPS, Cause.FRAME_MASK)
"""Causes of BARs whose frame, or the number that is left of it, says nothing of the host's RAM."""


@finding(
    "XP201",
    "BAR over the guest's own memory",
    Severity.ERROR,
    why="The p2m answers with the guest's RAM, so a mapping of the BAR reaches that RAM instead of the "
    "device; in balloon space it answers nothing, until the balloon driver puts RAM there.",
    kernels="all",
    example="A register that was assigned over RAM because lines are missing from the memory map.",
    remedy="Check that the map is whole and that the BAR has really been assigned there (lspci -vv).",
    source="arch/x86/xen/mmu.c, pte_pfn_to_mfn (3.15.5, 6.4.0)",
)
def bar_over_memory(case: Case) -> Iterator[Hit]:
    """A memory BAR lies where dom0 has RAM or balloon space."""
    if case.config.is_dom0:
        yield from hits(case, Cause.OWN_MEMORY, "over the domain's own memory")


@finding(
    "XP202",
    "BAR in host RAM",
    Severity.WARNING,
    why="Firmware says RAM where a device says it has a register. One of the two texts is of another boot or "
    "machine, or the firmware map is wrong.",
    kernels="all",
    example="lspci of one boot beside a dmesg of another, taken after a firmware update.",
    remedy="Take all texts from the same boot; if they agree, update the firmware.",
    source="arch/x86/pci/i386.c, pcibios_allocate_resources: such a BAR conflicts with System RAM",
)
def bar_in_host_ram(case: Case) -> Iterator[Hit]:
    """A memory BAR lies in RAM of the host's map that dom0 was not given."""
    for judged in case.bars:
        if judged.cause in _NOT_OF_HOST or not case.config.is_dom0:
            continue
        bar = judged.bar
        places = (found.place for _, _, found in frame_classes(case.guest, bar.pfn_start, bar.pfn_end))
        if Place.RAM in places:
            failing = Severity.ERROR if judged.cause is Cause.HOST_RAM else None
            yield Hit.at_bar(bar, f"in host RAM: {described(judged)}", severity=failing)


@finding(
    "XP220",
    "mem= removes frames that memory setup moves to",
    Severity.ERROR,
    why="mem= cuts the finished map, but the frames from under the holes are moved to the RAM above the "
    "domain's own, and later than that. The kernel dies in xen_remap_memory.",
    kernels="since 3.19",
    example="dom0_mem=2G with the kernel option mem=2048M: the 106 frames moved above 2 GiB are cut off.",
    remedy="Remove mem= from the kernel's command line and limit dom0 with Xen's dom0_mem=.",
    source="arch/x86/xen/setup.c, xen_remap_memory (6.1.192), and a log of 5.16",
)
def mem_cuts_targets(case: Case) -> Iterator[Hit]:
    """The kernel's mem= option removes RAM that the frames from under the holes are moved to."""
    limit = case.config.mem_limit
    if limit is not None and (case.guest.stopped or "").startswith("xen_remap_memory: mem="):
        yield Hit(f"the kernel stops: {case.guest.stopped}", f"mem={format_size(limit)}")


@finding(
    "XP221",
    "Search for remap targets stops at a RAM entry that is full",
    Severity.WARNING,
    why="The search takes a RAM entry that ends exactly where the next target would be, finds no room in it, "
    "and gives up instead of going on. The frames from under the holes are released instead of moved.",
    kernels="3.18; later kernels ask for an end past the target",
    example="dom0_mem=3G on a host whose low RAM ends at 3 GiB.",
    remedy="Use Linux 3.19 or later, or a dom0_mem= after which the RAM entry has room for all that moves.",
    source="arch/x86/xen/setup.c, xen_find_pfn_range (3.18.0)",
)
def target_search_stops(case: Case) -> Iterator[Hit]:
    """Frames from under the holes are given back although there is room to move them to."""
    needless = _released_by_search(case)
    if needless:
        yield Hit(f"{needless} frames ({format_frames(needless)}) are released although the map has room")


def _released_by_search(case: Case) -> int:
    rules, guest = case.rules, case.guest
    if guest.stopped or not rules.remap_target_may_end_at_last or not guest.log.unable_to_find:
        return 0
    fixed = boot(case.config, replace(rules, remap_target_may_end_at_last=False))
    return guest.ballooned - fixed.ballooned if fixed.stopped is None else 0


@finding(
    "XP222",
    "RAM off a page edge stops the kernel in xen_del_extra_mem",
    Severity.ERROR,
    why="A RAM entry past the domain's memory that starts off a page edge holds a frame less than the kernel "
    "counts. One frame of extra memory is never used up, empty entries fill the table, and when the moved "
    "frames are taken out of the extra memory a BUG_ON stops the boot.",
    kernels="since 4.3 (read in 6.1 and 6.4)",
    example="Host RAM that goes on at 0x100000400, and dom0_mem= with a finite maximum below it.",
    remedy="Give dom0 memory up to the end of a RAM entry, or cut the entry to page edges in the firmware.",
    source="arch/x86/xen/setup.c, xen_memory_setup and xen_del_extra_mem (6.4.0)",
)
def unaligned_extra_memory(case: Case) -> Iterator[Hit]:
    """Unaligned RAM past the domain's memory makes the kernel miscount its extra memory."""
    stopped = case.guest.stopped or ""
    if not stopped.startswith("xen_del_extra_mem") or not case.rules.extra_in_frames:
        return
    ram_end = case.config.nr_pages * PAGE_SIZE
    odd = [e for e in given_map(case.guest) if e.is_ram and e.start % PAGE_SIZE and e.start >= ram_end]
    text = f"the kernel stops: {stopped}"
    if odd:
        yield Hit.at_range(odd[0].start, odd[0].end, f"RAM that starts off a page edge: {text}")
    else:
        yield Hit(text)


@finding(
    "XP223",
    "Frames are released and not replaced",
    Severity.WARNING,
    why="Xen puts part of the domain's frames under holes of the map. They are given back; where the map has "
    "no RAM past the domain's own to put others, the domain starts with less than it was given. With balloon "
    "space in its map the balloon driver can ask for them again.",
    kernels="since 3.5; for older kernels see XP227",
    example="A dom0 with all of the host's memory: nothing is left above it for the frames of the PCI hole.",
    remedy="Leave Xen some memory, with a dom0_mem= that is smaller than the host by the size of its holes.",
    source="arch/x86/xen/setup.c, xen_populate_chunk (3.12.9) and xen_set_identity_and_remap (6.4.0)",
)
def released_frames(case: Case) -> Iterator[Hit]:
    """The domain starts with fewer frames than it was given."""
    guest = case.guest
    gone = guest.ballooned - _released_by_search(case)
    if guest.stopped or gone <= 0 or guest.rules.holes is HoleFrames.RELEASE:
        return
    room = sum(max(0, end - start) // PAGE_SIZE for start, end in guest.extra)
    text = f"{gone} frames ({format_frames(gone)}) of {format_frames(case.config.nr_pages)} are given back"
    remedy = "" if case.config.is_dom0 else "Keep memory= below the host's first hole."
    if room >= gone:
        yield Hit(f"{text}; the balloon driver can get them back", severity=Severity.INFO, remedy=remedy)
    else:
        space = f"balloon space for {format_frames(room)} only" if room else "no balloon space"
        yield Hit(f"{text}; the map has {space}", remedy=remedy)


@finding(
    "XP224",
    "Frames that the kernel cannot use",
    Severity.WARNING,
    why="The domain was given more frames than its map has room for, or frames were put past the RAM of the "
    "map. They stay allocated and are in no map; since patch 5 those past the map are made 1:1.",
    kernels="all",
    example="dom0_mem=9.5G on a host whose map ends at 9 GiB.",
    remedy="Give the domain less memory than its map has RAM.",
    source="arch/x86/xen/setup.c, xen_memory_setup (3.12.9, 6.4.0)",
)
def unusable_frames(case: Case) -> Iterator[Hit]:
    """Some of the domain's frames have no place in the kernel's memory map."""
    guest, config = case.guest, case.config
    if guest.stopped or config.mem_limit is not None:
        return
    end_of_map = max((pfn_down(entry.end) for entry in given_map(guest)), default=0)
    forgotten = 0
    if guest.rules.identity_tail and config.e820 is not None:
        past = max(0, config.nr_pages - end_of_map)
        forgotten = sum(
            run.pages for run in guest.p2m.within(end_of_map, end_of_map + past) if run.kind is Kind.IDENTITY
        )
    lost = _outside_map(case, guest.placements) - _moved_without_room(case) + forgotten
    if lost:
        yield Hit(f"{lost} frames ({format_frames(lost)}) are in no RAM of the kernel's map")


def _outside_map(case: Case, placements: Iterable[Placement]) -> int:
    """Count the placed frames below the kernel's limit that its map does not have as RAM.

    The ISA range of a domU is RAM in its p2m and reserved in every map, and ACPI NVS that was moved keeps its
    frames without being RAM: neither is lost.
    """
    limit = limit_pages(case.config, case.rules)
    ram = [(pfn_up(entry.start), pfn_down(entry.end)) for entry in case.guest.e820 if entry.is_ram]
    ram.append((ISA_START, ISA_END))
    lost = 0
    for place in placements:
        if place.origin is not Origin.HOST:
            stop = min(place.end, limit)
            covered = sum(max(0, min(end, stop) - max(start, place.start)) for start, end in ram)
            lost += max(0, stop - place.start) - covered
    return lost


def _moved_without_room(case: Case) -> int:
    if case.rules.holes is not HoleFrames.MOVE_LATER or case.rules.room_for_moved:
        return 0
    return _outside_map(case, (place for place in case.guest.placements if place.base != place.start))


@finding(
    "XP225",
    "Domain larger than the kernel accepts",
    Severity.WARNING,
    why="The kernel keeps a domain to a size that it was built for and ignores the frames past it, which no "
    "other domain can have.",
    kernels="500 GiB (64 GiB on 32-bit) until 4.2; 64 TiB since, and 512 GiB for a domU",
    example="A host of 1.5 TiB without dom0_mem=, and Linux 3.15: dom0 uses 500 GiB and Xen has none left.",
    remedy="Limit dom0 with dom0_mem=; give a domU above 512 GiB the option xen_512gb_limit=0.",
    source="arch/x86/xen/setup.c, MAX_DOMAIN_PAGES (3.12.9) and xen_get_pages_limit (6.4.0)",
)
def domain_too_large(case: Case) -> Iterator[Hit]:
    """The domain starts with more frames than the kernel's limit."""
    given, limit = case.config.nr_pages, limit_pages(case.config, case.rules)
    if given > limit:
        text = f"given {format_frames(given)}, the kernel uses {format_frames(limit)}"
        yield Hit(f"{text}: {given - limit} frames are out of use")


@finding(
    "XP226",
    "Balloon space is held at ten times the initial memory",
    Severity.WARNING,
    why="The kernel needs memory for the pages that it may get later, so it accepts extra memory of at most "
    "ten times its initial size (on 32-bit: ten times what of it is lowmem). The maximum that was asked for "
    "cannot be reached.",
    kernels="all",
    example="dom0_mem=512M,max:16G: dom0 can grow to 5.5 GiB; as much a domU of memory=512, maxmem=16384.",
    remedy="Start the domain with more memory: at least an eleventh of its maximum.",
    source="arch/x86/xen/setup.c, EXTRA_MEM_RATIO (3.12.9, 6.4.0)",
)
def balloon_clamped(case: Case) -> Iterator[Hit]:
    """A finite maximum is more than eleven times the memory that the domain starts with."""
    guest, config = case.guest, case.config
    if guest.stopped or not 0 < config.max_reservation < NO_MAXIMUM:
        return
    ram = sum(entry.size for entry in given_map(guest) if entry.is_ram) // PAGE_SIZE
    base = config.nr_pages
    if config.arch.bits == 32:
        base = min(base, config.maxmem // PAGE_SIZE)
    asked, most = min(config.max_reservation, ram), config.nr_pages + EXTRA_MEM_RATIO * base
    if asked > most:
        text = f"may grow to {format_frames(asked)}, starts with {format_frames(config.nr_pages)}"
        yield Hit(f"{text}: balloon space ends at {format_frames(most)}")


@finding(
    "XP227",
    "dom0 gives up memory that it could have kept",
    Severity.INFO,
    why="This kernel gives the frames under the holes back and asks for none in their place. The balloon "
    "driver gets them back when the toolstack sets dom0's target.",
    kernels="until 3.4; 3.5 asks for as many frames above",
    example="dom0_mem=4G on a PC with a hole of 1 GiB below 4 GiB: Linux 3.2 starts with 3 GiB.",
    remedy="Use Linux 3.5 or later, or raise dom0_mem= by the size of the holes.",
    source="arch/x86/xen/setup.c, xen_set_identity_and_release (3.4.5)",
)
def no_repopulation(case: Case) -> Iterator[Hit]:
    """Holes of the map lie under the domain's frames, and the kernel does not ask for others."""
    guest = case.guest
    if guest.stopped is None and guest.rules.holes is HoleFrames.RELEASE and guest.ballooned:
        yield Hit(f"{guest.ballooned} frames ({format_frames(guest.ballooned)}) are given back")


@finding(
    "XP228",
    "No room in the map for the frames that move",
    Severity.ERROR,
    why="This kernel moves the frames from under the holes past the domain's RAM, but makes no room for them "
    "in its map: what it may grow to is all the room that there is. Frames that move past that are in use "
    "and in no RAM of the map, and where balloon space ends among them a BUG_ON stops the boot.",
    kernels="3.19 to 4.2, as one text of these has it, whose exact release is not known",
    example="dom0_mem=4G,max:4G: the 1 GiB from under the PCI hole is lost to dom0.",
    remedy="Use Linux 4.3 or later, or a maximum that is larger than the size by what lies under holes.",
    source="arch/x86/xen/setup.c, xen_memory_setup and xen_remap_memory (between 3.19 and 4.2)",
)
def no_room_for_moved(case: Case) -> Iterator[Hit]:
    """Frames are moved to where the kernel's map has no RAM, because their room is not counted."""
    stopped = case.guest.stopped or ""
    if stopped.startswith("xen_del_extra_mem") and not case.rules.extra_in_frames:
        yield Hit(f"the kernel stops: {stopped}")
    lost = 0 if stopped else _moved_without_room(case)
    if lost:
        text = f"{lost} frames ({format_frames(lost)}) move past the RAM of the kernel's map"
        yield Hit(text, severity=Severity.WARNING)
