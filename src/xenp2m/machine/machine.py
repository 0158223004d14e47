"""Machine: everything that firmware and hypervisor say, and nothing that a kernel decides."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from xenp2m.display import Pictured
from xenp2m.machine.e820 import E820Entry
from xenp2m.machine.pci import Bar, Window


class MapSource(Enum):
    """Whose E820 a machine carries."""

    XEN = "xen"
    """Xen's own map, from its console: what firmware gave, without the ranges that dom0 may not map."""
    DOM0 = "dom0"
    """The map as XENMEM_machine_memory_map hands it to dom0."""
    DOM0_FINAL = "dom0-final"
    """The map that a dom0 kernel printed after its own memory setup."""
    FIRMWARE = "firmware"
    """The firmware's map as a bare-metal kernel printed it."""
    IOMEM = "iomem"
    """Rebuilt from the top level of /proc/iomem."""
    GUEST = "guest"
    """The map that a domU is given."""
    PHYSMEM = "physmem"
    """RAM only, as FreeBSD lists its physical memory chunks: no map to predict from."""


@dataclass(frozen=True, slots=True)
class Machine(Pictured):
    """One machine as firmware and hypervisor describe it.

    ``e820`` is in the order of its source and not sanitised; ``e820_source`` says whose map it is.
    ``nr_pages`` is the number of frames that dom0 (or the guest) starts with and ``max_reservation`` the
    number that it may grow to, both in frames and None where the input does not say.
    ``io_apics``, ``iommus`` (their registers) and ``local_apic`` are byte addresses.
    ``kernel``, ``start_info``, ``page_tables`` and ``p2m_list`` are where the domain builder put these parts
    of dom0, as guest-physical byte ranges ``(start, end)``; ``p2m_list`` is None when it has its own area.
    ``mem_limit`` is the kernel's ``mem=`` in bytes.
    """

    e820: tuple[E820Entry, ...] = ()
    e820_source: MapSource = MapSource.FIRMWARE
    bars: tuple[Bar, ...] = ()
    windows: tuple[Window, ...] = ()
    nr_pages: int | None = None
    max_reservation: int | None = None
    dom0_mem: str | None = None
    xen_version: str | None = None
    kernel_release: str | None = None
    bits: int | None = None
    cpu_vendor: str | None = None
    cpu_family: int | None = None
    physical_bits: int | None = None
    io_apics: tuple[int, ...] = ()
    iommus: tuple[int, ...] = ()
    local_apic: int | None = None
    kernel: tuple[int, int] | None = None
    start_info: tuple[int, int] | None = None
    page_tables: tuple[int, int] | None = None
    p2m_list: tuple[int, int] | None = None
    mem_limit: int | None = None
    name: str = ""
