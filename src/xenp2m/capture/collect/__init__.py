"""The collector: what prediction needs of a running system, and nothing that tells whose it is.

Texts are read by the readers of ``xenp2m.capture`` and only the numbers that they find are kept: no line of a
log, no command line but its memory limits, no names, serial numbers or network addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from xenp2m.capture import dmesg, formats, iomem, meminfo, memmap, pci_resource, xen_console
from xenp2m.capture.captured import Collected, Lack, SystemKind
from xenp2m.capture.collect import sources
from xenp2m.capture.collect.system import System
from xenp2m.capture.merge import Part, merge
from xenp2m.capture.model import Capture, Reading
from xenp2m.capture.text import load
from xenp2m.errors import InputError
from xenp2m.machine import MapSource

__all__ = ["collect"]

_FACTS = "system files"
_GUESTS = {"PV": SystemKind.PV, "HVM": SystemKind.HVM, "PVH": SystemKind.PVH}
_ADDRESS = re.compile(rb"^ *0*[1-9a-f][0-9a-f]*-", re.MULTILINE)
"""A line of /proc/iomem with an address: the kernel prints zeros to whom it does not trust with them."""


def collect(root: Path = Path("/")) -> Collected:
    """Collect from the running system, or from a recording of one below ``root`` (see System).

    Needs no privilege; ``lacks`` of the result says what it would add.  Raises InputError when ``root`` is no
    system, and what the readers raise for texts that are damaged.
    """
    system = System(root)
    if not system.names("proc"):
        raise InputError("no system to read", where=str(root), expected="a folder with proc and sys in it")
    log, iomem_text = sources.kernel_log(system), system.read("proc/iomem")
    parts = list(_parts(system, log, iomem_text))
    kind = _kind(system, any(part.reading.is_xen_pv for part in parts))
    facts = Reading(
        format=_FACTS,
        facts=sources.facts(system, iomem_text),
        is_xen_pv=kind.is_pv,
        is_domu=kind is SystemKind.PV,
    )
    capture = merge([*parts, Part(_FACTS, facts, 9)])
    return Collected(
        system=kind,
        capture=capture,
        resizable=sources.resizable_bars(system),
        lacks=tuple(_lacks(kind, capture, log, iomem_text)),
    )


def _parts(system: System, log: bytes, iomem_text: bytes) -> Iterator[Part]:
    texts: tuple[tuple[str, tuple[str, ...], bytes], ...] = (
        ("xl dmesg", (xen_console.NAME,), system.output("xl", "dmesg") if _is_dom0(system) else b""),
        ("xl info", (xen_console.NAME,), sources.hypervisor_settings(system) if _is_dom0(system) else b""),
        ("kernel log", (dmesg.NAME, meminfo.NAME), log),
        ("/sys/firmware/memmap", (memmap.NAME,), sources.firmware_map(system)),
        ("/proc/iomem", (iomem.NAME,), iomem_text),
        ("PCI functions", (pci_resource.NAME,), sources.pci_resources(system)),
        ("/proc/meminfo", (meminfo.NAME,), sources.memory_figures(system)),
    )
    for name, wanted, data in texts:
        if data.strip():
            text = load(data, name)
            for item in formats.detect(text):
                if item.name in wanted:
                    yield Part(name, item.read(text, None), item.bar_rank)


def _is_dom0(system: System) -> bool:
    return "control_d" in system.text("proc/xen/capabilities")


def _kind(system: System, logged_pv: bool) -> SystemKind:
    """Say what the system is; kernels before 4.13 do not tell the kind of guest, and have no PVH dom0."""
    guest = _GUESTS.get(system.text("sys/hypervisor/guest_type"))
    if _is_dom0(system):
        return SystemKind.PVH_DOM0 if guest is SystemKind.PVH else SystemKind.DOM0
    if guest is SystemKind.PV or (guest is None and logged_pv):
        # Only dom0 has ACPI; its xenfs, which says control_d, need not be mounted.
        return SystemKind.DOM0 if system.names("sys/firmware/acpi") else SystemKind.PV
    if guest is not None:
        return guest
    return SystemKind.GUEST if system.text("sys/hypervisor/type") == "xen" else SystemKind.NO_XEN


def _lacks(kind: SystemKind, capture: Capture, log: bytes, iomem_text: bytes) -> Iterator[Lack]:
    machine, more = capture.machine, not _ADDRESS.search(iomem_text)
    if not machine.e820:
        yield Lack(
            "map", "a memory map: /sys/firmware/memmap, the start of the kernel log or /proc/iomem", more
        )
    if kind is SystemKind.DOM0 and machine.e820_source is not MapSource.XEN:
        yield Lack("xen", "Xen's own map and dom0's memory settings: xl dmesg from its start, xl info", more)
    if kind is SystemKind.PV:
        yield Lack("host", "the host: a guest sees its own map only; capture in dom0 as well")
    if kind.is_pv and sources.BANNER not in log:
        yield Lack("log", "the start of the kernel log: what the kernel did with its memory", more)
    if not machine.io_apics and iomem_text and more:
        yield Lack("iomem", "the addresses in /proc/iomem, of interrupt controllers among others", more)
    if not machine.bars:
        yield Lack("bars", "PCI functions with memory: none in /sys/bus/pci")
