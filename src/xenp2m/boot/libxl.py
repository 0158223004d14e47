"""The memory map that the toolstack gives to a PV domU with ``e820_host``.

Source: tools/libs/light/libxl_x86.c of Xen 4.17 (the same rules in 4.2 to 4.20).
"""

from __future__ import annotations

from collections.abc import Iterable

from xenp2m.boot.e820 import ADDRESS_MASK, RAM, UNUSABLE
from xenp2m.errors import UsageError
from xenp2m.machine import E820Entry
from xenp2m.units import GIB, KIB, MIB

BALLOON_START = 4 * GIB
"""Where RAM that found no room below is appended.

It was meant to follow the highest host entry that is not RAM, but the expression that computes that address
yields a truth value, so it is always 4 GiB, whatever the host has there.
"""


def libxl_e820_host(
    host_map: Iterable[E820Entry], memory_kib: int, maxmem_kib: int, slack_kib: int = 0
) -> tuple[E820Entry, ...]:
    """Return the map of a PV domU that is given the host's holes.

    ``host_map`` is the map as XENMEM_machine_memory_map hands it to dom0; ``memory_kib``, ``maxmem_kib`` and
    ``slack_kib`` are the domain's memory=, maxmem= and video or slack memory.  The result is neither sorted
    nor merged; entry ends are exclusive.  Raises UsageError when maxmem= is below memory=, or memory= is 0.
    """
    if not 0 < memory_kib <= maxmem_kib:
        raise UsageError(
            "impossible domU memory",
            expected="0 < memory <= maxmem",
            found=f"{memory_kib} KiB, {maxmem_kib} KiB",
        )
    kept = [entry for entry in host_map if entry.start > MIB]
    first_hole = min(
        (entry.start for entry in kept if entry.type not in (0, RAM, UNUSABLE)), default=ADDRESS_MASK
    )
    memory = memory_kib * KIB
    ram_end = memory
    if first_hole > KIB:
        ram_end = min(memory, first_hole & -KIB)
    others = list(_without_ram(kept, ram_end))
    guest = [E820Entry(0, ram_end, RAM)]
    if first_hole > ram_end:
        filler = E820Entry(ram_end, first_hole, UNUSABLE)
        at = next(
            (
                index
                for index, entry in enumerate(others)
                if entry.type == UNUSABLE and entry.start == ram_end
            ),
            None,
        )
        if at is None:
            guest.append(filler)
        else:
            others[at] = filler
    guest += others
    appended = memory - ram_end + (maxmem_kib - memory_kib + slack_kib) * KIB
    if appended:
        guest.append(E820Entry(BALLOON_START, BALLOON_START + appended, RAM))
    return tuple(guest)


def _without_ram(entries: Iterable[E820Entry], ram_end: int) -> Iterable[E820Entry]:
    """Yield what the guest sees of the host: holes as they are, and host RAM below 4 GiB as unusable."""
    for entry in entries:
        if entry.type in (0, UNUSABLE) or entry.end < ram_end:
            continue
        if entry.type != RAM:
            yield entry
        elif entry.start < BALLOON_START and entry.end > ram_end:
            yield E820Entry(max(entry.start, ram_end), entry.end, UNUSABLE)
