"""The texts of a system that readers take, put together from its files, and facts that stand in them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from xenp2m.capture.captured import Resizable
from xenp2m.capture.collect.system import System
from xenp2m.errors import UsageError
from xenp2m.machine import Machine, parse_bdf
from xenp2m.units import MIB

BANNER = b"Linux version "
"""How a kernel log starts."""
_VENDORS = {"GenuineIntel": "Intel", "AuthenticAMD": "AMD", "HygonGenuine": "Hygon"}
_WIDTHS = {"x86_64": 64, "i686": 32}
_CPU = {
    name: re.compile(rf"^{name}\s*: (.*)$", re.MULTILINE)
    for name in ("vendor_id", "cpu family", "address sizes")
}
_IO_APIC = re.compile(r"^ *([0-9a-f]+)-[0-9a-f]+ : IOAPIC \d+$", re.MULTILINE)
_LOCAL_APIC = re.compile(r"^ *([0-9a-f]+)-[0-9a-f]+ : Local APIC$", re.MULTILINE)
_DOM0_MEM = re.compile(rb"(?:^|\s)(dom0_mem=\S+)")
_INFO = re.compile(rb"^(xen_version|xen_commandline) *: *(.*)$", re.MULTILINE)
_RESIZE = re.compile(r"resource([0-5])_resize")
_BALLOON = "sys/devices/system/xen_memory/xen_memory0"
_BALLOON_FILES = ("info/current_kb", "info/low_kb", "info/high_kb", "target_kb")


def kernel_log(system: System) -> bytes:
    """Return this boot's kernel log from where it still has its first lines, else what there is."""
    best = b""
    for log in _logs(system):
        if BANNER in log:
            return log
        best = best or log
    return best


def _logs(system: System) -> Iterator[bytes]:
    messages = b"".join(_message(record) for record in system.kernel_messages().splitlines())
    yield messages or system.output("dmesg")
    yield system.output("journalctl", "-q", "-k", "-b", "-o", "cat", "--no-pager")
    saved = system.read("var/log/dmesg")
    release = system.text("proc/sys/kernel/osrelease").encode()
    # Systems that write this file no more leave their last one behind.
    yield saved if BANNER + release + b" " in saved else b""


def _message(record: bytes) -> bytes:
    """Return the text of a record of /dev/kmsg; lines that start with a blank are its fields."""
    if record.startswith(b" "):
        return b""
    _, semicolon, text = record.partition(b";")
    return (text if semicolon else record) + b"\n"


def firmware_map(system: System) -> bytes:
    """Return /sys/firmware/memmap, a line a range."""
    folder = "sys/firmware/memmap"
    rows = []
    for name in sorted((name for name in system.names(folder) if name.isdigit()), key=int):
        start, end, kind = (system.text(f"{folder}/{name}/{field}") for field in ("start", "end", "type"))
        if start and end and kind:
            rows.append(f"{name} {start} {end} {kind}\n")
    return "".join(rows).encode()


def pci_resources(system: System) -> bytes:
    """Return the resource files of every PCI function, each under a line with its address and class."""
    folder = "sys/bus/pci/devices"
    texts = []
    for name in system.names(folder):
        rows = system.text(f"{folder}/{name}/resource")
        if rows and _is_function(name):
            kind = system.text(f"{folder}/{name}/class") or "0x000000"
            texts.append(f"device {name} vendor 0x0 device 0x0 class {kind}\n{rows}\n")
    return "".join(texts).encode()


def resizable_bars(system: System) -> tuple[Resizable, ...]:
    """Return the BARs that can be resized: each file is a mask, whose bit n stands for 2^n MiB."""
    folder = "sys/bus/pci/devices"
    found = []
    for function in filter(_is_function, system.names(folder)):
        for name in system.names(f"{folder}/{function}"):
            match = _RESIZE.fullmatch(name)
            digits = system.text(f"{folder}/{function}/{name}") if match else ""
            if match and re.fullmatch("[0-9a-f]{1,16}", digits):
                mask = int(digits, 16)
                sizes = tuple(MIB << bit for bit in range(44) if mask >> bit & 1)
                found.append(Resizable(parse_bdf(function), int(match[1]), sizes))
    return tuple(found)


def _is_function(name: str) -> bool:
    try:
        parse_bdf(name)
    except UsageError:
        return False
    return True


def memory_figures(system: System) -> bytes:
    """Return /proc/meminfo and the balloon driver's figures."""
    rows = [system.read("proc/meminfo").decode("utf-8", "replace")]
    for name in _BALLOON_FILES:
        value = system.text(f"{_BALLOON}/{name}")
        if value:
            rows.append(f"xen_memory/xen_memory0/{name}: {value}\n")
    return "".join(rows).encode()


def hypervisor_settings(system: System) -> bytes:
    """Return what ``xl info`` tells of Xen's version and dom0_mem, in the words of Xen's console."""
    rows = []
    for match in _INFO.finditer(system.output("xl", "info")):
        if match[1] == b"xen_version":
            rows.append(b"(XEN) Xen version %s (xl info)\n" % match[2].strip())
        else:
            rows.append(b"(XEN) Command line: %s\n" % b" ".join(_DOM0_MEM.findall(match[2])))
    return b"".join(rows)


def facts(system: System, iomem: bytes) -> Machine:
    """Return what single files tell: kernel, width, processor, Xen's version, interrupt controllers."""
    cpuinfo = system.read("proc/cpuinfo").decode("utf-8", "replace")
    cpu = {name: match[1].strip() for name, pattern in _CPU.items() if (match := pattern.search(cpuinfo))}
    physical = re.match(r"(\d{1,3}) bits physical", cpu.get("address sizes", ""))
    family = cpu.get("cpu family", "")
    listing = iomem.decode("utf-8", "replace")
    io_apics = [address for digits in _IO_APIC.findall(listing) if (address := int(digits[:16], 16))]
    local = _LOCAL_APIC.search(listing)
    version = [system.text(f"sys/hypervisor/version/{part}") for part in ("major", "minor", "extra")]
    return Machine(
        kernel_release=system.text("proc/sys/kernel/osrelease") or None,
        bits=_WIDTHS.get(system.processor),
        cpu_vendor=_VENDORS.get(cpu.get("vendor_id", "")),
        cpu_family=int(family) if family.isdigit() and len(family) < 6 else None,
        physical_bits=int(physical[1]) if physical else None,
        io_apics=tuple(dict.fromkeys(io_apics)),
        local_apic=(int(local[1][:16], 16) or None) if local else None,
        xen_version=f"{version[0]}.{version[1]}{version[2]}" if version[0] else None,
    )
