"""E820 entries and their types."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class E820Type(IntEnum):
    """Types of the E820 map (ACPI specification, and Linux for those past 7)."""

    RAM = 1
    RESERVED = 2
    ACPI = 3
    NVS = 4
    UNUSABLE = 5
    PMEM = 7
    PRAM = 12
    RESERVED_KERN = 128
    SOFT_RESERVED = 0xEFFFFFFF


_NAMES = {
    E820Type.RAM: "usable",
    E820Type.RESERVED: "reserved",
    E820Type.ACPI: "ACPI data",
    E820Type.NVS: "ACPI NVS",
    E820Type.UNUSABLE: "unusable",
    E820Type.PMEM: "persistent (type 7)",
    E820Type.PRAM: "persistent (type 12)",
    E820Type.RESERVED_KERN: "usable",
    E820Type.SOFT_RESERVED: "soft reserved",
}


def type_name(number: int) -> str:
    """Return the type as Linux prints it: "usable", "reserved", ..., "type 20"."""
    return _NAMES.get(E820Type(number), "") if number in _NAMES else f"type {number}"


class E820Entry(NamedTuple):
    """One range of the map: bytes ``[start, end)`` and the type number."""

    start: int
    end: int
    type: int

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.end - self.start

    @property
    def is_ram(self) -> bool:
        """Whether the type is usable RAM."""
        return self.type == E820Type.RAM
