"""Devices passed through to a PV domU: whether pcifront can claim their BARs in the guest's address space.

The guest keeps RAM and unusable memory of its map as resources of their own, and a BAR that overlaps one
cannot be claimed (arch/x86/kernel/e820.c and drivers/pci/xen-pcifront.c, Linux 3.12 and 6.1).  pcifront
then takes the device offline, and suggests e820_host=1 even where that is set.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from xenp2m.boot.guest import Guest
from xenp2m.boot.libxl import BALLOON_START
from xenp2m.machine import Bar, E820Entry, E820Type
from xenp2m.units import format_size


class Cause(Enum):
    """How memory of the guest came to lie over a BAR, and what helps."""

    PLAIN = "the domU has no holes: its RAM goes from 0 to maxmem=", "set e820_host=1"
    APPENDED = (
        "e820_host appends RAM at 4 GiB, whatever the host has there (libxl)",
        "set maxmem= to memory=, and keep memory= below the host's first hole",
    )
    FIRST_HOLE = (
        "e820_host lets RAM reach the host's first reserved range, over a gap that no entry of its map names",
        "keep memory= below the end of the host's RAM under 4 GiB",
    )
    FILLED = (
        "e820_host marks what lies below the host's first reserved range as unusable, gaps included",
        "pass the device to a domU of another type (HVM, PVH)",
    )

    @property
    def why(self) -> str:
        """The cause in words."""
        return self.value[0]

    @property
    def remedy(self) -> str:
        """What helps."""
        return self.value[1]


@dataclass(frozen=True, slots=True)
class ClaimConflict:
    """Memory of the guest over a BAR: ``entry`` of its final map, and the bytes ``[start, end)`` of both."""

    bar: Bar
    entry: E820Entry
    start: int
    end: int
    cause: Cause

    @property
    def text(self) -> str:
        """What becomes of the BAR, in a line."""
        what = "System RAM" if self.entry.is_ram else "Unusable memory"
        return (
            f"{self.bar.label}: pcifront cannot claim it, address conflict with {what} "
            f"[mem {self.entry.start:#x}-{self.entry.end - 1:#x}] over {format_size(self.end - self.start)}; "
            f"the device goes offline: {self.cause.why}; {self.cause.remedy}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the conflict as an element of ``passthrough`` in ``xenp2m.prediction/1``."""
        return {
            "bdf": self.bar.bdf,
            "index": self.bar.index,
            "entry": list(self.entry),
            "start": self.start,
            "end": self.end,
            "cause": self.cause.name.lower(),
            "why": self.cause.why,
            "remedy": self.cause.remedy,
        }


def claim_conflicts(guest: Guest, bars: Iterable[Bar]) -> tuple[ClaimConflict, ...]:
    """Return where the final map of a domU has RAM or unusable memory over BARs, in the order of these.

    Balloon space is RAM of that map.  Reserved ranges are not judged: whether they are resources by the time
    of the claim depends on the kernel's configuration.
    """
    found = []
    for bar in bars:
        for entry in guest.e820:
            start, end = max(bar.start, entry.start), min(bar.end, entry.end)
            if start < end and entry.type in (E820Type.RAM, E820Type.UNUSABLE):
                found.append(ClaimConflict(bar, entry, start, end, claim_of(guest, entry)))
    return tuple(found)


def claim_of(guest: Guest, entry: E820Entry) -> Cause:
    """Return how an entry of a domU's map, RAM or unusable, came to lie over a BAR."""
    given = guest.config.e820 or ()
    if all(item.is_ram for item in given):
        return Cause.PLAIN
    if not entry.is_ram:
        return Cause.FILLED
    return Cause.APPENDED if entry.start >= BALLOON_START else Cause.FIRST_HOLE
