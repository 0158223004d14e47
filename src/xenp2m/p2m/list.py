"""The linear p2m list of Linux 3.19 and later (arch/x86/xen/p2m.c).

One word a frame, virtually contiguous.  Before xen_vmalloc_p2m_tree() it is the builder's list; afterwards
it lies in an area of its own, in which missing and 1:1 parts share read-only pages and page table pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from errno import ENOMEM

import numpy as np
from numpy.typing import NDArray

from xenp2m.arch import Arch
from xenp2m.entry import Kind
from xenp2m.p2m.base import PagedP2m
from xenp2m.p2m.bug import KernelBug
from xenp2m.p2m.framelist import FrameList
from xenp2m.p2m.lookup import leaves_of_runs, runs_of
from xenp2m.p2m.pages import BLANK, FIRST_OWN, IDENTITY, MISSING, Table, Words
from xenp2m.rules import LastPfn, Rules
from xenp2m.runs import Run, RunMap
from xenp2m.units import GIB, PAGE_SIZE

OWN = 2
"""A mid-sized piece of the list whose page table pages are private."""
SIF_VIRT_P2M_4TOOLS = 1 << 4
"""start_info flag: tools read the list at its virtual address, and no frame list is needed."""


def area_pages(arch: Arch, max_p2m_pfn: int, hotplug_limit_gib: int) -> int:
    """Return the frames that the list's virtual area has words for (xen_vmalloc_p2m_tree).

    ``hotplug_limit_gib`` is CONFIG_XEN_BALLOON_MEMORY_HOTPLUG_LIMIT or CONFIG_XEN_MEMORY_HOTPLUG_LIMIT
    (0: not configured).  The area is a multiple of 2 MiB * PMDS_PER_MID_PAGE, which is one mid-sized piece on
    both widths.
    """
    limit = max(max_p2m_pfn, hotplug_limit_gib * GIB // PAGE_SIZE)
    return -(-limit // arch.pfns_per_mid) * arch.pfns_per_mid


class LinearList(PagedP2m):
    """A linear p2m list as one kernel keeps it.

    ``size`` (xen_p2m_size) is the number of words, ``max_p2m_pfn`` the end of what may become RAM,
    ``last_pfn`` (xen_p2m_last_pfn) the end that tools are told of.  ``table`` (int32) holds the number of the
    leaf page of each slot, ``pieces`` (int8) what the page tables of each mid-sized piece are: MISSING or
    IDENTITY if shared, else OWN; it is empty before xen_vmalloc_p2m_tree.
    ``generation`` is arch.p2m_generation (0 in kernels without it).  ``extra`` are the extra-memory regions
    (start, end), in frames.
    """

    def __init__(
        self,
        rules: Rules,
        arch: Arch,
        nr_pages: int,
        *,
        start_info_flags: int = 0,
        auto_translated: bool = False,
    ) -> None:
        """Make the list of a builder's list of ``nr_pages`` frames, all of them missing (see build)."""
        super().__init__(rules, arch, nr_pages, -(-nr_pages // arch.pfns_per_leaf))
        self.auto_translated = auto_translated
        self.start_info_flags = start_info_flags
        self._table: Table = np.array(self.leaves.listed, np.int32)
        self.pieces: NDArray[np.int8] = np.zeros(0, np.int8)
        self.max_p2m_pfn = self.size
        self.last_pfn = self.size
        self.generation = 0
        self.extra: list[tuple[int, int]] = []

    @classmethod
    def build(
        cls,
        rules: Rules,
        arch: Arch,
        nr_pages: int,
        mfns: NDArray[np.uint64] | Iterable[tuple[int, int, int]],
        *,
        start_info_flags: int = 0,
        auto_translated: bool = False,
    ) -> LinearList:
        """Make the list from the domain builder's (xen_build_dynamic_phys_to_machine).

        ``mfns`` are the list's words (uint64, one a frame) or runs of (pfn, count, first machine frame).
        """
        made = cls(rules, arch, nr_pages, start_info_flags=start_info_flags, auto_translated=auto_translated)
        made.leaves.fill(mfns, nr_pages)
        return made

    @classmethod
    def from_runs(cls, rules: Rules, runs: RunMap) -> LinearList:
        """Make a list in its area that looks up as ``runs`` say below the map's end.

        RAM without a known machine frame becomes missing.
        """
        unit = runs.arch.pfns_per_mid
        made = cls(rules, runs.arch, 0)
        made.leaves, table = leaves_of_runs(runs, -(-runs.end_pfn // unit) * unit)
        made._take_area(table)
        made.last_pfn = made.size
        return made

    @property
    def size(self) -> int:
        """The number of words (xen_p2m_size)."""
        return len(self.table) * self.arch.pfns_per_leaf

    @property
    def table(self) -> Table:
        """The leaf number of every leaf slot (int32)."""
        return self._table

    # Lookup

    def get(self, pfn: int) -> int:
        """Return the raw word of one frame (__pfn_to_mfn)."""
        if pfn >= self.size:
            extra = pfn < self.max_p2m_pfn and any(start <= pfn < end for start, end in self.extra)
            return self.arch.invalid if extra else pfn | self.arch.identity_bit
        leaf = int(self.table[pfn // self.leaves.entries])
        if leaf == IDENTITY:
            return pfn | self.arch.identity_bit
        return self.leaves.word(leaf, pfn % self.leaves.entries)

    def past(self, pfns: Words) -> Words:
        """Return the words (uint64) of frames past the list."""
        words = pfns | np.uint64(self.arch.identity_bit)
        for start, end in self.extra:
            until = min(end, self.max_p2m_pfn)
            words[(pfns >= np.uint64(start)) & (pfns < np.uint64(until))] = self.arch.invalid
        return words

    def to_runs(self) -> RunMap:
        """Return the whole list as a map; frames past it are 1:1."""
        end = max(self.size, self.max_p2m_pfn)
        return RunMap(self.arch, end, Kind.IDENTITY, self._runs(end))

    def _runs(self, end: int) -> Iterator[Run]:
        yield from runs_of(self.leaves, self.table)
        at = self.size
        for first, last in sorted(self.extra):
            start, until = max(first, at), min(last, end)
            if start < until:
                yield Run(at, start - at, Kind.IDENTITY, None)
                yield Run(start, until - start, Kind.MISSING, None)
                at = until
        yield Run(at, end - at, Kind.IDENTITY, None)

    # Changing entries

    def store(self, start: int, end: int, word: int, provide: Callable[[int], bool] | None) -> int:
        """Store words from ``word`` on for the frames [start, end); return for how many that worked.

        ``provide`` gives a frame below a shared leaf a private one; shared pages are never written.
        """
        if self.auto_translated:
            return end - start
        invalid = word == self.arch.invalid
        done = 0
        pfn = start
        stop = min(end, self.size)
        while pfn < stop:
            until, leaf = self._ahead(pfn, stop)
            now = word if invalid else word + pfn - start
            if leaf >= FIRST_OWN:
                self.write(pfn, until, leaf, now)
            elif leaf == BLANK:
                if not invalid:
                    self._fill_blank(pfn // self.leaves.entries)
                    continue
            elif (invalid and leaf == MISSING) or (leaf == IDENTITY and now == pfn | self.arch.identity_bit):
                pass
            elif provide is None:
                pfn = until
                continue
            elif invalid and self._blank_whole(pfn, until):
                continue
            elif not provide(pfn):
                pfn = min(until, (pfn // self.leaves.entries + 1) * self.leaves.entries)
                continue
            else:
                continue
            done += until - pfn
            pfn = until
        if end > self.size:
            if invalid:
                done += end - max(start, stop)
            elif provide is not None or self.rules.list_store_past_end_is_bug:
                raise KernelBug("a frame past the end of the list is set")
        return done

    def _ahead(self, pfn: int, stop: int) -> tuple[int, int]:
        slot = pfn // self.leaves.entries
        return self.stretch(self._table[slot : slot + self.leaves.entries], pfn, stop)

    def set_phys_range_identity(self, start: int, end: int) -> int:
        """Make the frames [start, end) of the list 1:1 during boot; return how many.

        Frames past the list are 1:1 anyway, so the range is cut to it.  KernelBug where it meets a shared
        page: the call is for the time before xen_vmalloc_p2m_tree.
        """
        if start >= self.size:
            return 0
        if self.auto_translated:
            return end - start
        if start > end:
            return 0
        end = min(end, self.size)
        pfn = start
        while pfn < end:
            until, leaf = self._ahead(pfn, end)
            if leaf in (MISSING, IDENTITY):
                raise KernelBug("a shared page is written")
            if leaf == BLANK:
                self._fill_blank(pfn // self.leaves.entries)
                continue
            self.write(pfn, until, leaf, pfn | self.arch.identity_bit)
            pfn = until
        return end - start

    # New pages

    def _install(self, slot: int, leaf: int) -> None:
        self._table[slot] = leaf
        self.changed()
        if self.frame_list is not None and slot < self.arch.max_p2m_pfn // self.leaves.entries:
            self.frame_list.enter(*divmod(slot, self.leaves.entries), leaf)

    def _fill_blank(self, slot: int) -> None:
        """Give a leaf that holds nothing yet its page."""
        self._install(slot, self.leaves.take())

    @property
    def pmds_per_piece(self) -> int:
        """The page table pages of one mid-sized piece (PMDS_PER_MID_PAGE)."""
        return 1 if self.arch.bits == 64 else 2

    def provide(self, pfn: int) -> bool:
        """Make sure that a frame has a private leaf; False if a page is refused."""
        return self.alloc(pfn) == 0

    def alloc(self, pfn: int) -> int:
        """Make sure that a frame has a private leaf (xen_alloc_p2m_entry): 0, or -ENOMEM if refused.

        The other frames of a shared leaf keep what they are.  KernelBug past the end of the list.
        """
        if pfn >= self.size:
            raise KernelBug("the list has no page table there")
        slot = pfn // self.leaves.entries
        piece = slot // self.leaves.entries
        if len(self.pieces) and self.pieces[piece] != OWN:
            for _ in range(self.pmds_per_piece):
                if not self.take_page():
                    return -ENOMEM
            self.pieces[piece] = OWN
            self._count_changes(self.pmds_per_piece)
        frames = self.frame_list if pfn < self.arch.max_p2m_pfn else None
        if frames is not None and frames.top[piece] == MISSING:
            if not self.take_page():
                return -ENOMEM
            frames.own_mid(piece)
        shared = int(self.table[slot])
        if shared in (MISSING, IDENTITY):
            if not self.take_page():
                return -ENOMEM
            leaf = self.leaves.take()
            if shared == IDENTITY:
                start = slot * self.leaves.entries
                self.write(start, start + self.leaves.entries, leaf, start | self.arch.identity_bit)
            self._install(slot, leaf)
            self._count_changes(1)
        self._extend_last(pfn)
        return 0

    def _count_changes(self, pages: int) -> None:
        """Count up before and after each page that the list gets, in kernels that tell tools so."""
        if self.rules.list_generation:
            self.generation += 2 * pages

    def _extend_last(self, pfn: int) -> None:
        if self.rules.list_last_pfn is LastPfn.EXACT and pfn > self.last_pfn:
            self.last_pfn = pfn
        elif self.rules.list_last_pfn is LastPfn.ROUNDED and pfn >= self.last_pfn:
            self.last_pfn = (pfn // self.leaves.entries + 1) * self.leaves.entries
        else:
            return
        self.published_max_pfn = self.last_pfn

    def _blank_whole(self, pfn: int, until: int) -> bool:
        """Make whole shared identity leaves private and missing at once, as if frame by frame.

        False where that would not be the same: a part of a leaf, limited pages, or a frame list to keep.
        """
        entries = self.leaves.entries
        slots = slice(pfn // entries, until // entries)
        if pfn % entries or slots.start == slots.stop or self.frame_list or self.page_budget is not None:
            return False
        pieces = self.pieces[slots.start // entries : -(-slots.stop // entries)]
        self._count_changes(self.pmds_per_piece * int(np.count_nonzero(pieces != OWN)))
        pieces[:] = OWN
        self._count_changes(slots.stop - slots.start)
        self._table[slots] = BLANK
        self.changed()
        # Each leaf is allocated for its first frame; the others find it there.
        self._extend_last((slots.stop - 1) * entries)
        return True

    # The area

    def add_extra(self, start: int, pages: int) -> None:
        """Register a region of extra memory (balloon space): missing, although past the list."""
        self.extra.append((start, start + pages))

    def vmalloc_tree(self, hotplug_limit_gib: int = 0) -> None:
        """Move the list to its own area and share its uniform parts (xen_vmalloc_p2m_tree).

        Frames past the old list are 1:1, extra memory is missing.
        """
        self.last_pfn = self.max_p2m_pfn
        size = area_pages(self.arch, self.max_p2m_pfn, hotplug_limit_gib)
        entries = self.leaves.entries
        table: Table = np.full(size // entries, IDENTITY, np.int32)
        table[: len(self.table)] = self.table
        identity = np.uint64(self.arch.identity_bit)
        maybe = np.flatnonzero((self.leaves.first_words(self.table) & identity) != 0)
        for slot in maybe.tolist():
            words = self.leaves.page(int(self.table[slot]))
            missing = words == self.arch.invalid
            if missing.all():
                table[slot] = MISSING
            elif not missing.any() and (words & identity).all():
                table[slot] = IDENTITY
        self._take_area(table)
        for start, end in self.extra:
            self.set_range(start, min(end, size), self.arch.invalid)

    def _take_area(self, table: Table) -> None:
        self._table = table
        self.changed()
        self.max_p2m_pfn = self.size
        below = table.reshape(-1, self.leaves.entries)
        self.pieces = np.full(len(below), OWN, np.int8)
        self.pieces[(below == MISSING).all(axis=1)] = MISSING
        self.pieces[(below == IDENTITY).all(axis=1)] = IDENTITY

    # The view of tools

    def build_frame_list(self) -> None:
        """Build the frame list list, or refresh it after migration (xen_build_mfn_list_list)."""
        if self.auto_translated or self.start_info_flags & SIF_VIRT_P2M_4TOOLS:
            return
        if self.frame_list is None:
            self.frame_list = FrameList(self.arch.entries_per_page)
        self.frame_list.rebuild(self.pieces != OWN, self._table, self.tool_end() // self.leaves.entries)

    def setup_frame_list(self) -> int:
        """Publish the list to tools (xen_setup_mfn_list_list); return the published number of frames."""
        self.generation = 0
        exact = self.rules.list_last_pfn is LastPfn.ABSENT
        self.published_max_pfn = self.max_p2m_pfn if exact else self.last_pfn
        return self.published_max_pfn

    def tool_end(self) -> int:
        """Return the end of what the frame list can cover: it has three levels like the tree."""
        return min(self.max_p2m_pfn, self.arch.max_p2m_pfn)
