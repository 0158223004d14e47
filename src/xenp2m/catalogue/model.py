"""What the catalogue knows of one machine: whose map it has, where the facts were found, their limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from xenp2m.capture import Capture, Note, Severity, read_record
from xenp2m.machine import Machine
from xenp2m.units import MIB

PREFIX = "catalogue:"
"""How a machine of the catalogue is named where a capture may stand."""

_ISA_HOLE = 0xA_0000, MIB
"""Where no PC has RAM: video memory and option ROMs."""


class RecordKind(Enum):
    """What the source of a record was, and with it whose map it has."""

    FIRMWARE = "bios"
    IOMEM = "iomem"
    XEN = "xen-hv"
    DOM0 = "xen-dom0"
    PHYSMEM = "fbsd-physmem"
    FACTER = "facter"
    BARS_ONLY = "bars-only"

    @property
    def map(self) -> str:
        """Whose map it is, in a phrase."""
        return _MAPS[self]


_MAPS = {
    RecordKind.FIRMWARE: "the firmware's map as a kernel printed it (Linux sorts it first)",
    RecordKind.IOMEM: "rebuilt from /proc/iomem (sorted, neighbours may be joined)",
    RecordKind.XEN: "the map as Xen printed it",
    RecordKind.DOM0: "dom0's own map after its memory setup; the host's is not known",
    RecordKind.PHYSMEM: "chunks of RAM only, as FreeBSD lists them; what lies between is not known",
    RecordKind.FACTER: "no map: PCI BARs only",
    RecordKind.BARS_ONLY: "no map: PCI BARs only",
}
_WITHOUT_MAP = frozenset({RecordKind.PHYSMEM, RecordKind.FACTER, RecordKind.BARS_ONLY})


@dataclass(frozen=True, slots=True)
class Source:
    """Where the facts were published: repository, path in it, commit; "" where that is not known.

    ``licence`` is the SPDX name of the source's licence, "" where none is recorded: then only facts (numbers
    and product names) were taken.
    """

    repo: str
    path: str = ""
    commit: str = ""
    licence: str = ""

    def __str__(self) -> str:
        place = f"{self.repo}: {self.path}" if self.path else self.repo
        return f"{place} @ {self.commit}" if self.commit else place


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One machine of the catalogue.

    ``product`` and ``firmware`` are names and versions as the machine's firmware told them, "" where the
    source does not have them; ``firmware_year`` is the year of the firmware, ``published`` that of the
    source.  ``record`` are the facts in the fields of the data file.
    """

    id: str
    kind: RecordKind
    source: Source
    record: Mapping[str, Any]
    product: str = ""
    firmware: str = ""
    firmware_year: int | None = None
    published: int | None = None
    is_virtual: bool = False

    @property
    def name(self) -> str:
        """The product, or where there is none the id."""
        return self.product or self.id

    @property
    def lack(self) -> str:
        """Why no kernel can be predicted for this machine; "" if it can."""
        if self.kind in _WITHOUT_MAP:
            return self.kind.map
        if self.record.get("elided"):
            return "its source left out lines of the map"
        rows = self.record["e820"]
        low, high = _ISA_HOLE
        if any(kind == 1 and start < high and end > low for start, end, kind in rows):
            return "no PC: its map has RAM where a PC has video memory and option ROMs"
        if all(kind == 1 for _, end, kind in rows if end > MIB):
            return "its map is not whole: nothing but RAM above 1 MiB, no firmware leaves that"
        return ""

    @property
    def caveats(self) -> tuple[str, ...]:
        """What to keep in mind of a machine that can be predicted, and of its BARs."""
        moved = self.record.get("bars_moved", 0)
        return tuple(self._caveats(moved, any(row[1] is None for row in self.record["bars"])))

    def _caveats(self, moved: int, unnumbered: bool) -> Iterator[str]:
        if self.kind in (RecordKind.IOMEM, RecordKind.DOM0):
            yield self.kind.map
        if self.is_virtual:
            yield "a virtual machine"
        if self.record.get("transcribed"):
            yield "its source was typed by hand"
        if not self.record["bars"]:
            yield "the source lists no BARs"
        if moved:
            yield f"{moved} of its BARs were moved by the kernel after firmware had placed them"
        if unnumbered:
            yield "the source does not say which BAR of its function some are"

    @property
    def capture(self) -> Capture:
        """The machine as a capture; without a map, and with a note that says why, where there is a lack.

        Raises FormatError when the record is damaged.
        """
        where = f"{PREFIX}{self.id}"
        capture = read_record(self.record, where)
        # Names of machines may be paths, of which only the end is shown.
        machine = replace(capture.machine, name=self.name.replace("/", "-"))
        if self.lack:
            lack = Note(Severity.LACK, self.lack, where, "map")
            return replace(capture, machine=replace(machine, e820=()), notes=(lack,))
        caveats = tuple(Note(Severity.INFO, caveat, where) for caveat in self.caveats)
        return replace(capture, machine=machine, notes=(*capture.notes, *caveats))

    @property
    def machine(self) -> Machine:
        """The machine; its ``e820`` is empty where ``lack`` says why."""
        return self.capture.machine

    @property
    def ram(self) -> int:
        """Bytes of RAM in the source's map, or 0 without one."""
        return sum(end - start for start, end, kind in self.record["e820"] if kind == 1)

    @property
    def map_end(self) -> int:
        """The first byte after the source's map, or 0 without one."""
        return max((end for _, end, _ in self.record["e820"]), default=0)

    @property
    def bars_end(self) -> int:
        """The first byte after the highest BAR, or 0 without BARs."""
        return max((start + size for _, _, start, size, *_ in self.record["bars"]), default=0)
