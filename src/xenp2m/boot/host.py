"""From a machine to the inputs of a boot: what Xen adds to the map for dom0, and how much memory dom0 gets.

What the machine does not say is assumed, and every assumption is reported.
Source of the ranges: XENMEM_machine_memory_map in xen/arch/x86/mm.c and dom0_setup_permissions in
xen/arch/x86/dom0_build.c (Xen 4.17).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from xenp2m.arch import X86_64, Arch, arch_of
from xenp2m.boot.e820 import RAM, RESERVED, UNUSABLE, unusable_to_ram
from xenp2m.boot.guest import GuestConfig
from xenp2m.boot.memspec import NO_MAXIMUM, MemorySpec
from xenp2m.errors import MissingFactError
from xenp2m.machine import E820Entry, Machine, MapSource
from xenp2m.units import GIB, PAGE_SHIFT, PAGE_SIZE, format_frames

LOCAL_APIC = 0xFEE0_0000
MSI_WINDOW = 0xFEE0_0000, 0xFEF0_0000
IO_APIC = 0xFEC0_0000
HYPERTRANSPORT_BITS = 40
HYPERTRANSPORT_SIZE = 12 * GIB

_AMD_FAMILIES_OF_40_BITS = (0x0F, 0x14, 0x16)

_XEN_BYTES_PER_FRAME = 40
_XEN_FIXED_PAGES = 1024

_XEN_WITHOUT_MSI_WINDOW = ("3.", "4.0", "4.1.", "4.1-")
"""Versions that keep the local APIC's page only: a 4.1.5 log shows it, a 4.12 log shows the window."""


@dataclass(frozen=True, slots=True)
class Assumption:
    """Something that a prediction rests on and that the machine's texts do not say outright.

    ``source`` is "assumed", "estimated" or "seen in log".  ``start`` and ``end`` are the byte range that it
    is about, None where it is about something else.
    """

    what: str
    why: str
    source: str = "assumed"
    start: int | None = None
    end: int | None = None

    @property
    def reason(self) -> str:
        """Where it holds and why, without what it is."""
        place = "" if self.start is None or self.end is None else f"{self.start:#x}-{self.end - 1:#x}, "
        seen = "" if self.source == "assumed" else f" ({self.source})"
        return f"{place}{self.why}{seen}"

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}"


def host_map(
    machine: Machine, *, seen_reserved: Iterable[tuple[int, int]] = ()
) -> tuple[tuple[E820Entry, ...], tuple[Assumption, ...]]:
    """Return the map as Xen hands it to dom0, and what had to be assumed of it.

    ``seen_reserved`` are byte ranges ``(start, end)`` that a dom0 was seen to keep reserved.  Where the map
    is not one that dom0 was given, the ranges that Xen keeps from dom0 are put into its gaps as reserved.
    Raises MissingFactError for a machine without a usable map.
    """
    if not machine.e820 or machine.e820_source in (MapSource.PHYSMEM, MapSource.GUEST):
        raise MissingFactError("no memory map of the host", where=machine.name)
    if machine.e820_source is MapSource.DOM0:
        return machine.e820, ()
    if machine.e820_source is MapSource.DOM0_FINAL:
        why = "it is what a dom0 kernel made of Xen's map: its unusable ranges are taken as RAM again"
        final = Assumption("the host map", why, "seen in log")
        return tuple(E820Entry(*entry) for entry in unusable_to_ram(machine.e820)), (final,)
    kept = list(_kept_ranges(machine))
    kept += [
        Assumption("reserved for dom0", "a dom0 log shows it", "seen in log", start, end)
        for start, end in seen_reserved
    ]
    entries = sorted(machine.e820) if machine.e820_source is MapSource.IOMEM else list(machine.e820)
    added = []
    for assumption in sorted(kept, key=lambda kept: (kept.start or 0, -(kept.end or 0))):
        pieces = reserve_gaps(entries, assumption.start or 0, assumption.end or 0)
        entries = sorted([*entries, *pieces])
        if pieces:
            added.append(assumption)
    return tuple(entries), tuple(added)


def _kept_ranges(machine: Machine) -> Iterable[Assumption]:
    """Yield the ranges that Xen lets dom0 not map.

    The HyperTransport range is in dom0's map only where something that dom0 may map follows it, so not where
    it ends the address space: always since family 17h, and with addresses of 40 bits before.
    """
    apic = machine.local_apic if machine.local_apic is not None else LOCAL_APIC
    if not (machine.xen_version or "").startswith(_XEN_WITHOUT_MSI_WINDOW):
        yield Assumption("reserved for dom0", "Xen keeps the MSI window", "assumed", *MSI_WINDOW)
    yield Assumption("reserved for dom0", "Xen keeps the local APIC", "assumed", apic, apic + PAGE_SIZE)
    if machine.io_apics:
        for address in machine.io_apics:
            why = "Xen keeps the IO-APICs, and its log names this one"
            yield _page("seen in log", address, why)
    else:
        yield _page("assumed", IO_APIC, "Xen keeps the IO-APICs; the first one is usually here")
    for address in machine.iommus:
        yield _page("seen in log", address, "Xen keeps the registers of IOMMUs, and its log names this one")
    if machine.cpu_vendor in ("AMD", "AuthenticAMD") and (machine.cpu_family or 0x17) < 0x17:
        narrow = machine.cpu_family in _AMD_FAMILIES_OF_40_BITS
        if (machine.physical_bits or (40 if narrow else 48)) > HYPERTRANSPORT_BITS:
            end = 1 << HYPERTRANSPORT_BITS
            why = "Xen keeps the HyperTransport range on AMD processors before family 17h"
            yield Assumption("reserved for dom0", why, "assumed", end - HYPERTRANSPORT_SIZE, end)


def _page(source: str, address: int, why: str) -> Assumption:
    start = address & -PAGE_SIZE
    return Assumption("reserved for dom0", why, source, start, start + PAGE_SIZE)


def reserve_gaps(entries: Iterable[E820Entry], start: int, end: int) -> list[E820Entry]:
    """Return reserved entries for the whole pages of ``[start, end)`` bytes that no entry touches."""
    pieces = []
    for entry in sorted(entries):
        if entry.start >= end:
            break
        if entry.end <= start:
            continue
        stop = entry.start & -PAGE_SIZE
        if stop > start:
            pieces.append(E820Entry(start, stop, RESERVED))
        start = (entry.end + PAGE_SIZE - 1) & -PAGE_SIZE
    if start < end:
        pieces.append(E820Entry(start, end, RESERVED))
    return pieces


def available_pages(machine: Machine) -> int:
    """Estimate the frames that Xen has left for dom0: RAM without its own image and its tables of frames.

    The numbers fit boots of Xen 4.17; the parts that follow from vCPUs and IOMMU are not counted.
    """
    ram = sum(entry.size for entry in machine.e820 if entry.type in (RAM, UNUSABLE)) >> PAGE_SHIFT
    return max(1, ram - (ram * _XEN_BYTES_PER_FRAME >> PAGE_SHIFT) - _XEN_FIXED_PAGES)


def dom0_config(
    machine: Machine,
    *,
    dom0_mem: MemorySpec | None = None,
    arch: Arch | None = None,
    ibft: bool = True,
    seen_reserved: Iterable[tuple[int, int]] = (),
) -> tuple[GuestConfig, tuple[Assumption, ...]]:
    """Return the inputs of dom0's boot on a machine, and what had to be assumed.

    ``dom0_mem`` replaces what the machine says of dom0's memory; without either, dom0 gets what Xen gives by
    default.  ``arch`` replaces the machine's width (64 bits where it says none).  ``ibft`` is
    CONFIG_ISCSI_IBFT_FIND, which distributions set.  Raises MissingFactError for a machine without a map.
    """
    entries, assumptions = host_map(machine, seen_reserved=seen_reserved)
    nr_pages, max_reservation, guesses = _memory(machine, dom0_mem)
    config = GuestConfig(
        nr_pages=nr_pages,
        e820=entries,
        arch=arch or (arch_of(machine.bits) if machine.bits else X86_64),
        max_reservation=max_reservation,
        kernel=machine.kernel,
        start_info=machine.start_info,
        page_tables=_start_size(machine.page_tables),
        p2m_frames=None if dom0_mem else _frames(machine.p2m_list),
        ibft=ibft,
        mem_limit=machine.mem_limit,
    )
    return config, (*assumptions, *guesses)


def _memory(machine: Machine, asked: MemorySpec | None) -> tuple[int, int, list[Assumption]]:
    guesses: list[Assumption] = []
    spec = asked or MemorySpec.parse(machine.dom0_mem or "0")
    nr_pages, maximum = spec.resolve(available_pages(machine))
    if asked is None:
        if machine.max_reservation is not None:
            maximum = machine.max_reservation
        if machine.nr_pages is not None:
            return machine.nr_pages, maximum, guesses
    fixed = spec.size is not None and spec.size.pages == nr_pages and not spec.size.percent
    if not fixed:
        given = spec.size is not None and (spec.size.pages or spec.size.percent)
        guesses.append(
            Assumption(
                f"dom0 starts with {format_frames(nr_pages)} ({nr_pages} frames)",
                f"dom0_mem={spec.text}" if given else "what Xen gives it without dom0_mem=",
                "estimated",
            )
        )
    if maximum == NO_MAXIMUM and asked is None and machine.dom0_mem is None:
        guesses.append(Assumption("dom0 has no maximum", "no dom0_mem=max: is known"))
    return nr_pages, maximum, guesses


def _start_size(extent: tuple[int, int] | None) -> tuple[int, int] | None:
    return None if extent is None else (extent[0], extent[1] - extent[0])


def _frames(extent: tuple[int, int] | None) -> tuple[int, int] | None:
    if extent is None:
        return None
    first = extent[0] >> PAGE_SHIFT
    return first, -(-extent[1] // PAGE_SIZE) - first
