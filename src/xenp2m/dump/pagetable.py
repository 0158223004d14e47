"""Page tables of a PV guest (or of Xen), walked whole levels at a time.

Every present entry at every level holds a machine frame; the guest's kernel never sees that frame number
unconverted, but the tables in memory do.  64-bit: four levels of 512 entries; 32-bit PAE: three, of which
the first has four entries.  Source: Xen's public headers, and the tables of real dumps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from xenp2m.arch import X86_64, Arch
from xenp2m.dump import layout
from xenp2m.dump.layout import ENTRIES, FRAME_MASK, PRESENT, PSE
from xenp2m.dump.memory import Frames, Memory, PageAbsent, read_page
from xenp2m.errors import UsageError
from xenp2m.units import PAGE_SHIFT, PAGE_SIZE

_SHIFTS = {64: (39, 30, 21, 12), 32: (30, 21, 12)}
_CHUNK = 1024  # tables per step: 4 MiB of entries
_FREE_TABLES = 1 << 15  # a p2m list of 16 TiB refers so often to its shared level 1 table

_ONE = np.uint64(1)
_P = np.uint64(PRESENT)
_SHIFT = np.uint64(PAGE_SHIFT)


class Mappings(NamedTuple):
    """Present leaf entries, as parallel uint64 arrays, sorted by address within a walk.

    ``va`` is the first virtual address, ``entry`` the raw page table entry, ``mfn`` its first machine frame,
    ``pages`` how many frames it maps (1, 512 or 262144).
    """

    va: Frames
    entry: Frames
    mfn: Frames
    pages: Frames

    @classmethod
    def join(cls, blocks: list[Mappings]) -> Self:
        """Concatenate blocks; no block at all gives empty arrays."""
        if not blocks:
            return cls(*(np.empty(0, np.uint64) for _ in range(4)))
        return cls(*(np.concatenate(column) for column in zip(*blocks, strict=True)))

    def only(self, chosen: NDArray[np.bool_]) -> Mappings:
        """Keep the entries whose ``chosen`` is True."""
        return Mappings(*(column[chosen] for column in self))


@dataclass(slots=True)
class WalkReport:
    """What a walk met: tables read, tables that the dump lacks, entries that lead back up, and whether it
    was cut short because the tables refer to each other more often than real ones do."""

    tables: int = 0
    absent: int = 0
    loops: int = 0
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One level of a translation: the level (4 to 1), its table's frame, the index, and the raw entry."""

    level: int
    table: int
    index: int
    entry: int


@dataclass(frozen=True, slots=True)
class Translation:
    """How one virtual address translates.

    ``mfn`` is the machine frame of the 4 KiB page that holds it and ``address`` its machine address; both
    are None when an entry is not present or a table is not in the dump (``stopped`` says which).
    """

    va: int
    steps: tuple[Step, ...]
    mfn: int | None
    stopped: str = ""

    @property
    def address(self) -> int | None:
        """The machine address."""
        return None if self.mfn is None else (self.mfn << PAGE_SHIFT) | (self.va & (PAGE_SIZE - 1))


class PageTables:
    """One address space: the page tables below ``root``, a machine frame."""

    def __init__(self, memory: Memory, root: int, arch: Arch = X86_64) -> None:
        self.memory = memory
        self.root = root
        self.arch = arch
        self._shifts = _SHIFTS[arch.bits]

    def translate(self, va: int) -> Translation:
        """Translate one virtual address, keeping every step.  Raises UsageError for an impossible address."""
        if not 0 <= va < 1 << self.arch.bits or (self.arch.bits == 64 and layout.canonical(va) != va):
            raise UsageError("not a virtual address of this architecture", found=f"{va:#x}")
        steps: list[Step] = []
        table = self.root
        for level, shift in zip(range(len(self._shifts), 0, -1), self._shifts, strict=True):
            index = (va >> shift) & (ENTRIES - 1)
            try:
                entry = int(read_page(self.memory, table)[index])
            except PageAbsent:
                return Translation(va, tuple(steps), None, f"the dump does not hold the table {table:#x}")
            steps.append(Step(level, table, index, entry))
            if not entry & PRESENT:
                return Translation(va, tuple(steps), None, f"the level {level} entry is not present")
            frame = (entry & FRAME_MASK) >> PAGE_SHIFT
            if level == 1 or (entry & PSE and (level == 2 or (level == 3 and self.arch.bits == 64))):
                pages = 1 << (shift - PAGE_SHIFT)
                mfn = (frame & ~(pages - 1)) | ((va >> PAGE_SHIFT) & (pages - 1))
                return Translation(va, tuple(steps), mfn)
            table = frame
        raise AssertionError("the last level returns")

    def read(self, va: int, size: int) -> bytes | None:
        """Read virtual memory; None where a page is not mapped or not in the dump."""
        parts = []
        while size > 0:
            count = min(size, PAGE_SIZE - (va & (PAGE_SIZE - 1)))
            mfn = self.translate(va).mfn
            if mfn is None:
                return None
            pages = self.memory.read_pages(np.array([mfn], np.uint64))
            if not pages.present[0]:
                return None
            start = va & (PAGE_SIZE - 1)
            parts.append(pages.words[0].tobytes()[start : start + count])
            va, size = va + count, size - count
        return b"".join(parts)

    def read_word(self, va: int) -> int | None:
        """Read one ``unsigned long``; None where it is not mapped or not in the dump."""
        data = self.read(va, self.arch.bits // 8)
        return None if data is None else int.from_bytes(data, "little")

    def leaves(
        self, start: int = 0, end: int | None = None, *, xen: bool = False, report: WalkReport | None = None
    ) -> Mappings:
        """Return all present leaf entries that map any of ``[start, end)``."""
        return Mappings.join(list(self.blocks(start, end, xen=xen, report=report)))

    def last_tables(self, start: int, end: int, *, report: WalkReport | None = None) -> Mappings:
        """Return what the last but one level holds for ``[start, end)``: level 1 tables and 2 MiB pages.

        ``mfn`` is the table's frame, or the page's first frame where bit 7 (PSE) of ``entry`` is set;
        larger pages come as they are.
        """
        return Mappings.join(list(self._walk(start, end, xen=False, report=report, tables=True)))

    def blocks(
        self, start: int = 0, end: int | None = None, *, xen: bool = False, report: WalkReport | None = None
    ) -> Iterator[Mappings]:
        """Yield the present leaf entries of ``[start, end)`` in blocks of bounded size.

        ``end`` None is the end of the address space.  Xen's own range is skipped unless ``xen``.  Entries
        that lead back to a table above (self-maps, loops) are counted and not followed; tables outside the
        dump are counted.  ``report`` receives the counts.
        """
        yield from self._walk(start, end, xen=xen, report=report, tables=False)

    def _walk(
        self, start: int, end: int | None, *, xen: bool, report: WalkReport | None, tables: bool
    ) -> Iterator[Mappings]:
        report = WalkReport() if report is None else report
        last = ((1 << self.arch.bits) if end is None else end) - 1
        budget = _FREE_TABLES + 2 * self.memory.held
        walk = _Walk(self.memory, self._shifts, start, last, xen, tables, report, budget)
        yield from walk.descend(0, np.array([self.root], np.uint64), np.zeros(1, np.uint64), ())


@dataclass(slots=True)
class _Walk:
    """The state of one walk."""

    memory: Memory
    shifts: tuple[int, ...]
    start: int
    last: int
    xen: bool
    tables: bool
    report: WalkReport
    budget: int

    def descend(
        self, depth: int, tables: Frames, bases: Frames, above: tuple[Frames, ...]
    ) -> Iterator[Mappings]:
        """Yield the leaves below ``tables``, which map the addresses from ``bases`` on."""
        shift = self.shifts[depth]
        above = (*above, np.unique(tables))
        for at in range(0, len(tables), _CHUNK):
            chunk, base = tables[at : at + _CHUNK], bases[at : at + _CHUNK]
            self.report.tables += len(chunk)
            if self.report.tables > self.budget:
                self.report.truncated = True
                return
            pages = self.memory.read_pages(chunk)
            self.report.absent += int(len(chunk) - np.count_nonzero(pages.present))
            words = pages.words
            if depth == 0 and len(self.shifts) == 3:
                words = words[:, :4]
            width = words.shape[1]
            flat = words.reshape(-1)
            index = np.flatnonzero(flat & _P)
            entries = flat[index]
            vas = base[index // width] + ((index % width).astype(np.uint64) << np.uint64(shift))
            if depth == 0 and len(self.shifts) == 4:
                vas[index >= ENTRIES // 2] |= np.uint64(0xFFFF_0000_0000_0000)
            keep = self._inside(vas, shift)
            if keep is not None:
                entries, vas = entries[keep], vas[keep]
            if shift == PAGE_SHIFT:
                mfns = (entries & np.uint64(FRAME_MASK)) >> _SHIFT
                yield Mappings(vas, entries, mfns, np.ones(len(vas), np.uint64))
                continue
            yield from self._lower(depth, vas, entries, above)
            if self.report.truncated:
                return

    def _inside(self, vas: Frames, shift: int) -> NDArray[np.bool_] | None:
        """Say which entries of one level to look at; None for all."""
        if len(vas) == 0:
            return None
        size = (1 << shift) - 1
        lowest, highest = int(vas.min()), int(vas.max()) + size
        bits = 64 if len(self.shifts) == 4 else 32
        skip = (
            None
            if self.xen
            else (layout.XEN_START, layout.XEN_END - 1)
            if bits == 64
            else (layout.XEN_START_32, (1 << 32) - 1)
        )
        whole = lowest >= self.start and highest <= self.last
        if whole and (skip is None or lowest > skip[1] or highest < skip[0]):
            return None
        keep: NDArray[np.bool_] = (vas + np.uint64(size) >= np.uint64(self.start)) & (
            vas <= np.uint64(self.last)
        )
        if skip is not None:
            keep &= (vas < np.uint64(skip[0])) | (vas + np.uint64(size) > np.uint64(skip[1]))
        return keep

    def _lower(
        self, depth: int, vas: Frames, entries: Frames, above: tuple[Frames, ...]
    ) -> Iterator[Mappings]:
        """Yield the large pages among ``entries``, and what lies below the others, in order of address."""
        shift = self.shifts[depth]
        frames = (entries & np.uint64(FRAME_MASK)) >> _SHIFT
        large = np.zeros(len(vas), np.bool_)
        if shift == 21 or (shift == 30 and depth > 0):
            large = (entries & np.uint64(PSE)) != 0
        looping = np.zeros(len(vas), np.bool_)
        for upper in above:
            looping |= np.isin(frames, upper)
        looping &= ~large
        self.report.loops += int(np.count_nonzero(looping))
        if self.tables and shift == 21:
            keep = ~looping
            mfns = np.where(large, frames & ~np.uint64(ENTRIES - 1), frames)
            yield Mappings(vas[keep], entries[keep], mfns[keep], np.full(int(keep.sum()), np.uint64(ENTRIES)))
            return
        kinds = np.where(large, 1, np.where(looping, 2, 0))
        edges = np.flatnonzero(np.diff(kinds)) + 1
        for piece in np.split(np.arange(len(vas)), edges):
            if len(piece) == 0 or kinds[piece[0]] == 2:
                continue
            if kinds[piece[0]] == 1:
                pages = np.uint64(1 << (shift - PAGE_SHIFT))
                mfns = frames[piece] & ~(pages - _ONE)
                yield Mappings(vas[piece], entries[piece], mfns, np.full(len(piece), pages))
            else:
                yield from self.descend(depth + 1, frames[piece], vas[piece], above)
