"""XP13: what the 1:1 map costs, and what a shared 1:1 page breaks."""

from __future__ import annotations

from collections.abc import Iterator

from xenp2m.boot.memspec import NO_MAXIMUM
from xenp2m.check.findings.model import Case, Hit, Severity
from xenp2m.check.findings.registry import finding
from xenp2m.entry import Kind
from xenp2m.rules import Structure
from xenp2m.units import PAGE_SIZE, format_frames, format_size, pfn_down

_SPARE_PAIRS = 6
"""Pages that are reserved for the ends of ranges, beside those for the domain's own memory."""
_SECTION = 1 << 15
"""Frames of a memory section, 128 MiB: hot-plugged memory starts at such an edge."""


@finding(
    "XP130",
    "1:1 ranges need more p2m pages than are reserved at boot",
    Severity.WARNING,
    why="Without patch 3 every GiB (4 GiB on 32-bit) of a 1:1 range takes a mid page and a frame list page "
    "of the memory that is reserved for a domain's largest size. Past that reserve, extend_brk stops the "
    "kernel if nothing else has left room. Filling the range frame by frame also takes a fifth of a second.",
    kernels="until 3.15 and backports of patch 5 without patch 3; gone with patch 3 (3.16)",
    example="A backport of patches 2 and 5 only: everything from the end of RAM to 512 GiB is set 1:1.",
    remedy="Take patch 3 (3cb83e46d032) together with patches 2 and 5; or use Linux 3.16 or later.",
    source="arch/x86/xen/p2m.c, RESERVE_BRK and set_phys_range_identity (3.15.5)",
)
def too_many_mid_pages(case: Case) -> Iterator[Hit]:
    """The guest's own mid pages are more than the kernel reserves for them."""
    rules, arch = case.rules, case.config.arch
    if case.guest.stopped or rules.compact_mid or rules.structure is not Structure.TREE:
        return
    span = arch.pfns_per_mid
    reserved = arch.max_domain_pages // span + _SPARE_PAIRS // 2
    blocks = {
        block
        for start, end in case.guest.identity_calls
        for block in range(start // span, -(-min(end, arch.max_p2m_pfn) // span))
    }
    blocks |= set(range(-(-min(case.config.nr_pages, arch.max_domain_pages) // span)))
    if len(blocks) > reserved:
        size = format_size(2 * len(blocks) * PAGE_SIZE)
        yield Hit(
            f"{len(blocks)} mid pages and as many frame list pages ({size}); {reserved} of each are reserved"
        )


@finding(
    "XP131",
    "Rebuilding the frame list on resume needs boot memory",
    Severity.WARNING,
    why="A hole that covers a whole aligned GiB shares one mid page, without a frame list page of its own. "
    "After save, restore or migration the kernel walks the list up to its highest frame and takes one from "
    "boot memory, which a running kernel no longer has.",
    kernels="3.16 and 3.17; 3.18 builds the frame list from ordinary memory",
    example="A domU with memory on both sides of a hole from 3 to 5 GiB is migrated.",
    remedy="Use Linux 3.18 or later in guests that are saved or migrated, or give them no such hole.",
    source="arch/x86/xen/p2m.c, xen_build_mfn_list_list (3.16.0, 3.18.0)",
)
def resume_needs_brk(case: Case) -> Iterator[Hit]:
    """A domU has a whole aligned 1:1 GiB (4 GiB on 32-bit) between its first and its highest memory."""
    rules, guest = case.rules, case.guest
    if guest.stopped or case.config.is_dom0 or not (rules.compact_mid and rules.mid_mfn_in_brk):
        return
    span = case.config.arch.pfns_per_mid
    # Below nr_pages every mid page is the builder's own, whatever its entries have become.
    for run in guest.p2m.within(case.config.nr_pages, guest.max_p2m_pfn):
        start, end = -(-run.pfn // span) * span, run.end // span * span
        if run.kind is Kind.IDENTITY and start < end:
            text = f"1:1 below the guest's highest frame {guest.max_p2m_pfn:#x}"
            yield Hit.at_frames(start, end, f"{text}: rebuilding the frame list takes a page for it")


@finding(
    "XP132",
    "Memory that is added later is lost in the 1:1 map",
    Severity.WARNING,
    why="Storing a frame under the shared 1:1 leaf reports success and changes nothing. Memory past the "
    "domain's map can only come by hot-plug, after its last RAM, and since patch 5 all is 1:1 past the map.",
    kernels="3.16 to 3.18; the linear list of 3.19 stores it",
    example="dom0_mem=4G,max:64G on a host of 32 GiB, with CONFIG_XEN_BALLOON_MEMORY_HOTPLUG.",
    remedy="Keep the maximum within the host's RAM, or use Linux 3.19 or later.",
    source="arch/x86/xen/p2m.c, __set_phys_to_machine (3.16.0, 3.18.0); drivers/xen/balloon.c",
)
def hotplug_lost(case: Case) -> Iterator[Hit]:
    """The domain may grow past RAM and balloon space of its map, into frames that are 1:1."""
    rules, guest, config = case.rules, case.guest, case.config
    if guest.stopped or rules.structure is not Structure.TREE or not rules.identity_tail:
        return
    room = sum((end - start) // PAGE_SIZE for start, end in guest.extra)
    ram = guest.p2m.counts()[Kind.RAM]
    asked = min(config.max_reservation, config.arch.max_domain_pages)
    if config.max_reservation == NO_MAXIMUM:
        return
    last = max((pfn_down(entry.end) for entry in guest.e820 if entry.is_ram), default=0)
    start = -(-last // _SECTION) * _SECTION
    if any(run.kind is Kind.IDENTITY for run in guest.p2m.within(start, start + asked - ram - room)):
        yield Hit(
            f"the domain may grow to {format_frames(asked)}, but RAM and balloon space of its map end at "
            f"{format_frames(ram + room)}"
        )
