"""XP3: what 32-bit kernels cannot address, or address wrongly without saying so."""

from __future__ import annotations

from collections.abc import Iterator

from xenp2m.boot.guest import OpKind
from xenp2m.check.findings.bars import hits
from xenp2m.check.findings.causes import Cause
from xenp2m.check.findings.model import Case, Hit, Severity
from xenp2m.check.findings.registry import finding
from xenp2m.check.places import given_map
from xenp2m.units import PAGE_SHIFT, TIB, format_frames

_WRAP = 16 * TIB
_64BIT = "Use a 64-bit kernel."


@finding(
    "XP301",
    "32-bit: BAR past 4 TiB maps to the wrong address",
    Severity.ERROR,
    why="The p2m word of a 1:1 frame is its number with bit 30 set. Frame numbers from 4 TiB on use bits 30 "
    "and 31 themselves, and turning the word into a machine frame clears both: the entry stays present and "
    "reaches an address that is lower by a multiple of 4 TiB.",
    kernels="3.18 and later; 3.16 and 3.17 for mappings without _PAGE_IOMAP; before, such mappings fail",
    example="A BAR at 5 TiB, mapped by a 32-bit dom0: the driver reads and writes at 1 TiB.",
    remedy=_64BIT,
    source="arch/x86/xen/mmu.c, pte_pfn_to_mfn (3.18.0)",
)
def marker_bits(case: Case) -> Iterator[Hit]:
    """A BAR lies past 4 TiB, where the frame number reaches into the marker bits of its p2m word."""
    return hits(case, Cause.MARKER_BITS, "past 4 TiB the marker bits take part of the address")


@finding(
    "XP302",
    "32-bit: BAR past 16 TiB",
    Severity.ERROR,
    why="Frame numbers are unsigned long: 32 bits of 4 KiB frames end at 16 TiB, and what is above is cut "
    "off.",
    kernels="all 32-bit kernels",
    example="A server that places 64-bit BARs at 0x380000000000 (56 TiB).",
    remedy=_64BIT,
    source="asm/xen/page.h, pfn_to_mfn (3.15.5)",
)
def frame_number_cut(case: Case) -> Iterator[Hit]:
    """A BAR lies past the last frame that a 32-bit number can name."""
    return hits(case, Cause.FRAME_WRAPS, "past 16 TiB the frame number is cut to 32 bits")


@finding(
    "XP310",
    "32-bit: map entry past 16 TiB makes low memory 1:1",
    Severity.ERROR,
    why="The 1:1 range past the map starts at the frame in which its last entry ends. Cut to 32 bits that is "
    "a low frame, and everything from there on becomes 1:1: the kernel's own RAM is overwritten in the p2m.",
    kernels="since 3.16 (patch 5)",
    example="A reserved entry [0xfd00000000, 0x100000001000) in the map of a 32-bit dom0.",
    remedy=_64BIT,
    source="arch/x86/xen/setup.c, xen_memory_setup (3.16 tail call)",
)
def wrapped_tail(case: Case) -> Iterator[Hit]:
    """The map of a 32-bit guest ends above 16 TiB, and its 1:1 tail starts at the wrapped frame."""
    guest, arch = case.guest, case.config.arch
    last = max(given_map(guest), key=lambda entry: entry.end, default=None)
    if arch.bits != 32 or guest.stopped or not case.rules.identity_tail or last is None or last.end < _WRAP:
        return
    start = (last.end >> PAGE_SHIFT) & arch.word_mask
    tails = [op for op in guest.ops if op.kind is OpKind.IDENTITY and op.start == start]
    overwritten = max(0, case.config.nr_pages - start)
    if tails and overwritten:
        text = f"ends past 16 TiB: {overwritten} frames of RAM ({format_frames(overwritten)}) become 1:1"
        yield Hit.at_range(last.start, last.end, text)


@finding(
    "XP311",
    "32-bit: RAM past 4 TiB cannot be told from 1:1 frames",
    Severity.WARNING,
    why="The p2m word of a machine frame past 4 TiB has bit 30 or 31 set, which mark 1:1 and foreign frames. "
    "If Xen gave the guest such a frame it would be taken for I/O memory.",
    kernels="all 32-bit kernels",
    example="A host with RAM at 4 TiB and a 32-bit domain.",
    remedy=_64BIT,
    source="asm/xen/page.h, IDENTITY_FRAME_BIT (3.15.5)",
)
def ram_with_marker_bits(case: Case) -> Iterator[Hit]:
    """The host of a 32-bit guest has RAM past 4 TiB."""
    arch = case.config.arch
    limit = arch.identity_bit << PAGE_SHIFT
    if arch.bits == 32:
        for entry in given_map(case.guest):
            if entry.is_ram and entry.end > limit:
                yield Hit.at_range(max(entry.start, limit), entry.end, "host RAM past 4 TiB")
