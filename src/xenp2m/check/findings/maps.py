"""XP5: maps that kernels read differently from what they say, and captures that contradict themselves."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from xenp2m.boot.e820 import ADDRESS_MASK, RAM, Range, sanitise, unusable_to_ram
from xenp2m.boot.extra import SLOTS
from xenp2m.capture import Severity as NoteSeverity
from xenp2m.check.findings.model import Case, Hit, Severity
from xenp2m.check.findings.registry import finding
from xenp2m.check.places import given_map
from xenp2m.machine import MapSource, type_name
from xenp2m.units import format_size, pfn_down, pfn_up


@finding(
    "XP501",
    "Sanitising drops the top of the map",
    Severity.ERROR,
    why="Resolving overlaps can need more entries than the map had, and this kernel lets the result have "
    "only as many. What does not fit is lost from the top: RAM that is not used, or holes that are not 1:1.",
    kernels="until 4.2; later kernels pass the size of the table",
    example="RAM [0, 2 GiB) with a reserved range inside: the RAM above that range disappears.",
    remedy="Use Linux 4.3 or later, or have the firmware hand out a map without overlaps.",
    source="arch/x86/xen/setup.c, sanitize_e820_map with the entry count (3.12.9)",
)
def top_dropped(case: Case) -> Iterator[Hit]:
    """The map overlaps, and the sanitised map has no room for all the pieces."""
    entries = _ranges(case)
    if not case.rules.sanitise_to_entry_count or len(entries) < 2:
        return
    for start, end, kind in sanitise(entries, 2 * len(entries))[len(entries) :]:
        yield Hit.at_range(start, end, f"{type_name(kind)}, {format_size(end - start)}: dropped")


def _ranges(case: Case) -> list[Range]:
    entries: list[Range] = [(e.start, e.end & ADDRESS_MASK, e.type) for e in case.config.e820 or ()]
    return unusable_to_ram(entries) if case.config.is_dom0 and case.rules.unusable_is_ram else entries


@finding(
    "XP502",
    "More entries or regions than the kernel has room for",
    Severity.WARNING,
    why="The kernel's buffer for the host map, its own map and its list of extra memory are tables of fixed "
    "size. A host map that does not fit stops the boot; entries and regions past the other two are left out, "
    "with a line in the log for each.",
    kernels="all; the host map may have 128 entries before 4.3 and 320 since, the extra memory 128 regions",
    example="A firmware map of 160 entries and Linux 3.15.",
    remedy="Use Linux 4.3 or later; update firmware that fragments its map.",
    source="arch/x86/xen/setup.c, xen_memory_setup and xen_add_extra_mem (3.12.9, 6.4.0)",
)
def too_many_entries(case: Case) -> Iterator[Hit]:
    """The host map, the kernel's map or the list of extra memory does not fit into its table."""
    guest, given = case.guest, len(case.config.e820 or ())
    room = case.rules.host_map_entries
    if given > room:
        text = f"the host map has {given} entries, the kernel's buffer {room}: it does not boot"
        yield Hit(text, severity=Severity.ERROR)
    if guest.ignored_entries:
        yield Hit(f"{guest.ignored_entries} entries do not fit into the kernel's map")
    unplaced = sum("not enough extra memory regions" in line for line in guest.log.lines)
    if unplaced:
        yield Hit(f"{unplaced} regions of extra memory do not fit into its {SLOTS} slots")


@finding(
    "XP503",
    "RAM entry smaller than a page",
    Severity.WARNING,
    why="RAM is cut inwards to page edges, so such an entry ends before it starts. The kernel then refuses "
    "to sort and merge its final map, and the room of the entry counts as endless when frames are put back, "
    "which places them past it.",
    kernels="all",
    example="RAM [0x100000800, 0x100000c00) as the last entry of the map.",
    remedy="Have the firmware hand out whole pages; there is no kernel option for it.",
    source="arch/x86/kernel/e820.c, sanitize_e820_map; arch/x86/xen/setup.c (3.12.9, 6.4.0)",
)
def ram_below_a_page(case: Case) -> Iterator[Hit]:
    """A RAM entry of the map holds no whole page."""
    raw = any(entry.end < entry.start for entry in case.guest.e820)
    effect = "the kernel's final map stays unsorted" if raw else "it is ignored"
    entries = _ranges(case)
    for start, end, kind in sanitise(entries, 2 * len(entries)):
        if kind == RAM and start < end and pfn_up(start) > pfn_down(end):
            severity = None if raw else Severity.INFO
            yield Hit.at_range(start, end, f"RAM of {end - start} bytes: {effect}", severity=severity)


@finding(
    "XP504",
    "Map entries overlap",
    Severity.WARNING,
    why="Where entries of different types overlap, kernels take the higher type number, so RAM loses against "
    "anything. That is what firmware means only by luck.",
    kernels="all",
    example="RAM [1 MiB, 3 GiB) and reserved [0x7f000000, 0x80000000).",
    remedy="Update the firmware; compare the map with /proc/iomem to see what the kernel made of it.",
    source="arch/x86/kernel/e820.c, sanitize_e820_map (3.12.9), e820__update_table (6.4.0)",
    per_kernel=False,
)
def overlapping_entries(case: Case) -> Iterator[Hit]:
    """Two entries of the map overlap and are of different types."""
    for before, after in pairwise(sorted(case.prediction.machine.e820)):
        if after.start < before.end and after.type != before.type:
            text = f"{type_name(before.type)} and {type_name(after.type)} overlap"
            yield Hit.at_range(after.start, min(before.end, after.end), text)


@finding(
    "XP505",
    "No BARs in the captures",
    Severity.INFO,
    why="Without the devices' memory BARs nothing can be said about them.",
    kernels="all",
    example="A boot log that was cut after the memory map.",
    remedy="Add lspci -vv, the whole boot log, or /proc/iomem read as root.",
    source="-",
    per_kernel=False,
)
def no_bars(case: Case) -> Iterator[Hit]:
    """The captures hold a memory map and no memory BAR."""
    if not case.prediction.machine.bars:
        yield Hit("no BAR can be judged")


@finding(
    "XP506",
    "Map entry wraps past the end of the address space",
    Severity.ERROR,
    why="A start plus size past 2^64 makes the kernel refuse to sort, merge or resolve the map: it is used "
    "as the firmware wrote it, order and overlaps included.",
    kernels="all",
    example="A reserved entry that starts at 0xfffffffff0000000 with 512 MiB.",
    remedy="Update the firmware.",
    source="arch/x86/kernel/e820.c, sanitize_e820_map (3.12.9, 6.4.0)",
    per_kernel=False,
)
def wrapping_entry(case: Case) -> Iterator[Hit]:
    """An entry of the map ends at or past 2^64."""
    entries = given_map(case.guest)
    for entry in entries:
        if entry.end & ADDRESS_MASK < entry.start and len(entries) > 1:
            yield Hit(f"{type_name(entry.type)} from {entry.start:#x} wraps", f"{entry.start:#x}")


@finding(
    "XP507",
    "The captures are damaged or contradict each other",
    Severity.WARNING,
    why="What is predicted from them can be wrong in the same places.",
    kernels="all",
    example="A boot log with lines missing in its map, or lspci and dmesg of two boots.",
    remedy="Take all texts again, from one boot, and paste them unwrapped.",
    source="-",
    per_kernel=False,
)
def doubtful_capture(case: Case) -> Iterator[Hit]:
    """Reading the captures gave a warning."""
    for note in case.capture.notes:
        if note.severity is NoteSeverity.WARNING:
            yield Hit(note.text, note.where)


@finding(
    "XP508",
    "The map is not the firmware's",
    Severity.INFO,
    why="A dom0 kernel's final map does not show what the kernel dropped or merged: RAM that dom0 may never "
    "use is absent from it in most kernels since 4.3.",
    kernels="all",
    example="A dom0's dmesg without Xen's console log.",
    remedy="Add Xen's console log (xl dmesg), or a boot log of the same machine without Xen.",
    source="arch/x86/xen/setup.c, xen_memory_setup (6.4.0)",
    per_kernel=False,
)
def map_of_a_kernel(case: Case) -> Iterator[Hit]:
    """The only map in the captures is one that a dom0 kernel printed after its own memory setup."""
    if case.prediction.machine.e820_source is MapSource.DOM0_FINAL:
        yield Hit("predicted from a dom0 kernel's final map")


@finding(
    "XP509",
    "RAM past the highest address of the processor",
    Severity.WARNING,
    why="Such an entry cannot be RAM: the map or the processor's lines are of another machine, or damaged.",
    kernels="all",
    example="A processor with 39 address bits and RAM that ends at 1 TiB.",
    remedy="Take the map and the processor's lines from the same boot.",
    source="Intel SDM volume 3, section 4.1.4",
    per_kernel=False,
)
def ram_past_processor(case: Case) -> Iterator[Hit]:
    """The map has RAM above the physical address bits that the captures report."""
    bits = case.prediction.machine.physical_bits
    for entry in case.prediction.machine.e820 if bits else ():
        if bits and entry.is_ram and entry.end > 1 << bits:
            yield Hit.at_range(entry.start, entry.end, f"RAM past {bits} address bits")
