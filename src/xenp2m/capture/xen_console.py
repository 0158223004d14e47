"""Xen's console (``xl dmesg``, hypervisor.log, a serial log): its memory map and how it built dom0.

Map lines follow a header ``Xen-e820 RAM map:`` (or ``EFI``, ``TBOOT``, ``Multiboot-e820``, ``PVH-e820``):
`` start - end (type)`` with exclusive ends up to 4.1x, `` [start, end] (type)`` with inclusive ends since
(xen/arch/x86/e820.c).  The dom0 lines are those of xen/arch/x86/pv/dom0_build.c.
"""

from __future__ import annotations

import re
from dataclasses import replace

from xenp2m.capture.maplines import TYPE, Located, choose, group, make_entry, type_number
from xenp2m.capture.model import FoundMap, Note, Reading, Severity
from xenp2m.capture.text import HEAD, QUOTE, Text, joined, quote_depth
from xenp2m.errors import UsageError
from xenp2m.machine import Machine, MapSource
from xenp2m.units import PAGE_SIZE, parse_size, pfn_up

NAME = "Xen console"

_PREFIX = (
    rb"(?:" + QUOTE + rb"(?:[^\n]{0,200}?\(XEN\))?|\(XEN\))[ \t]{0,64}(?:\[[^\]\n,]{1,40}\][ \t]{0,64})?"
)
_ENTRY = re.compile(
    _PREFIX + rb"(?:\[([0-9a-f]{9,}), *([0-9a-f]{9,})\]|([0-9a-f]{9,}) +- +([0-9a-f]{9,}))\s+" + TYPE,
    re.MULTILINE,
)
_WRAP = re.compile(
    rb"\n(?![^\n]{0,200}?(?:\(XEN\)|[0-9a-f]{9,16}(?:,| -) [0-9a-f]{9,16}))"
    rb"(?:[ \t]{0,8}[>|]){0,16}[ \t]{0,64}"
)
"""Where a mail program broke a line: Xen marks each of its own.  The dom0 lines between are not read here."""
_HEADER = re.compile(rb"(?<!physical )RAM map:")
_OTHER = re.compile(rb"Initial [^\n]{1,40} RAM map:|Dom0 memory map:")
"""Headers of maps that are not Xen's own: firmware's before Xen's edits (e820-verbose), a PVH dom0's."""
_VERSION = re.compile(rb"Xen version (\d+\.\d+(?:\S*[^\s.])?)(?=\s|$)")
"""Xen's banner; HVM guests of Xen say ``Xen version 4.17.``."""
_DOM0_MEM = re.compile(rb"(?:^|\s)dom0_mem=(\S+)")
_MAXIMUM = re.compile(r"(?:^|,)max:(\d{1,15}[KMGTkmgt]?|0x[0-9a-f]+)(?=,|$)")
_CPU = re.compile(rb"CPU Vendor: (\w+), Family (\d{1,4})")
_IOMMU = re.compile(rb"\[VT-D\] *drhd->address = ([0-9a-f]{1,16})")
_IO_APIC = re.compile(rb"IOAPIC\[\d+\]: apic_id \d+, version \d+, address (0x[0-9a-f]{1,16})")
_LOCAL_APIC = re.compile(rb"Local APIC address (0x[0-9a-f]{1,16})")
_RAM = re.compile(rb"System RAM: \d+MB \((\d{1,15})kB\)")
_PHYSICAL = re.compile(rb"\[VT-D\] ?Host address width (\d{1,3})")
_DOM0_KERNEL = re.compile(
    rb"Dom0 kernel: (32|64)-bit[^\n]{0,80}?paddr (0x[0-9a-f]{1,16}) -> (0x[0-9a-f]{1,16})"
)
_ALLOC = re.compile(
    rb"(?:Dom0 alloc\.:|Domain 0 allocation:) *'?([0-9a-f]{1,16}) ?-> ?([0-9a-f]{1,16})(?![0-9a-f])'?"
    rb"(?: \((\d{1,15}) pages to be allocated\))?"
)
_SPAN = rb": *([0-9a-f]{1,16}) ?-> ?([0-9a-f]{1,16})(?![0-9a-f])"
_RAMDISK = re.compile(rb"Init\. ramdisk" + _SPAN)
_LAYOUT = re.compile(rb"(Phys-Mach map|Page tables|Start info|TOTAL|Init\. ramdisk|Loaded kernel)" + _SPAN)


def matches(text: Text) -> bool:
    """Whether the text holds lines of Xen's console, with their prefix or by the header of the map."""
    return b"(XEN)" in text or any(_HEADER.search(line.text) for line in text.lines_with(b"RAM map:"))


def read(text: Text, boot: int | None) -> Reading:
    """Read a Xen console; ``boot`` counts from 1, None is the last one.

    Raises UsageError when there is no boot of that number, FormatError for a map that cannot be.
    """
    boots = _boots(text)
    notes: list[Note] = []
    start, end = _choose_boot(text, boots, boot, notes)
    head = text.data[start:end]
    if b"(XEN)" in head:
        # As many blanks as were taken away: the offsets of the entries are those of the text.
        maps = _maps(text, start, _WRAP.sub(lambda broken: b" " * len(broken[0]), head), notes)
        head = _WRAP.sub(b" ", head)
    else:
        maps = _maps(text, start, head, notes)
    facts = _facts(head, notes, text.where(start))
    dom0_mem = _dom0_mem(text, start, end)
    facts = replace(facts, dom0_mem=dom0_mem, max_reservation=_maximum(dom0_mem))
    if maps:
        _check_total(head, maps[0], notes)
    else:
        lack = "Xen's memory map is not in this text: it stands among its first lines (xl dmesg after boot)"
        notes.append(Note(Severity.LACK, lack, text.where(start), "map"))
    return Reading(format=NAME, maps=tuple(maps), facts=facts, boots=len(boots), notes=tuple(notes))


def _boots(text: Text) -> list[tuple[int, int]]:
    """Return where the one-time lines of each boot lie, in bytes."""
    starts = [line.start for line in text.lines_with(b"Xen version ") if _VERSION.search(line.text)]
    headers = [
        line.start
        for line in text.lines_with(b"RAM map:", end=HEAD if starts else None)
        if _HEADER.search(line.text) and not _OTHER.search(line.text)
    ]
    if not starts or (headers and headers[0] < starts[0]):
        starts = sorted({*starts, 0}) if starts else headers or [0]
    starts[0] = 0
    ends = [*starts[1:], len(text.data)]
    return [(start, min(end, start + HEAD)) for start, end in zip(starts, ends, strict=True)]


def _choose_boot(
    text: Text, boots: list[tuple[int, int]], number: int | None, notes: list[Note]
) -> tuple[int, int]:
    """Return the boot of that number, or the last one that printed a map."""
    if len(boots) == 1:
        return boots[0]
    if number is not None and not 1 <= number <= len(boots):
        raise UsageError(
            "no such boot in the log", where=text.name, expected=f"1 to {len(boots)}", found=str(number)
        )
    with_map = (at for at in range(len(boots), 0, -1) if _ENTRY.search(text.data, *boots[at - 1]))
    number = number or next(with_map, len(boots))
    chosen = boots[number - 1]
    told = f"Xen boot {number} of {len(boots)} in this log is used"
    notes.append(Note(Severity.INFO, told, text.where(chosen[0])))
    return chosen


def _maps(text: Text, start: int, head: bytes, notes: list[Note]) -> list[FoundMap]:
    located = []
    for match in _ENTRY.finditer(head):
        inclusive = match[1] is not None
        first, last = (match[1], match[2]) if inclusive else (match[3], match[4])
        at = start + match.start(1 if inclusive else 3)
        kind = type_number(match[5])
        if kind is not None:
            entry = make_entry(text, at, int(first, 16), int(last, 16) + inclusive, kind)
            located.append(Located(at, entry, quote_depth(match[0])))
    groups = [g for g in group(text, located) if not _OTHER.search(text.data, _line_before(text, g.at), g.at)]
    best, remarks = choose(text, groups, "Xen")
    notes += remarks
    return [FoundMap(source=MapSource.XEN, entries=best.entries, where=text.where(best.at))] if best else []


def _line_before(text: Text, at: int) -> int:
    return text.line_at(max(text.line_at(at).start - 1, 0)).start


def _facts(head: bytes, notes: list[Note], where: str) -> Machine:
    version, cpu, local = _VERSION.search(head), _CPU.search(head), _LOCAL_APIC.search(head)
    physical, kernel = _PHYSICAL.search(head), _DOM0_KERNEL.search(head)
    bits = int(kernel[1]) if kernel else None
    layout = {m[1]: (int(m[2], 16), int(m[3], 16)) for m in _LAYOUT.finditer(head)}
    base = layout.get(b"TOTAL", (0, 0))[0]
    nr_pages = _nr_pages(head, layout, bits or 64, notes, where)

    def guest_range(name: bytes) -> tuple[int, int] | None:
        """Where the builder put a part, in guest-physical bytes; None outside the initial mapping."""
        low, high = layout.get(name, (0, 0))
        return (low - base, high - base) if base and low >= base else None

    return Machine(
        xen_version=version[1].decode("ascii", "replace") if version else None,
        cpu_vendor=cpu[1].decode() if cpu else None,
        cpu_family=int(cpu[2]) if cpu else None,
        physical_bits=int(physical[1]) if physical else None,
        local_apic=int(local[1], 16) if local else None,
        io_apics=tuple(dict.fromkeys(int(m[1], 16) for m in _IO_APIC.finditer(head))),
        iommus=tuple(dict.fromkeys(int(m[1], 16) for m in _IOMMU.finditer(head))),
        bits=bits,
        nr_pages=nr_pages,
        kernel=(int(kernel[2], 16), int(kernel[3], 16)) if kernel else None,
        page_tables=guest_range(b"Page tables"),
        start_info=guest_range(b"Start info"),
        p2m_list=guest_range(b"Phys-Mach map"),
    )


def _dom0_mem(text: Text, start: int, end: int) -> str | None:
    """Return ``dom0_mem=``; Xen takes each of several such options as one more item."""
    lines = list(text.lines_with(b"Command line:", start=start, end=end))
    own = [line for line in lines if b"(XEN)" in line.text] or lines
    asked = _DOM0_MEM.findall(joined(text, own[0])) if own else []
    return b",".join(asked).decode("ascii", "replace") or None


def _maximum(dom0_mem: str | None) -> int | None:
    """Return the frames of ``max:`` in ``dom0_mem=`` where it is a plain size (in KiB without a suffix)."""
    found = _MAXIMUM.findall(dom0_mem or "")
    return parse_size(found[-1], default_suffix="K") // PAGE_SIZE if found else None


def _nr_pages(
    head: bytes, layout: dict[bytes, tuple[int, int]], bits: int, notes: list[Note], where: str
) -> int | None:
    """Count dom0's frames: the length of its p2m list, cross-checked with block + pages to come + initrd."""
    span = layout.get(b"Phys-Mach map")
    listed = (span[1] - span[0]) // (bits // 8) if span else None
    alloc = _ALLOC.search(head)
    if alloc is None:
        return listed
    summed = (int(alloc[2], 16) - int(alloc[1], 16)) // PAGE_SIZE + int(alloc[3] or 0)
    virtual = head.find(b"VIRTUAL MEMORY ARRANGEMENT", alloc.end())
    ramdisk = _RAMDISK.search(head, alloc.end(), virtual if virtual >= 0 else alloc.end())
    if ramdisk:
        summed += pfn_up(int(ramdisk[2], 16)) - int(ramdisk[1], 16) // PAGE_SIZE
    if listed is not None and listed != summed:
        notes.append(
            Note(
                Severity.WARNING,
                f"dom0's frames: {listed} by the length of its p2m list, {summed} by its allocation; "
                "the list's length is used",
                where,
            )
        )
    return summed if listed is None else listed


def _check_total(head: bytes, found: FoundMap, notes: list[Note]) -> None:
    total = _RAM.search(head)
    if total is None:
        return
    listed = sum(max((e.end >> 12) - pfn_up(e.start), 0) for e in found.entries if e.is_ram) * 4
    if abs(listed - int(total[1])) > 1024:
        notes.append(
            Note(
                Severity.WARNING,
                f"Xen counted {int(total[1])} kB of RAM, the map holds {listed} kB: entries may be missing",
                found.where,
            )
        )
