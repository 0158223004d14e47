"""A capture as a text for pasting into a mail: in the words of kernel and Xen, so that it reads back."""

from __future__ import annotations

import re
from collections.abc import Iterator

from xenp2m.capture.captured import Collected, SystemKind
from xenp2m.capture.model import MemoryFigures, Observed
from xenp2m.machine import Bar, E820Entry, E820Type, Machine, MapSource, Window, type_name
from xenp2m.units import PAGE_SIZE

_WHO = {MapSource.DOM0_FINAL: "Xen", MapSource.GUEST: "Xen"}
_BASE = 0xFFFFFFFF80000000
"""Where the initial mapping of a PV kernel starts; only differences to it are told."""
_BUS = re.compile("[0-9a-f]{4,8}:[0-9a-f]{2}")
_IOMEM_NAMES: dict[int, str] = {
    E820Type.RAM: "System RAM",
    E820Type.ACPI: "ACPI Tables",
    E820Type.NVS: "ACPI Non-volatile Storage",
    E820Type.UNUSABLE: "Unusable memory",
    E820Type.PMEM: "Persistent Memory",
    E820Type.PRAM: "Persistent Memory (legacy)",
    E820Type.SOFT_RESERVED: "Soft Reserved",
}
_FIGURES = {
    "mem_total_kb": "MemTotal: {} kB",
    "direct_map_kb": "DirectMap4k: {} kB",
    "present_kb": "Memory: 0K/{}K available (Xen)",
}


def pasted(collected: Collected) -> str:
    """Return the text: short lines without a comment, a fact each."""
    capture, machine = collected.capture, collected.capture.machine
    lines = [f"xenp2m capture: {collected.system.value}"]
    lines += _xen(machine)
    lines += _kernel(machine, pv=collected.system.is_pv)
    if collected.system is SystemKind.PV:
        lines.append("ACPI in unprivileged domain disabled")
    if machine.e820_source is MapSource.IOMEM:
        lines += _iomem(machine.e820)
    elif machine.e820_source is not MapSource.XEN:
        lines += _linux_map(machine.e820, _WHO.get(machine.e820_source, "BIOS-e820"))
    if capture.dom0_final is not None and machine.e820_source is not MapSource.DOM0_FINAL:
        lines += _linux_map(capture.dom0_final, "Xen")
    if capture.observed is not None:
        lines += _observed(capture.observed)
    lines += map(_bar, machine.bars)
    lines += map(_window, machine.windows)
    if capture.memory is not None and collected.system.is_pv:
        lines += _figures(capture.memory)
    return "".join(f"{line}\n" for line in lines)


def _xen(machine: Machine) -> Iterator[str]:
    if machine.xen_version:
        yield f"(XEN) Xen version {machine.xen_version}"
    if machine.dom0_mem:
        yield f"(XEN) Command line: dom0_mem={machine.dom0_mem}"
    if machine.e820_source is MapSource.XEN:
        yield "(XEN) Xen-e820 RAM map:"
        for start, end, kind in machine.e820:
            yield f"(XEN)  [{start:016x}, {end - 1:016x}] ({type_name(kind)})"
    if machine.kernel:
        start, end = machine.kernel
        yield f"(XEN) Dom0 kernel: {machine.bits or 64}-bit, paddr {start:#x} -> {end:#x}"
    if machine.nr_pages:
        yield f"(XEN)  Dom0 alloc.:   0->{machine.nr_pages * PAGE_SIZE:x}"
    spans = {
        "Phys-Mach map": machine.p2m_list,
        "Start info": machine.start_info,
        "Page tables": machine.page_tables,
    }
    for name, span in spans.items():
        if span:
            yield f"(XEN)  {name}: {_BASE + span[0]:016x}->{_BASE + span[1]:016x}"
    if any(spans.values()):
        yield f"(XEN)  TOTAL: {_BASE:016x}->{_BASE + (1 << 22):016x}"


def _kernel(machine: Machine, *, pv: bool) -> Iterator[str]:
    if machine.kernel_release:
        yield f"Linux version {machine.kernel_release} ()"
    if machine.mem_limit is not None:
        yield f"Command line: mem={machine.mem_limit}"
    if pv:
        yield "Booting paravirtualized kernel on Xen"
    if machine.bits:
        yield f"max_arch_pfn = {0x400000000 if machine.bits == 64 else 0x1000000:#x}"
    if machine.cpu_vendor and machine.cpu_family is not None:
        yield f"CPU0: {machine.cpu_vendor} (family: {machine.cpu_family:#x})"
    if machine.physical_bits:
        yield f"DMAR: Host address width {machine.physical_bits}"
    for number, address in enumerate(machine.io_apics):
        yield f"IOAPIC[{number}]: apic_id {number}, version 0, address {address:#x}"
    if machine.local_apic:
        yield f"Local APIC address {machine.local_apic:#x}"


def _linux_map(entries: tuple[E820Entry, ...], who: str) -> Iterator[str]:
    for start, end, kind in entries:
        yield f"{who}: [mem {start:#018x}-{end - 1:#018x}] {type_name(kind)}"


def _iomem(entries: tuple[E820Entry, ...]) -> Iterator[str]:
    for start, end, kind in entries:
        yield f"{start:08x}-{end - 1:08x} : {_IOMEM_NAMES.get(kind, 'Reserved')}"


def _observed(observed: Observed) -> Iterator[str]:
    for word, done, ranges in (
        ("Freeing", "freed", observed.freed),
        ("Populating", "added", observed.populated),
    ):
        for start, end, pages in ranges:
            yield f"{word} {start:x}-{end:x} pfn range: {pages} pages {done}"
    for start, end in observed.identity_ranges:
        yield f"1-1 mapping on {start:x}->{end:x}"
    if observed.released is not None:
        yield f"Released {observed.released} page(s)"
    if observed.set_identity is not None:
        yield f"Set {observed.set_identity} page(s) to 1-1 mapping"
    if observed.remapped is not None:
        last = "" if observed.last_pfn is None else f", last_pfn={observed.last_pfn}"
        yield f"Remapped {observed.remapped} page(s){last}"
    if observed.remapped_nonram is not None:
        yield f"Remapped {observed.remapped_nonram} non-RAM page(s)"
    for _ in range(observed.unable_to_find):
        yield "Unable to find available pfn range, not remapping identity pages"
    if observed.initrd_moved is not None:
        a, b, c, d = observed.initrd_moved
        yield f"initrd moved from [mem {a:#x}-{b:#x}] to [mem {c:#x}-{d:#x}]"
    if observed.p2m_area_bytes is not None:
        yield f"p2m virtual area at 0, size is {observed.p2m_area_bytes:x}"
    if observed.e820_last_pfn is not None:
        yield f"last_pfn = {observed.e820_last_pfn:#x} max_arch_pfn"
    if observed.ramdisk is not None:
        yield f"RAMDISK: [mem {observed.ramdisk[0]:#x}-{observed.ramdisk[1] - 1:#x}]"


def _bar(bar: Bar) -> str:
    flags = f"{' 64bit' if bar.is_64bit else ''}{' pref' if bar.prefetchable else ''}"
    place = f"[mem {bar.start:#010x}-{bar.end - 1:#010x}{flags}]"
    if bar.index == 6:
        return f"pci {bar.bdf}: ROM {place}"
    if bar.index is not None and bar.index > 6:
        return f"pci {bar.bdf}: VF BAR {bar.index - 7} {place}"
    return f"pci {bar.bdf}: BAR {bar.index or 0} {place}"


def _window(window: Window) -> str:
    place = f"[mem {window.start:#010x}-{window.end - 1:#010x}]"
    if _BUS.fullmatch(window.bridge):
        return f"pci_bus {window.bridge}: root bus resource {place}"
    return f"pci {window.bridge}:   bridge window {place}"


def _figures(figures: MemoryFigures) -> Iterator[str]:
    for name in MemoryFigures.__dataclass_fields__:
        value = getattr(figures, name)
        if value is not None:
            yield _FIGURES.get(name, f"xen_memory/{name}: {{}}").format(value)
