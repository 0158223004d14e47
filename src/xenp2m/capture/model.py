"""What reading gives: notes, what a kernel logged of its setup, readings of a text, captures of a machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from xenp2m.machine import Bar, E820Entry, Machine, MapSource, Window


class Severity(Enum):
    """How much a note matters."""

    INFO = "info"
    """A choice that was made, or something left out on purpose."""
    LACK = "lack"
    """A fact that the text cannot give, and how to get it."""
    WARNING = "warning"
    """A contradiction, or a sign that the text is damaged or incomplete."""


@dataclass(frozen=True, slots=True)
class Note:
    """One remark about the input; ``where`` names the file and line, or is empty.

    ``lacks`` names the fact that a LACK is about, "map", "bars" or "guest": another text may make it good.
    """

    severity: Severity
    text: str
    where: str = ""
    lacks: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.text}" if self.where else self.text


@dataclass(frozen=True, slots=True)
class SourceNote:
    """What one file gave: its name, the format that was recognised, and the facts in a phrase and in numbers.

    ``entries`` are those of the first map that it holds, ``bars`` its memory BARs.
    """

    name: str
    format: str
    gave: str
    entries: int = 0
    bars: int = 0


class LoggedRange(NamedTuple):
    """Frames ``[start, end)`` as a kernel printed them, and the count printed beside them."""

    start: int
    end: int
    pages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What a Xen PV kernel logged of its own memory setup (arch/x86/xen/setup.c and p2m.c).

    Names are those of the prediction's log, so that both can be compared.  Frames and counts are in pages,
    ``p2m_area_bytes`` and ``ramdisk`` (start, end exclusive) in bytes.  None: the line is not in the log.
    ``identity_ranges`` are the debug lines "1-1 mapping on a->b".  ``last_pfn`` is the number in the line
    "Remapped ... last_pfn=" of 3.18, ``e820_last_pfn`` the first "last_pfn = " of the e820 code.
    """

    freed: tuple[LoggedRange, ...] = ()
    populated: tuple[LoggedRange, ...] = ()
    identity_ranges: tuple[tuple[int, int], ...] = ()
    released: int | None = None
    set_identity: int | None = None
    remapped: int | None = None
    last_pfn: int | None = None
    remapped_nonram: int | None = None
    unable_to_find: int = 0
    initrd_moved: tuple[int, int, int, int] | None = None
    p2m_area_bytes: int | None = None
    e820_last_pfn: int | None = None
    kernel_release: str | None = None
    ramdisk: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryFigures:
    """What a running kernel counts of its memory, in KiB; None: not recorded.

    ``current_kb``, ``target_kb``, ``low_kb`` and ``high_kb`` are the balloon driver's (low and high are the
    frames that it holds without memory), ``mem_total_kb`` is MemTotal and ``direct_map_kb`` the sum of the
    DirectMap lines of /proc/meminfo, ``present_kb`` the second number of the boot log's line
    "Memory: available/present".
    """

    current_kb: int | None = None
    target_kb: int | None = None
    low_kb: int | None = None
    high_kb: int | None = None
    mem_total_kb: int | None = None
    direct_map_kb: int | None = None
    present_kb: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundMap:
    """One memory map in a text: whose it is, its entries in their order, and where it starts."""

    source: MapSource
    entries: tuple[E820Entry, ...]
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one format's reader found in one text.

    ``facts`` is a Machine of which only single facts are used; its map, BARs and windows are empty.
    ``is_xen_pv`` says whether a kernel log is that of a Xen PV guest; None where the text does not say.
    ``is_domu`` says that this guest is a domU: its map, its log and its memory are not dom0's.
    ``boots`` is how many boots the text holds.
    """

    format: str
    maps: tuple[FoundMap, ...] = ()
    bars: tuple[Bar, ...] = ()
    windows: tuple[Window, ...] = ()
    facts: Machine = field(default_factory=Machine)
    observed: Observed | None = None
    memory: MemoryFigures | None = None
    is_xen_pv: bool | None = None
    is_domu: bool = False
    boots: int = 1
    notes: tuple[Note, ...] = ()

    @property
    def gave(self) -> str:
        """The reading in a phrase."""
        parts = [f"{m.source.value} map of {len(m.entries)} entries" for m in self.maps]
        if self.bars:
            parts.append(f"{len(self.bars)} memory BARs")
        if self.windows:
            parts.append(f"{len(self.windows)} bridge windows")
        if self.memory is not None:
            parts.append("memory figures")
        return ", ".join(parts) or "no map and no BARs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """One machine put together from one or more texts.

    ``machine`` carries the best map found (Xen's own, then the one dom0 was handed, then firmware's, then a
    dom0 kernel's final map, then /proc/iomem); its ``e820`` is empty when no text held a map.  Where all that
    is known is a domU's, it is the domU's map.
    ``dom0_final`` is the map that a dom0 kernel printed after its own memory setup, if a log held one.
    """

    machine: Machine
    dom0_final: tuple[E820Entry, ...] | None = None
    observed: Observed | None = None
    memory: MemoryFigures | None = None
    sources: tuple[SourceNote, ...] = ()
    notes: tuple[Note, ...] = ()
