"""The three-level p2m tree of Linux up to 3.18 (arch/x86/xen/p2m.c).

Top, mid and leaf pages; whole missing or 1:1 parts share one page a level, which the kernel knows by its
address and not by what it holds.  Everything here is exact to the quirks: a kernel that writes to a shared
page does so here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from xenp2m.arch import Arch
from xenp2m.entry import Kind
from xenp2m.errors import UsageError
from xenp2m.p2m.base import PagedP2m
from xenp2m.p2m.bug import KernelBug
from xenp2m.p2m.early import alloc_leaf, alloc_mid, idle_leaves, reuse_leaf
from xenp2m.p2m.framelist import FrameList
from xenp2m.p2m.identity import set_range, store_identity
from xenp2m.p2m.lookup import leaves_of_runs, runs_of
from xenp2m.p2m.pages import IDENTITY, MISSING, Mids, Table, Words
from xenp2m.rules import Rules
from xenp2m.runs import RunMap


class Tree(PagedP2m):
    """A p2m tree as one kernel keeps it.

    ``top`` (int32) holds the number of the mid page of each top slot, and ``mids`` the leaf numbers of each
    mid page.  ``brk_pages`` and ``boot_pages`` count the pages taken during boot, by allocator.
    ``identity_steps`` counts how often the loops of set_phys_range_identity went round: the time they take.
    """

    def __init__(self, rules: Rules, arch: Arch, nr_pages: int, *, auto_translated: bool = False) -> None:
        """Make the tree of a builder's list of ``nr_pages`` frames, all of them missing (see build)."""
        entries = arch.entries_per_page
        max_pfn = min(nr_pages, arch.max_domain_pages)
        list_pages = 0 if auto_translated else -(-max_pfn // entries)
        super().__init__(rules, arch, nr_pages, list_pages)
        self.auto_translated = auto_translated
        self.max_p2m_pfn = max_pfn
        self.revectored = False
        self.boot_pages = 0
        self.identity_steps = 0
        self.mids = Mids(entries)
        self.top: Table = np.zeros(entries, np.int32)
        # p2m_missing, p2m_identity, p2m_mid_missing, p2m_top and, with the compact mid, p2m_mid_identity.
        self.brk_pages = 0 if auto_translated else 4 + rules.compact_mid
        for slot in range(-(-list_pages // entries)):
            self.top[slot] = self.mids.take()
            self.brk_pages += 1
            row = self.mids.rows[self.top[slot]]
            count = min(entries, list_pages - slot * entries)
            start = self.leaves.listed.start + slot * entries
            row[:count] = np.arange(start, start + count)

    @classmethod
    def build(
        cls,
        rules: Rules,
        arch: Arch,
        nr_pages: int,
        mfns: NDArray[np.uint64] | Iterable[tuple[int, int, int]],
        *,
        auto_translated: bool = False,
    ) -> Tree:
        """Make the tree from the domain builder's list (xen_build_dynamic_phys_to_machine).

        ``mfns`` are the list's words (uint64, one a frame) or runs of (pfn, count, first machine frame).
        Kernels that keep the frame list in boot memory (up to 3.17) build it right away.
        """
        tree = cls(rules, arch, nr_pages, auto_translated=auto_translated)
        if auto_translated:
            return tree
        tree.leaves.fill(mfns, tree.max_p2m_pfn)
        if rules.mid_mfn_in_brk:
            tree.build_frame_list()
        return tree

    @classmethod
    def from_runs(cls, rules: Rules, runs: RunMap) -> Tree:
        """Make a tree that looks up as ``runs`` say, in as few pages as the rules allow.

        RAM without a known machine frame becomes missing.
        """
        arch = runs.arch
        if runs.end_pfn > arch.max_p2m_pfn:
            raise UsageError(
                "the map does not fit a tree",
                expected=f"{arch.max_p2m_pfn:#x} frames at most",
                found=f"{runs.end_pfn:#x}",
            )
        tree = cls(rules, arch, 0)
        tree.leaves, table = leaves_of_runs(runs, arch.max_p2m_pfn)
        entries = arch.entries_per_page
        for slot, below in enumerate(table.reshape(entries, entries)):
            if rules.compact_mid and (below == IDENTITY).all():
                tree.top[slot] = IDENTITY
            elif (below != MISSING).any():
                tree.top[slot] = tree.mids.take()
                tree.mids.rows[tree.top[slot]] = below
        return tree

    # Lookup

    @property
    def table(self) -> Table:
        """The leaf number of every leaf slot below MAX_P2M_PFN (int32)."""
        return self.mids.rows[self.top].ravel()

    def slot(self, pfn: int) -> tuple[int, int]:
        """Return the top slot and the mid slot of a frame; KernelBug at or past MAX_P2M_PFN."""
        if pfn >= self.arch.max_p2m_pfn:
            raise KernelBug("pfn >= MAX_P2M_PFN")
        return divmod(pfn // self.arch.pfns_per_leaf, self.arch.entries_per_page)

    def leaf(self, pfn: int) -> int:
        """Return the number of a frame's leaf."""
        top, mid = self.slot(pfn)
        return int(self.mids.rows[self.top[top], mid])

    def get(self, pfn: int) -> int:
        """Return the raw word of one frame (get_phys_to_machine)."""
        if pfn >= self.arch.max_p2m_pfn:
            return pfn | self.arch.identity_bit if self.rules.high_identity else self.arch.invalid
        leaf = self.leaf(pfn)
        if leaf == IDENTITY:
            return pfn | self.arch.identity_bit
        return self.leaves.word(leaf, pfn % self.leaves.entries)

    def past(self, pfns: Words) -> Words:
        """Return the words (uint64) of frames at or past MAX_P2M_PFN."""
        if self.rules.high_identity:
            return pfns | np.uint64(self.arch.identity_bit)
        return np.full(pfns.shape, self.arch.invalid, np.uint64)

    def to_runs(self) -> RunMap:
        """Return the whole tree, [0, MAX_P2M_PFN), as a map."""
        beyond = Kind.IDENTITY if self.rules.high_identity else Kind.MISSING
        return RunMap(self.arch, self.arch.max_p2m_pfn, beyond, runs_of(self.leaves, self.table))

    # Changing entries

    def early_set(self, pfn: int, word: int) -> bool:
        """Store a word during boot (early_set_phys_to_machine).

        Where it needs a leaf, one that holds nothing or only 1:1 words is reused before a new one is taken.
        """
        return self.early_set_range(pfn, pfn + 1, word) == 1

    def early_set_range(self, start: int, end: int, word: int) -> int:
        """Call early_set for the frames [start, end), as set_inner_range does for set_inner."""
        idle = idle_leaves(self)

        def provide(pfn: int) -> bool:
            alloc_mid(self, pfn)
            return reuse_leaf(self, pfn, idle) or alloc_leaf(self, pfn)

        return self.store(start, end, word, provide)

    def set_phys_range_identity(self, start: int, end: int) -> int:
        """Make the frames [start, end) 1:1 during boot; return the count that the kernel returns.

        ``end`` may lie past the end of the tree.  The count can exceed the frames asked for (with a warning)
        when the end lies in a part that was 1:1 before, and is negative for a backward range of an
        auto-translated guest.
        """
        return set_range(self, start, end)

    def store(self, start: int, end: int, word: int, provide: Callable[[int], bool] | None) -> int:
        """Store words from ``word`` on for the frames [start, end); return for how many that worked.

        ``provide`` gives a frame below a missing leaf a private one; without it, shared leaves stay.
        """
        if self.auto_translated:
            return end - start
        stop = min(end, self.arch.max_p2m_pfn)
        invalid = word == self.arch.invalid
        room = end - start if invalid else self.arch.frame_mask + 1 - (word & self.arch.frame_mask)
        if room < end - start:
            done = self.store(start, start + room, word, provide)
            return done + self.store(start + room, end, word + room & self.arch.word_mask, provide)
        done = 0
        if word & self.arch.identity_bit and not invalid:
            if start < stop:
                store_identity(self, start, stop, word)
                done = stop - start
        else:
            pfn = start
            while pfn < stop:
                top, mid = self.slot(pfn)
                until, leaf = self.stretch(self.mids.rows[self.top[top], mid:], pfn, stop)
                if leaf == MISSING and not invalid and provide is not None:
                    until = min(until, (pfn // self.leaves.entries + 1) * self.leaves.entries)
                    if provide(pfn):
                        leaf = self.leaf(pfn)
                if leaf == MISSING:
                    done += invalid * (until - pfn)
                else:
                    self.write(pfn, until, leaf, word if invalid else word + pfn - start)
                    done += until - pfn
                pfn = until
        if end > self.arch.max_p2m_pfn:
            if not invalid:
                raise KernelBug("a frame at or past MAX_P2M_PFN is set")
            done += end - max(start, stop)
        return done

    def write(self, pfn: int, until: int, leaf: int, word: int) -> None:
        """Write words to private leaves or, as the kernel does unawares, to the shared identity leaf."""
        if leaf != IDENTITY:
            super().write(pfn, until, leaf, word)
            return
        # The last writer of each word wins.
        first = max(pfn, until - self.leaves.entries)
        values: Words | int = word
        if word != self.arch.invalid:
            values = np.arange(first - pfn, until - pfn, dtype=np.uint64) + np.uint64(word)
        self.leaves.page(IDENTITY)[np.arange(first, until) % self.leaves.entries] = values

    # New pages

    def install(self, top: int, mid: int, leaf: int) -> None:
        """Put a leaf into a slot of a mid page."""
        self.mids.rows[self.top[top], mid] = leaf
        self.changed()

    def provide(self, pfn: int) -> bool:
        """Make sure at run time that a frame has a private leaf (alloc_p2m)."""
        return self.alloc(pfn)

    def alloc(self, pfn: int) -> bool:
        """Make sure at run time that a frame has a private leaf (alloc_p2m); False if a page is refused.

        A shared identity leaf is replaced by one that is all missing.
        """
        top, mid = self.slot(pfn)
        if self.top[top] == MISSING:
            if not self.take_page():
                return False
            self.top[top] = self.mids.take()
            self.changed()
        if self.frame_list is not None and self.frame_list.top[top] == MISSING:
            if not self.take_page():
                return False
            self.frame_list.own_mid(top)
        if self.mids.rows[self.top[top], mid] in (MISSING, IDENTITY):
            if not self.take_page():
                return False
            leaf = self.leaves.take()
            self.install(top, mid, leaf)
            if self.frame_list is not None:
                self.frame_list.enter(top, mid, leaf)
        return True

    # The view of tools

    def build_frame_list(self) -> None:
        """Build the frame list list, or refresh it after migration (xen_build_mfn_list_list)."""
        if self.auto_translated:
            return
        taken = 0
        if self.frame_list is None:
            self.frame_list = FrameList(self.arch.entries_per_page)
            # p2m_mid_missing_mfn, p2m_top_mfn and p2m_top_mfn_p; from patch 3 up to 3.17 also the unused
            # p2m_mid_identity_mfn.
            taken = 3 + (self.rules.compact_mid and self.rules.mid_mfn_in_brk)
        slots = -(-self.max_p2m_pfn // self.leaves.entries)
        taken += self.frame_list.rebuild(self.top == MISSING, self.table, slots)
        if self.rules.mid_mfn_in_brk:
            self.brk_pages += taken
        else:
            self.boot_pages += taken

    def setup_frame_list(self) -> int:
        """Publish the frame list (xen_setup_mfn_list_list); return the published number of frames."""
        self.published_max_pfn = self.max_p2m_pfn
        return self.published_max_pfn

    def tool_end(self) -> int:
        """Return xen_max_p2m_pfn: tools are told of no more."""
        return self.max_p2m_pfn

    def revector(self) -> bool:
        """Move the builder's list to pages of the kernel's own (xen_revector_p2m_tree); False if it stays.

        Lookups do not change.  Only 64-bit kernels move it, and only once.
        """
        if self.arch.bits == 32 or self.auto_translated or self.revectored:
            return False
        self.revectored = True
        return True
