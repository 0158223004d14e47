"""Linux boot logs: the memory map, the PCI functions, and what a Xen PV kernel did with its memory.

Map lines come from arch/x86/kernel/e820.c: ``BIOS-e820: 0000... - 0000... (usable)`` with exclusive ends up
to 3.4, ``BIOS-e820: [mem 0x...-0x...] usable`` with inclusive ends from 3.5, ``[gap ...]`` lines and other
type words in 7.0.  The prefix says whose map it is: ``BIOS-...`` firmware's, ``Xen`` the final map of a Xen
PV kernel; ``user:``, ``modified:`` and ``reserve setup_data:`` are the kernel's edits of firmware's.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

from xenp2m.capture.maplines import CUT, TYPE, Group, Located, choose, group, make_entry, type_number
from xenp2m.capture.model import FoundMap, Note, Reading, Severity
from xenp2m.capture.pcilog import PciLog, read_pci
from xenp2m.capture.setuplog import read_setup
from xenp2m.capture.text import HEAD, Text, joined, quote_depth
from xenp2m.errors import UsageError
from xenp2m.machine import E820Entry, Machine, MapSource
from xenp2m.units import MIB, PAGE_SHIFT, parse_size

NAME = "Linux boot log"
_MARKERS = (
    b"-e820: ",
    b"Linux version ",
    b"Xen: [mem ",
    b"Xen: 0000",
    b": reg ",
    b": BAR ",
    b": VF BAR ",
    b": ROM [mem ",
    b"bit mmio",
)

_BANNER = re.compile(rb"Linux version (\d+\.\d+\S*) \(")
_WHO = re.compile(rb"(?<![\w-])(BIOS-e820|BIOS-e801|BIOS-88|Xen): +(?=\[mem|[0-9a-f]{8,}(?: -|\s*$)|\[$|$)")
_NEW = re.compile(rb"\[mem\s+0x([0-9a-f]+)\s*-\s*0x([0-9a-f]+)\]\s+" + TYPE)
_OLD = re.compile(rb"([0-9a-f]{8,})\s+-\s+([0-9a-f]{8,})\s+" + TYPE)
_MEM = re.compile(rb"\smem=((?:0x[0-9a-fA-F]{1,16}|\d{1,15})[KMGTkmgt]?)")
"""As memparse() reads it: what follows the number and its unit does not count."""
_CPU = re.compile(
    rb"CPU0: (?:[^\n(]{0,40}?\b(Intel|AMD|Hygon)\b)?[^\n]{0,120}?"
    rb"\((?:family: |fam: )(?:0x)?([0-9a-f]{1,4})"
)
_IO_APIC = re.compile(rb"IOAPIC\[\d+\]: apic_id \d+, version \d+, address (0x[0-9a-f]{1,16})")
_LOCAL_APIC = re.compile(rb"Local APIC address (0x[0-9a-f]{1,16})")
_MAX_ARCH = re.compile(rb"max_arch_pfn = 0x([0-9a-f]+)")
_XEN_VERSION = re.compile(rb"Xen version: (\d+\.\d+\S*)")
_PHYSICAL = re.compile(rb"DMAR: Host address width (\d{1,3})")
_DOMU = (b"ACPI in unprivileged domain disabled", b"PCI: setting up Xen PCI frontend stub")
"""What a PV kernel prints only if it is not dom0 (xen_arch_setup and pci_xen_init, Linux 3.2 to 6.12)."""
_DOM0 = (b"ACPI: RSDP", b"IOAPIC[")
_PV = re.compile(
    rb"(?:paravirtualized kernel|Booting kernel) on Xen(?! HVM| PVH| with PVH)"
    rb"|Hypervisor detected: Xen PV(?!H)"
)
"""HVM and PVH guests name themselves in the same lines; they have no p2m of their own."""


class Boot(NamedTuple):
    """One boot in the text: its part ``[start, end)`` in bytes, and the kernel's release if it is named."""

    start: int
    end: int
    release: str | None


def matches(text: Text) -> bool:
    """Whether the text holds lines of this format."""
    return any(marker in text for marker in _MARKERS)


def read(text: Text, boot: int | None) -> Reading:
    """Read a kernel log; ``boot`` counts from 1, None is the last one that printed a map.

    Raises UsageError when the log has no boot of that number, FormatError for a map that cannot be.
    """
    boots = _boots(text)
    notes: list[Note] = []
    chosen, maps = _choose_boot(text, boots, boot, notes)
    head = min(chosen.end, chosen.start + HEAD)
    data = text.data[chosen.start : head]
    pci = read_pci(text, chosen.start, chosen.end)
    is_pv = bool(_PV.search(data)) or any(m.source is MapSource.DOM0_FINAL for m in maps)
    known = chosen.release is not None or b"max_arch_pfn" in data
    observed = read_setup(text, chosen.start, head, chosen.release) if is_pv else None
    limit = _mem_limit(text, chosen.start, head)
    if limit:
        notes.append(
            Note(Severity.INFO, f"the kernel was started with mem={limit}", text.where(chosen.start))
        )
    facts = replace(_facts(data, chosen.release), mem_limit=parse_size(limit) if limit else None)
    if maps and not is_pv:
        _check_end(data, maps[0], notes)
    is_domu = is_pv and _is_domu(data, maps)
    if is_pv and maps and not is_domu and not any(sign in data for sign in _DOM0):
        untold = "this log does not say whether its guest is dom0 or a domU: taken as dom0 (--guest domU)"
        notes.append(Note(Severity.LACK, untold, text.where(chosen.start), "guest"))
    return Reading(
        format=NAME,
        maps=tuple(maps),
        bars=tuple(pci.bars[key] for key in sorted(pci.bars)),
        windows=tuple(window for group_ in pci.windows.values() for window in group_.values()),
        facts=facts,
        observed=observed,
        is_xen_pv=is_pv if known or maps or is_pv else None,
        is_domu=is_domu,
        boots=len(boots),
        notes=(*notes, *_lacks(maps, pci, text.where(chosen.start)), *pci.notes),
    )


def _is_domu(data: bytes, maps: list[FoundMap]) -> bool:
    """Whether a PV kernel says that it is no dom0, or has nothing but RAM past 1 MiB, as no host has.

    The kernel's "last_pfn" shows that such a map was not cut.
    """
    if any(sign in data for sign in _DOMU):
        return True
    for found in maps:
        only_ram = all(entry.is_ram or entry.end <= MIB for entry in found.entries)
        if only_ram and b"last_pfn = %#x " % (found.entries[-1].end >> PAGE_SHIFT) in data:
            return True
    return False


def _boots(text: Text) -> list[Boot]:
    banners: list[tuple[int, str]] = []
    for line in text.lines_with(b"Linux version "):
        match = _BANNER.search(line.text) or _BANNER.search(joined(text, line))
        if match:
            banners.append((line.start, match[1].decode("ascii", "replace")))
    if not banners:
        return [Boot(0, len(text.data), None)]
    ends = [start for start, _ in banners[1:]] + [len(text.data)]
    boots = [Boot(start, end, release) for (start, release), end in zip(banners, ends, strict=True)]
    # What stands before the first banner is a boot whose banner was lost, if it printed a map.
    first = banners[0][0]
    if any(_WHO.search(line.text) for line in text.lines_with(b"-e820: ", b"Xen: ", end=first)):
        return [Boot(0, first, None), *boots]
    return [Boot(0, boots[0].end, boots[0].release), *boots[1:]]


def _choose_boot(
    text: Text, boots: list[Boot], number: int | None, notes: list[Note]
) -> tuple[Boot, list[FoundMap]]:
    if number is not None and len(boots) > 1:
        if not 1 <= number <= len(boots):
            raise UsageError(
                "no such boot in the log", where=text.name, expected=f"1 to {len(boots)}", found=str(number)
            )
        chosen = boots[number - 1]
        found = _maps(text, chosen, notes)
    else:
        chosen, found = boots[-1], []
        for candidate in reversed(boots):
            attempt: list[Note] = []
            maps = _maps(text, candidate, attempt)
            if maps or candidate is boots[-1]:
                chosen, found = candidate, maps
                kept = attempt
            if maps:
                break
        notes += kept
    if len(boots) > 1:
        at = boots.index(chosen) + 1
        notes.append(
            Note(Severity.INFO, f"boot {at} of {len(boots)} in this log is used", text.where(chosen.start))
        )
    return chosen, found


def _maps(text: Text, boot: Boot, notes: list[Note]) -> list[FoundMap]:
    found: dict[MapSource, list[Located]] = {MapSource.DOM0_FINAL: [], MapSource.FIRMWARE: []}
    head = min(boot.end, boot.start + HEAD)
    lines = {line.start: line for line in text.lines_with(b"-e820: ", b"BIOS-", start=boot.start, end=head)}
    lines |= {line.start: line for line in text.lines_with(b"-e820: ", start=head, end=boot.end)}
    lines |= {line.start: line for line in text.lines_with(b"Xen: ", start=boot.start, end=head)}
    unreadable: list[int] = []
    for start in sorted(lines):
        line = lines[start]
        whole = b""
        for who in _WHO.finditer(line.text):  # several where a paste has lost its line ends
            source = MapSource.DOM0_FINAL if who[1] == b"Xen" else MapSource.FIRMWARE
            entry = _entry(text, start, line.text, who.end())
            if entry is None:
                whole = whole or joined(text, line)
                entry = _entry(text, start, whole, who.end())
            if entry is None:
                unreadable.append(start)
                continue
            found[source].append(Located(start, entry, quote_depth(line.text)))
    if unreadable:
        last = text.line_after(text.line_at(unreadable[-1])) is None
        what = CUT if last else "unreadable entry line, ignored"
        more = f" ({len(unreadable)} such lines)" if len(unreadable) > 1 else ""
        notes.append(Note(Severity.WARNING, what + more, text.where(unreadable[-1])))
    maps = []
    for source, located in found.items():
        title = "Xen PV kernel's" if source is MapSource.DOM0_FINAL else "firmware"
        best, remarks = choose(text, group(text, located), title)
        notes += remarks
        if best:
            maps.append(_found_map(text, source, best))
    return maps


def _found_map(text: Text, source: MapSource, best: Group) -> FoundMap:
    return FoundMap(source=source, entries=best.entries, where=text.where(best.at))


def _entry(text: Text, at: int, said: bytes, pos: int) -> E820Entry | None:
    new = _NEW.match(said, pos)
    match = new or _OLD.match(said, pos)
    if match is None:
        return None
    kind = type_number(match[3])
    start, end = int(match[1], 16), int(match[2], 16) + bool(new)
    return None if kind is None else make_entry(text, at, start, end, kind)


def _mem_limit(text: Text, start: int, end: int) -> str | None:
    """Return the ``mem=`` that counts (e820.c, parse_memopt): each cuts the map, and 0 is refused."""
    # A mail program may have broken the line; Xen's own command line may stand in the same log.
    said = (
        joined(text, line).partition(b"(XEN)")[0]
        for line in text.lines_with(b"ommand line: ", start=start, end=end)
    )
    own = [line for line in said if b"ommand line: " in line]
    found = [size.decode() for size in _MEM.findall(own[-1])] if own else []
    return min((size for size in found if parse_size(size)), key=parse_size, default=None)


def _facts(data: bytes, release: str | None) -> Machine:
    cpu = _CPU.search(data)
    max_arch = _MAX_ARCH.search(data)
    version = _XEN_VERSION.search(data)
    physical = _PHYSICAL.search(data)
    local = _LOCAL_APIC.search(data)
    bits = None
    if max_arch:
        bits = 64 if int(max_arch[1], 16) > 0x1000000 else 32
    elif release and "x86_64" in release:
        bits = 64
    return Machine(
        kernel_release=release,
        bits=bits,
        xen_version=version[1].decode("ascii", "replace") if version else None,
        cpu_vendor=cpu[1].decode() if cpu and cpu[1] else None,
        cpu_family=int(cpu[2], 16) if cpu else None,
        physical_bits=int(physical[1]) if physical else None,
        io_apics=tuple(dict.fromkeys(int(m[1], 16) for m in _IO_APIC.finditer(data))),
        local_apic=int(local[1], 16) if local else None,
    )


def _check_end(data: bytes, found: FoundMap, notes: list[Note]) -> None:
    """The first "last_pfn" is the end of RAM: a map that ends lower has lost entries."""
    match = re.search(rb"last_pfn = 0x([0-9a-f]+)", data)
    top = max((e.end >> 12 for e in found.entries if e.is_ram), default=0)
    if match and int(match[1], 16) > top:
        notes.append(
            Note(
                Severity.WARNING,
                f"the kernel counted RAM up to frame {int(match[1], 16):#x}, the map ends at {top:#x}: "
                "entries were left out",
                found.where,
            )
        )


def _lacks(maps: list[FoundMap], pci: PciLog, where: str) -> list[Note]:
    if not maps:
        what = "this part of the kernel log has no e820 lines: they stand in the first lines after boot"
        return [Note(Severity.LACK, f"{what}; add /proc/iomem or the start of the log", where, "map")]
    if not pci.bars:
        return [
            Note(
                Severity.LACK,
                "no PCI BARs in this kernel log; add lspci -v or the rest of the log",
                where,
                "bars",
            )
        ]
    return []
