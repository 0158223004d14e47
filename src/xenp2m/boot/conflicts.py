"""What the domain builder put where the host map has no RAM: moved away, or the end of the boot.

Source: arch/x86/xen/setup.c of Linux 4.14, 6.1 and 6.12.
"""

from __future__ import annotations

from xenp2m.boot.e820 import NVS, RAM, Range, is_reserved, sanitise
from xenp2m.boot.setup import BootStopsError, Setup
from xenp2m.rules import Conflicts
from xenp2m.units import GIB, MIB, PAGE_SHIFT, PAGE_SIZE

MAX_NVS_MOVES = 4

_LEAF_TABLE = 2 * MIB
_MIDDLE_TABLE = GIB
_UPPER_TABLE = 512 * GIB


def builder_parts(setup: Setup) -> list[tuple[str, int, int]]:
    """Return the parts that cannot be moved, as ``(name, start, size)`` in bytes."""
    config = setup.config
    parts = []
    if config.kernel is not None:
        parts.append(("kernel", config.kernel[0], config.kernel[1] - config.kernel[0]))
    if config.start_info is not None and setup.rules.conflicts is Conflicts.MOVE_NVS:
        parts.append(("xen_start_info", config.start_info[0], config.start_info[1] - config.start_info[0]))
    if config.page_tables is not None:
        parts.append(("page table", *config.page_tables))
    return parts


def move_nvs(setup: Setup) -> None:
    """Move ACPI NVS entries away from each part, then stop the boot if anything else is in its way."""
    for name, start, size in builder_parts(setup):
        _resolve(setup, start, size)
        if is_reserved(setup.host, start, size):
            raise _conflict("xen_chk_is_e820_usable", name)


def check(setup: Setup) -> None:
    """Stop the boot if a part does not lie in RAM."""
    for name, start, size in builder_parts(setup):
        if is_reserved(setup.host, start, size):
            raise _conflict("xen_memory_setup" if name == "kernel" else "xen_pt_check_e820", name)


def _conflict(function: str, name: str) -> BootStopsError:
    return BootStopsError(f"{function}: BUG: Xen hypervisor allocated {name} memory conflicts with E820 map")


def _resolve(setup: Setup, start: int, size: int) -> None:
    index = 0
    while size and index < len(setup.host):
        entry_start, entry_end, kind = setup.host[index]
        if entry_start >= start + size:
            return
        if entry_end > start and kind == NVS:
            _swap(setup, index)
        index += 1


def _swap(setup: Setup, index: int) -> None:
    """Exchange an NVS entry with the end of the first RAM entry with room for it past the domain's RAM."""
    host = setup.host
    nvs_start, nvs_end, kind = host[index]
    start = nvs_start & -PAGE_SIZE
    size = (nvs_end - start + PAGE_SIZE - 1) & -PAGE_SIZE
    ram_end = setup.nr_pages << PAGE_SHIFT
    room = (
        other
        for other, (ram_start, end, ram_kind) in enumerate(host)
        if ram_kind == RAM and end - ram_start >= size and end - size >= ram_end
    )
    other = next(room, None)
    if other is None:
        raise BootStopsError(
            "xen_e820_swap_entry_with_ram: BUG: "
            "No suitable area found for required E820 entry remapping action"
        )
    if len(setup.nvs_moves) == MAX_NVS_MOVES:
        raise BootStopsError(
            "xen_add_remap_nonram: BUG: Number of required E820 entry remapping actions exceed maximum value"
        )
    to = host[other][1] - size
    host[other] = host[other][0], to, RAM
    host[index] = start, start + size, RAM
    host.append((to + nvs_start - start, to + nvs_end - start, kind))
    setup.nvs_moves.append((to >> PAGE_SHIFT, start >> PAGE_SHIFT, size >> PAGE_SHIFT))
    setup.host = sanitise(
        host, setup.rules.host_map_entries, persistent_kept_apart=setup.rules.persistent_kept_apart
    )


def move_p2m_list_and_initrd(setup: Setup) -> None:
    """Move the builder's p2m list and the initrd into RAM, or stop the boot where there is no place."""
    config = setup.config
    taken = [(start, start + size) for _, start, size in builder_parts(setup)]
    taken += setup.extra.regions()
    if config.ramdisk is not None:
        start, size = config.ramdisk
        taken.append((start, (start + size + PAGE_SIZE - 1) & -PAGE_SIZE))
    if config.p2m_frames is not None:
        first, count = config.p2m_frames
        start, size = first << PAGE_SHIFT, count << PAGE_SHIFT
        if is_reserved(setup.host, start, size):
            wanted = _list_pages(config.nr_pages) << PAGE_SHIFT
            place = find_free(setup.host, wanted, [*taken, (start, start + size)])
            if not place:
                raise BootStopsError(
                    "xen_relocate_p2m: BUG: "
                    "Can't find new memory area for p2m needed due to E820 map conflict"
                )
            setup.p2m_relocated = place
            start, size = place, wanted
        taken.append((start, start + size))
    if config.ramdisk is not None and is_reserved(setup.host, *config.ramdisk):
        start, size = config.ramdisk
        place = find_free(setup.host, size, taken)
        if not place:
            raise BootStopsError(
                "xen_memory_setup: BUG: Can't find new memory area for initrd needed due to E820 map conflict"
            )
        setup.initrd_moved = start, start + size, place, place + size
        setup.lines.append(
            f"initrd moved from [mem {start:#010x}-{start + size:#010x}]"
            f" to [mem {place:#010x}-{place + size:#010x}]"
        )


def _list_pages(nr_pages: int) -> int:
    """Count the pages of a p2m list of 8-byte words and of the page tables that map it."""
    size = nr_pages * 8
    return sum(-(-size // unit) for unit in (PAGE_SIZE, _LEAF_TABLE, _MIDDLE_TABLE, _UPPER_TABLE))


def find_free(entries: list[Range], size: int, taken: list[tuple[int, int]]) -> int:
    """xen_find_free_area: the first place of ``size`` bytes in RAM, in page steps from each entry's start.

    ``taken`` are the byte ranges that memblock has reserved.  0 means that there is none, or that it is at 0.
    """
    in_order = sorted(taken)
    for entry_start, entry_end, kind in entries:
        if kind != RAM or entry_end - entry_start < size:
            continue
        start = entry_start
        for taken_start, taken_end in in_order:
            if taken_end > start and taken_start < start + size:
                start += (taken_end - start + PAGE_SIZE - 1) & -PAGE_SIZE
        if start + size <= entry_end:
            return start
    return 0
