"""The linear list: Linux 3.19 and later keep the p2m as one array in virtual memory (xen_vmalloc_p2m_tree).

The array is mapped by page tables of the guest.  Whole 2 MiB of it that are all missing or all identity
share one level 1 table, single pages share one leaf; ``p2m_vaddr`` in shared_info is its address.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from xenp2m.arch import PTE_FRAMES, Arch
from xenp2m.dump.evidence import Vote, decide, from_frame_list, from_order, guest_words
from xenp2m.dump.layout import ENTRIES, FRAME_MASK, MOST_PFNS, PRESENT, PSE
from xenp2m.dump.leaves import Confidence, Leaves, MapBuilder, P2m, blank_pages
from xenp2m.dump.memory import Frames, Memory
from xenp2m.dump.pagetable import PageTables, WalkReport
from xenp2m.dump.shared_info import SharedInfo
from xenp2m.dump.symbols import Symbols
from xenp2m.entry import NO_MFN, Kind
from xenp2m.errors import MissingFactError
from xenp2m.runs import END_OF_FRAMES, Ambiguous, RunMap
from xenp2m.units import GIB, MIB, PAGE_SIZE

_DEFAULT_SIZE = {64: 512 * GIB // PAGE_SIZE, 32: 4 * GIB // PAGE_SIZE}
"""Frames of a list by default (CONFIG_XEN_MEMORY_HOTPLUG_LIMIT, before 6.1 CONFIG_XEN_BALLOON_...)."""
_SLOT_BYTES = 2 * MIB
_NO = np.uint64(NO_MFN)


class LinearList:
    """The pages of one list: which level 1 table maps each 2 MiB of it, and which leaves that holds."""

    def __init__(self, memory: Memory, info: SharedInfo) -> None:
        assert info.p2m_root is not None
        self.memory = memory
        self.info = info
        self.arch: Arch = info.arch
        self.tables = PageTables(memory, info.p2m_root, info.arch)
        self.pfns_per_slot = ENTRIES * info.arch.pfns_per_leaf
        self.report = WalkReport()
        self.slots: Frames = np.empty(0, np.uint64)
        self.large: NDArray[np.bool_] = np.empty(0, np.bool_)
        self._rows: dict[int, Frames] = {}

    def load(self, size: int) -> None:
        """Find the tables of the first ``size`` frames of the list.  Sets ``slots`` and ``large``."""
        count = -(-size // self.pfns_per_slot)
        start = self.info.p2m_vaddr
        end = min(start + count * _SLOT_BYTES, 1 << self.arch.bits)
        if start % _SLOT_BYTES:
            raise MissingFactError("the list is not aligned as the kernel aligns it", found=f"{start:#x}")
        found = self.tables.last_tables(start, end, report=self.report)
        self.slots = np.full(count, _NO)
        self.large = np.zeros(count, np.bool_)
        for va, entry, frame, pages in zip(*(column.tolist() for column in found), strict=True):
            first = (va - start) // _SLOT_BYTES
            for step in range(pages // ENTRIES):
                if 0 <= first + step < count:
                    self.slots[first + step] = frame + step * ENTRIES
                    self.large[first + step] = bool(entry & PSE)

    def row(self, slot: int) -> Frames:
        """Return the leaf frames of one slot (512, uint64; NO_MFN where none is mapped)."""
        frame = int(self.slots[slot])
        if frame == NO_MFN:
            return np.full(ENTRIES, _NO)
        if self.large[slot]:
            return np.arange(frame, frame + ENTRIES, dtype=np.uint64)
        row = self._rows.get(frame)
        if row is None:
            pages = self.memory.read_pages(np.array([frame], np.uint64))
            entries = pages.words[0]
            mapped = (entries & np.uint64(PRESENT)) != 0
            row = np.where(mapped, (entries & np.uint64(FRAME_MASK)) >> np.uint64(12), _NO)
            self._rows[frame] = row
        return row

    def uniform(self, slot: int) -> int | None:
        """Return the one leaf frame that a whole slot shares; None when it has several, or none."""
        row = self.row(slot)
        frame = int(row[0])
        return frame if frame != NO_MFN and bool((row == row[0]).all()) else None

    def leaves(self, count: int) -> Leaves:
        """Return the leaves of the first ``count`` slots."""
        return Leaves.of_rows(self.arch, self._own_rows(count))

    def _own_rows(self, count: int) -> Iterator[Frames]:
        """Yield the rows of the first slots; no list has a table of several leaves in two places."""
        own: set[int] = set()
        for slot in range(count):
            table = int(self.slots[slot])
            several = self.uniform(slot) is None
            yield np.full(ENTRIES, _NO) if several and table in own else self.row(slot)
            own.add(table)


def read_linear(memory: Memory, info: SharedInfo, symbols: Symbols | None = None) -> P2m:
    """Read the linear list that a shared_info names.

    Raises MissingFactError when nothing of it is mapped.  The map ends where the list ends; frames past it
    are identity (__pfn_to_mfn).
    """
    linear = LinearList(memory, info)
    notes: list[str] = []
    known = _symbol_size(linear.tables, info, symbols)
    count, bound = _bound(linear, known)
    if count == 0:
        raise MissingFactError(
            "the linear list is not mapped", where=f"p2m_vaddr {info.p2m_vaddr:#x}", found="no level 1 table"
        )
    leaves = linear.leaves(count)
    votes, candidates = _votes(linear, leaves, count, symbols)
    shared = decide(votes, candidates)
    builder = MapBuilder(memory, info.arch, shared)
    runs = builder.runs(leaves)
    end = count * linear.pfns_per_slot
    if info.generation & 1:
        notes.append(f"generation {info.generation} is odd: the guest was changing its p2m")
    if linear.report.absent:
        notes.append(f"{linear.report.absent} page tables of the list are not in the dump")
    if end < info.max_pfn:
        notes.append(f"the list ends at {end:#x}, below max_pfn {info.max_pfn:#x}")
    return P2m(
        RunMap(info.arch, end, Kind.IDENTITY, runs),
        "linear list (p2m_cr3, p2m_vaddr)",
        tuple(builder.ambiguous),
        (bound, *shared.evidence),
        shared.confidence,
        (*notes, *builder.notes()),
    )


def read_builder_list(memory: Memory, tables: PageTables, vaddr: int, nr_pages: int) -> P2m:
    """Read the domain builder's list: start_info.mfn_list, ``nr_pages`` words.

    It is all there is before the kernel has set up its own p2m, and says nothing of frames past its end.
    """
    arch = tables.arch
    size = min(nr_pages, MOST_PFNS) * (arch.bits // 8)
    found = tables.leaves(vaddr & ~(PAGE_SIZE - 1), vaddr + size)
    words: list[Frames] = []
    expected = vaddr >> 12
    for va, mfn, pages in zip(found.va.tolist(), found.mfn.tolist(), found.pages.tolist(), strict=True):
        skip = max(expected - (va >> 12), 0)
        if va >> 12 > expected or skip >= pages:
            break
        needed = min(pages - skip, ((vaddr + size - 1) >> 12) - expected + 1)
        read = memory.read_pages(np.arange(mfn + skip, mfn + skip + needed, dtype=np.uint64))
        if not bool(read.present.all()):
            break
        words.append(guest_words(read.words, arch))
        expected += needed
    flat = np.concatenate(words) if words else np.empty(0, np.uint64)
    first = (vaddr & (PAGE_SIZE - 1)) // (arch.bits // 8)
    flat = flat[first : first + nr_pages]
    notes = (
        () if len(flat) == nr_pages else (f"only {len(flat)} of {nr_pages} words of the list can be read",)
    )
    return P2m(
        RunMap.from_words(flat, arch, Kind.MISSING),
        "domain builder's list (start_info.mfn_list)",
        (Ambiguous(len(flat), END_OF_FRAMES, tuple(Kind), "past the domain builder's list"),),
        notes=notes,
    )


def _symbol_size(tables: PageTables, info: SharedInfo, symbols: Symbols | None) -> int | None:
    """Return xen_p2m_size, when the symbols are this kernel's: xen_p2m_addr must agree with shared_info."""
    if symbols is None or not {"xen_p2m_addr", "xen_p2m_size"} <= symbols.linux.keys():
        return None
    if tables.read_word(symbols.linux["xen_p2m_addr"]) != info.p2m_vaddr:
        return None
    size = tables.read_word(symbols.linux["xen_p2m_size"])
    return size if size is not None and 0 < size <= MOST_PFNS else None


def _bound(linear: LinearList, known: int | None) -> tuple[int, str]:
    """Return the number of 2 MiB slots of the list, and why.

    Right behind the list lie other vmalloc areas, whose pages would read as frames.  Without symbols the
    list is taken to have its default size, or more if the guest has more memory, as far as it is mapped and
    looks like a list; a longer one is followed while it goes on with the same shared page.
    """
    per = linear.pfns_per_slot
    if known is not None:
        linear.load(known)
        return _mapped(linear, len(linear.slots)), f"xen_p2m_size is {known:#x} frames"
    needed = -(-min(linear.info.max_pfn, MOST_PFNS) // per)
    default = max(needed, _DEFAULT_SIZE[linear.arch.bits] // per)
    linear.load(2 * default * per)
    mapped = _mapped(linear, len(linear.slots))
    count = min(needed, mapped)
    ends: list[int] = []
    while count < mapped and _plausible(linear, count):
        count += 1
        if linear.uniform(count - 1) is not None:
            ends.append(count)
    if count >= default and (count == default or linear.uniform(default - 1) != linear.uniform(default)):
        return default, "the list has its default size, or that of the guest's memory where this is larger"
    end = max([needed, *ends]) if count < mapped else count
    end = min(end, mapped)
    return end, f"the list is followed to frame {end * per:#x}, where other pages begin"


def _mapped(linear: LinearList, count: int) -> int:
    """Return the number of slots up to the first that has no table."""
    none = np.flatnonzero(linear.slots[:count] == _NO)
    return int(none[0]) if len(none) else count


def _plausible(linear: LinearList, slot: int) -> bool:
    """Say whether a slot past the guest's memory is part of the list: all mapped, and p2m words in it."""
    if linear.uniform(slot) is not None:
        return linear.uniform(slot) in blank_pages(linear.memory, [int(linear.row(slot)[0])])
    row = linear.row(slot)
    if bool((row == _NO).any()):
        return False
    pages = linear.memory.read_pages(np.unique(row))
    words = guest_words(pages.words[pages.present], linear.arch)
    invalid = words == np.uint64(linear.arch.invalid)
    frames = words & np.uint64(linear.arch.frame_mask)
    return bool((invalid | ((frames < np.uint64(PTE_FRAMES)) & (words != 0))).all())


def _votes(
    linear: LinearList, leaves: Leaves, count: int, symbols: Symbols | None
) -> tuple[list[Vote], set[int]]:
    """Gather the evidence about the two shared pages of a list; return it and the pages in question."""
    info = linear.info
    votes = _symbol_votes(linear.tables, info, symbols)
    candidates = blank_pages(linear.memory, list(leaves.uses())[:4096])
    vote = from_frame_list(linear.memory, info.frame_list_list, info.max_pfn, info.arch)
    if vote is not None:
        votes.append(vote)
        if blank_pages(linear.memory, [vote.frame]):
            candidates.add(vote.frame)
    last = linear.uniform(count - 1)
    if last in candidates and count * linear.pfns_per_slot >= info.max_pfn + linear.pfns_per_slot:
        votes.append(
            Vote(
                last,
                Kind.IDENTITY,
                f"the list ends with the shared page {last:#x}, and past all memory the list is identity",
                Confidence.LIKELY,
            )
        )
    shared = {
        int(linear.slots[slot]): linear.uniform(slot) for slot in range(count) if not linear.large[slot]
    }
    tables = {table: page for table, page in shared.items() if page is not None}
    vote = from_order(tables, candidates)
    if vote is not None:
        votes.append(vote)
    return votes, candidates


def _symbol_votes(tables: PageTables, info: SharedInfo, symbols: Symbols | None) -> list[Vote]:
    if symbols is None or _symbol_size(tables, info, symbols) is None:
        return []
    votes = []
    for name, kind in (("p2m_identity", Kind.IDENTITY), ("p2m_missing", Kind.MISSING)):
        pointer = tables.read_word(symbols.linux[name]) if name in symbols.linux else None
        mfn = tables.translate(pointer).mfn if pointer else None
        if mfn is not None and mfn in blank_pages(tables.memory, [mfn]):
            votes.append(Vote(mfn, kind, f"the symbol {name} leads to the page {mfn:#x}", Confidence.CERTAIN))
    return votes
