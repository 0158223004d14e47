"""PCI BARs and bridge windows in Linux boot logs, in the wording of every version from 2.6.2x to 7.0.

A function's BARs are printed when it is found (``reg 0x10: [mem ...]`` of drivers/pci/probe.c; ``BAR 0 [mem
...]`` since 6.9) and again when the kernel places them itself (``BAR 0: assigned``, drivers/pci/setup-res.c).
The last placement holds.  Index 6 is the ROM, 7 to 12 are SR-IOV BARs, what lies above belongs to bridges.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from xenp2m.capture.maplines import checked_range
from xenp2m.capture.model import Note, Severity
from xenp2m.capture.text import HEAD, Line, Text, joined
from xenp2m.machine import Bar, Window

_NEEDLES = (b"[mem", b"PCI bridge to", b"] type 01 ")
_OLD_NEEDLES = (
    b"mmio",
    b"MEM window:",
    b"PREFETCH window:",
    b" mem: [",
    b" mem [",
    b"header type 01",
    b"BAR ",
    b"reg ",
)
"""Literals of kernels before 2.6.34, which say everything at boot; they are looked for there only."""

_BDF = rb"(?<![\w:.])([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])"
_FUNCTION = re.compile(_BDF + rb": +(.*)|\bPCI: " + _BDF + rb" +(.*)", re.DOTALL)
_RANGE = (
    rb"\[(?:mem +|mmio +)?(?:0x)?([0-9a-fA-F]+)\s*[-,]\s*(?:0x)?([0-9a-fA-F]+)"
    rb"((?: +(?:64bit|32bit|pref|window|disabled|ro))*)\]"
)
_RESOURCE = re.compile(_RANGE)
_REG = re.compile(rb"reg (?:0x)?([0-9a-f]{2,3})(?::| +(32|64)bit mmio( pref)?:)\s*" + _RANGE)
_VF_SPACE = re.compile(rb"VF\(n\) BAR ?(\d) space:\s*" + _RANGE)
_BAR = re.compile(rb"\b(VF )?BAR (\d{1,2})\b|^ROM(?=[: ])")
_UNPLACED = re.compile(
    rb"releasing|failed to assign|can'?t assign|can'?t claim|can'?t allocate|cannot assign|no space|collision"
    rb"|not assigned|unassigned|no parent|no compatible|conflict|disabled"
)
_BROKEN = re.compile(
    rb"(?:\[mem[^\]]{0,80}|:|\breg (?:0x)?[0-9a-f]{2,3}|\bspace|\bBAR \d+|(?<!\]: )(?:assigned|releasing)"
    rb"|window|bus resource)\s*$"
)
"""How a line ends that a mail program has broken before its resource is told."""
_SIZE_ONLY = re.compile(rb"\[mem +size ")
_HEADER_TYPE = re.compile(rb"\[[0-9a-f]{4}[:/][0-9a-f]{4}\] (?:type|class)")
_BRIDGE_TYPE = re.compile(rb"type 0?1 |class (?:0x)?0?(?:00)?0604")
_BUS = re.compile(rb"pci_bus +([0-9a-f]{4,8}:[0-9a-f]{2}): +(root bus resource|resource \d+)\b")
_HOST = re.compile(rb"\b((?:acpi|pci_root)? ?PNP0A0[38]:[0-9a-f]+): +host bridge window")
_OLD_WINDOW = re.compile(rb"(?:MEM|PREFETCH) window: *(?:0x)?([0-9a-f]+) *- *(?:0x)?([0-9a-f]+)")


@dataclass
class PciLog:
    """The PCI functions of one boot as its log tells them, line by line."""

    text: Text
    bars: dict[tuple[str, int], Bar] = field(default_factory=dict)
    windows: dict[str, dict[tuple[int, int], Window]] = field(default_factory=dict)
    moved: set[tuple[str, int]] = field(default_factory=set)
    unplaced: set[tuple[str, int]] = field(default_factory=set)
    notes: list[Note] = field(default_factory=list)
    _bridges: set[str] = field(default_factory=set)
    _pending: dict[str, dict[int, Bar]] = field(default_factory=dict)
    _bus_windows: dict[str, dict[tuple[int, int], Window]] = field(default_factory=dict)

    def line(self, line: Line) -> None:
        """Take one line of the log; lines that say nothing of PCI memory are ignored."""
        raw = line.text
        if _BROKEN.search(raw):
            raw = joined(self.text, line)
        bus = _BUS.search(raw)
        if bus:
            self._bus(line.start, bus, raw)
            return
        host = _HOST.search(raw)
        if host:
            if b"(ignored)" not in raw:
                self._window(line.start, host[1].decode(), raw)
            return
        match = _FUNCTION.search(raw)
        if match:
            self._function(line.start, (match[1] or match[3]).decode(), match[2] or match[4] or b"")

    def _function(self, at: int, bdf: str, said: bytes) -> None:
        if _HEADER_TYPE.search(said):
            if _BRIDGE_TYPE.search(said):
                self._bridges.add(bdf)
        elif said.startswith((b"PCI bridge to", b"PCI bridge,", b"CardBus bridge", b"bridge window")):
            self._bridges.add(bdf)
            if said.startswith(b"bridge window"):
                self._window(at, bdf, said)
            else:
                self.windows.pop(bdf, None)
        elif b"window:" in said:
            old = _OLD_WINDOW.search(said)
            if old:
                self._add_window(at, bdf, int(old[1], 16), int(old[2], 16))
        else:
            self._register(at, bdf, said)

    def _register(self, at: int, bdf: str, said: bytes) -> None:
        reg = _REG.match(said)
        if reg:
            offset, width, old_pref = int(reg[1], 16), reg[2], reg[3]
            bar = self._bar(at, bdf, 0, reg[4], reg[5], reg[6])
            if bar is None:
                return
            if width:
                bar = Bar(bdf, 0, bar.start, bar.size, width == b"64", bool(old_pref))
            if offset > 0x30:
                self._pending.setdefault(bdf, {})[offset] = bar
            else:
                self._place(bar, 6 if offset == 0x30 else (offset - 0x10) // 4, placed=bar.start > 0)
            return
        space = _VF_SPACE.match(said)
        if space:
            bar = self._bar(at, bdf, 0, space[2], space[3], space[4])
            if bar:
                self._pending.pop(bdf, None)
                self._place(bar, 7 + int(space[1]), placed=bar.start > 0)
            return
        number = _BAR.search(said)
        if number:
            index = 7 * bool(number[1]) + int(number[2]) if number[2] else 6
            self._numbered(at, bdf, index, said)

    def _numbered(self, at: int, bdf: str, index: int, said: bytes) -> None:
        resource = _RESOURCE.search(said)
        is_window = index > 12 or (index > 6 and bdf in self._bridges)
        if resource is None:
            known_lost = (bdf, index) in self.bars and _UNPLACED.search(said)
            if not is_window and (_SIZE_ONLY.search(said) or known_lost):
                self._unplace(bdf, index)
            return
        bar = self._bar(at, bdf, index, *resource.groups())
        if bar is None:
            return
        lost = _UNPLACED.search(said.replace(resource[0], b""))
        if not is_window:
            self._place(bar, index, placed=not lost and bar.start > 0)
        elif not lost and bar.start:
            self._add_window(at, bdf, bar.start, bar.end - 1)

    def _bar(self, at: int, bdf: str, index: int, low: bytes, high: bytes, flags: bytes) -> Bar | None:
        start, end = int(low, 16), int(high, 16) + 1
        if end <= start:
            return None
        checked_range(self.text, at, start, end)
        if b"disabled" in flags:
            start, end = 0, end - start
        return Bar(bdf, index, start, end - start, b"64bit" in flags, b"pref" in flags)

    def _place(self, bar: Bar, index: int, *, placed: bool) -> None:
        key = (bar.bdf, index)
        if not placed:
            self._unplace(*key)
            return
        before = self.bars.get(key)
        one_vf = index > 6 and before is not None and before.start == bar.start
        if key in self.unplaced or (before is not None and before.start != bar.start):
            self.moved.add(key)
        if one_vf and before is not None and before.size > bar.size:
            return
        self.bars[key] = Bar(bar.bdf, index, bar.start, bar.size, bar.is_64bit, bar.prefetchable)
        self.unplaced.discard(key)

    def _unplace(self, bdf: str, index: int) -> None:
        self.bars.pop((bdf, index), None)
        self.unplaced.add((bdf, index))

    def _bus(self, at: int, bus: re.Match[bytes], raw: bytes) -> None:
        resource = _RESOURCE.search(raw, bus.end())
        if resource is None or b"[io" in raw or b" io:" in raw:
            return
        name, start, end = bus[1].decode(), int(resource[1], 16), int(resource[2], 16)
        if bus[2].startswith(b"root"):
            self._add_window(at, name, start, end)
        elif start <= end:
            low, high = checked_range(self.text, at, start, end + 1)
            self._bus_windows.setdefault(name, {})[low, high] = Window(name, low, high)

    def _window(self, at: int, bridge: str, raw: bytes) -> None:
        resource = _RESOURCE.search(raw)
        if resource is None or b"[io" in raw or b"subtractive" in raw or b"disabled" in raw:
            return
        if _UNPLACED.search(raw.replace(resource[0], b"")) or b"add_size" in raw:
            return
        self._add_window(at, bridge, int(resource[1], 16), int(resource[2], 16))

    def _add_window(self, at: int, bridge: str, start: int, last: int) -> None:
        if last > start or (start and last == start):
            low, high = checked_range(self.text, at, start, last + 1)
            self.windows.setdefault(bridge, {})[low, high] = Window(bridge, low, high)

    def finish(self) -> None:
        """Settle what only the whole log can say, and add the notes."""
        for bdf, registers in self._pending.items():
            for offset, bar in registers.items():
                index = 7 + (offset - min(registers)) // 4
                if index <= 12 and (bdf, index) not in self.bars:
                    self._place(bar, index, placed=bar.start > 0)
        if self._pending:
            self.notes.append(
                Note(
                    Severity.INFO,
                    f"{len(self._pending)} functions log SR-IOV registers without their whole space: "
                    "sizes are those of one virtual function, the first register counts as VF BAR 0",
                )
            )
        if not self.windows:
            self.windows.update(self._bus_windows)
        if self.moved:
            self.notes.append(
                Note(
                    Severity.INFO, f"the kernel placed or moved {len(self.moved)} BARs; its last word counts"
                )
            )
        if self.unplaced:
            names = ", ".join(f"{bdf}/{index}" for bdf, index in sorted(self.unplaced)[:4])
            more = ", ..." if len(self.unplaced) > 4 else ""
            self.notes.append(
                Note(Severity.INFO, f"{len(self.unplaced)} BARs were given no address: {names}{more}")
            )


def read_pci(text: Text, start: int, end: int) -> PciLog:
    """Read the PCI lines of one boot, ``[start, end)`` in bytes of the text."""
    log = PciLog(text)
    head = min(end, start + HEAD)
    for line in text.lines_with(*_NEEDLES, *_OLD_NEEDLES, start=start, end=head):
        log.line(line)
    for line in text.lines_with(*_NEEDLES, start=head, end=end):
        log.line(line)
    log.finish()
    return log
