"""XP21: what the domain builder put where the map has no RAM."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from xenp2m.boot import boot
from xenp2m.boot.e820 import is_reserved, sanitise, unusable_to_ram
from xenp2m.boot.guest import GuestConfig
from xenp2m.check.findings.model import Case, Hit, Severity
from xenp2m.check.findings.registry import finding
from xenp2m.rules import Conflicts
from xenp2m.units import PAGE_SHIFT

_STOPS = (
    "memory conflicts with E820 map",
    "E820 entry remapping action",
    "needed due to E820 map conflict",
)


def _parts(config: GuestConfig) -> Iterator[tuple[str, int, int]]:
    """Yield what the domain builder placed: name, start and size in bytes."""
    if config.kernel is not None:
        yield "kernel image", config.kernel[0], config.kernel[1] - config.kernel[0]
    if config.start_info is not None:
        yield "start info", config.start_info[0], config.start_info[1] - config.start_info[0]
    if config.page_tables is not None:
        yield "page tables", *config.page_tables
    if config.ramdisk is not None:
        yield "initrd", *config.ramdisk
    if config.p2m_frames is not None:
        first, count = config.p2m_frames
        yield "p2m list", first << PAGE_SHIFT, count << PAGE_SHIFT


def _in_conflict(config: GuestConfig) -> list[tuple[str, int, int]]:
    """Return the parts that do not lie in RAM of the map that the guest was given: name, start, end."""
    entries = [(entry.start, entry.end, entry.type) for entry in config.e820 or ()]
    if config.is_dom0:
        entries = unusable_to_ram(entries)
    ordered = sanitise(entries, 2 * len(entries))
    return [
        (name, start, start + size)
        for name, start, size in _parts(config)
        if ordered and is_reserved(ordered, start, size)
    ]


def stops_for_conflict(stopped: str | None) -> bool:
    """Whether a kernel stopped because of what the domain builder placed."""
    return stopped is not None and any(text in stopped for text in _STOPS)


@finding(
    "XP210",
    "Kernel image, page tables, initrd or p2m list conflict with the map",
    Severity.ERROR,
    why="Xen loads a PV kernel at fixed guest addresses, without looking at the host's map. Where that has "
    "ACPI NVS or reserved ranges the frames cannot stay, and the kernel stops. Linux 6.12 (and stable "
    "kernels with the same change) moves ACPI NVS ranges out of the way; reserved ranges it does not.",
    kernels="since 4.3; ACPI NVS until 6.11",
    example="A Threadripper board with ACPI NVS at 64 MiB, where the kernel image ends at 72 MiB.",
    remedy="Boot dom0 as PVH (dom0=pvh), or have the firmware place its ranges elsewhere.",
    source="arch/x86/xen/setup.c, xen_memory_setup (4.14, 6.1.192, 6.12)",
)
def builder_conflict(case: Case) -> Iterator[Hit]:
    """A part that the domain builder placed does not lie in RAM, and the kernel does not boot."""
    guest, rules = case.guest, case.rules
    if not stops_for_conflict(guest.stopped):
        return
    remedy = ""
    if rules.conflicts is Conflicts.MOVE_NVS:
        answer = "moving ACPI NVS ranges does not resolve it"
    elif boot(case.config, replace(rules, conflicts=Conflicts.MOVE_NVS)).stopped is None:
        answer = "a kernel that moves ACPI NVS ranges (6.12) resolves it"
        remedy = "Use Linux 6.12 or later, or boot dom0 as PVH (dom0=pvh)."
    else:
        answer = "a kernel that moves ACPI NVS ranges (6.12) does not resolve it either"
    for name, start, end in _in_conflict(case.config) or [("a part of the domain", 0, 0)]:
        text = f"{name} where the map has no RAM: {guest.stopped}; {answer}"
        yield Hit.at_range(start, end, text, remedy=remedy) if end else Hit(text, remedy=remedy)


@finding(
    "XP211",
    "Conflict with the map that the kernel does not notice",
    Severity.ERROR,
    why="This kernel does not check. The frames under holes and reserved ranges are given back or moved and "
    "their addresses become 1:1, so whatever the domain builder put there is lost or overlaid by a device.",
    kernels="until 4.2",
    example="Linux 3.15 on the board of XP210: part of the kernel image lies over ACPI NVS.",
    remedy="Use Linux 4.3 or later, which stops or moves what can be moved; 6.12 also moves ACPI NVS ranges.",
    source="arch/x86/xen/setup.c, xen_memory_setup (3.12.9, 3.18.0)",
)
def unnoticed_conflict(case: Case) -> Iterator[Hit]:
    """A part that the domain builder placed does not lie in RAM, and the kernel does not check that."""
    if case.rules.conflicts is Conflicts.UNCHECKED and case.guest.stopped is None:
        for name, start, end in _in_conflict(case.config):
            yield Hit.at_range(start, end, f"{name} where the map has no RAM")


@finding(
    "XP212",
    "Conflict with the map that the kernel resolves",
    Severity.INFO,
    why="The kernel copies the initrd or the p2m list to RAM, or gives ACPI NVS another guest address. Tools "
    "that expect a non-RAM address to be 1:1 do not find moved ACPI NVS there.",
    kernels="since 4.3; ACPI NVS since 6.12",
    example="The initrd of a 64 GiB dom0 lies over the ACPI tables at 3.6 GiB and is copied away.",
    remedy="Nothing has to be done.",
    source="arch/x86/xen/setup.c, xen_memory_setup; p2m.c, xen_do_remap_nonram (6.12)",
)
def resolved_conflict(case: Case) -> Iterator[Hit]:
    """The kernel moves the initrd, the p2m list or ACPI NVS out of a conflict with the map."""
    guest = case.guest
    if guest.stopped is not None:
        return
    if guest.initrd_moved is not None:
        start, end, to, _ = guest.initrd_moved
        yield Hit.at_range(start, end, f"the initrd is copied to {to:#x}")
    if guest.p2m_relocated is not None and case.config.p2m_frames is not None:
        first, count = case.config.p2m_frames
        yield Hit.at_frames(first, first + count, f"the p2m list is moved to {guest.p2m_relocated:#x}")
    if guest.log.remapped_nonram:
        yield Hit(f"{guest.log.remapped_nonram} frames of ACPI NVS get another guest address")
