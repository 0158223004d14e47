"""What the two shapes of the p2m have in common: leaf pages, an allocator that may refuse, and warnings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from xenp2m.arch import Arch
from xenp2m.display import Pictured
from xenp2m.p2m.framelist import FrameList
from xenp2m.p2m.lookup import Reader, Stretch, stretches
from xenp2m.p2m.pages import Leaves, Table, Words
from xenp2m.rules import Rules
from xenp2m.runs import RunMap


class PagedP2m(Pictured, ABC):
    """A p2m made of leaf pages, as one kernel keeps it.

    ``max_p2m_pfn`` is xen_max_p2m_pfn, ``published_max_pfn`` what tools were told of it.
    ``frame_list`` is None until it is built.  ``warnings`` collects the WARN conditions met.
    ``runtime_pages`` counts the pages taken from the page allocator; ``page_budget`` is how many more it will
    give (None: no limit).
    """

    def __init__(self, rules: Rules, arch: Arch, nr_pages: int, list_pages: int) -> None:
        self.rules = rules
        self.arch = arch
        self.auto_translated = False
        self.nr_pages = nr_pages
        self.max_p2m_pfn = 0
        self.published_max_pfn = 0
        self.frame_list: FrameList | None = None
        self.warnings: list[str] = []
        self.runtime_pages = 0
        self.page_budget: int | None = None
        self.leaves = Leaves(arch, list_pages)
        self._reader: Reader | None = None

    @property
    @abstractmethod
    def table(self) -> Table:
        """The leaf number of every leaf slot (int32)."""

    @abstractmethod
    def get(self, pfn: int) -> int:
        """Return the raw word of one frame."""

    @abstractmethod
    def past(self, pfns: Words) -> Words:
        """Return the words (uint64) of frames past the last leaf slot."""

    def get_array(self, pfns: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the raw words (uint64) of many frames (uint64, any shape), in their shape."""
        if self._reader is None:
            self._reader = Reader(self.leaves, self.table)
        return self._reader.read(pfns, self.past)

    @abstractmethod
    def to_runs(self) -> RunMap:
        """Return the whole p2m as a map."""

    @abstractmethod
    def tool_end(self) -> int:
        """Return the end of what the frame list covers, in frames."""

    def tool_runs(self) -> RunMap | None:
        """Return what a tool outside reads through the frame list; None without one.

        Shared identity pages hold INVALID, so what they stand for reads as missing.
        """
        return self.frame_list.tool_runs(self.leaves, self.tool_end()) if self.frame_list else None

    def set_inner(self, pfn: int, word: int) -> bool:
        """Store a word if that needs no page; return whether the entry is now taken care of.

        (__set_phys_to_machine.)  KernelBug for a word other than INVALID past the end, in kernels that stop
        there.
        """
        return self.store(pfn, pfn + 1, word, None) == 1

    def set(self, pfn: int, word: int) -> bool:
        """Store a word, with new pages if it needs them (set_phys_to_machine); False if there are none."""
        return self.store(pfn, pfn + 1, word, self.provide) == 1

    def set_inner_range(self, start: int, end: int, word: int) -> int:
        """Call set_inner for the frames [start, end) in order; return how often it was true.

        The word counts up with the frame; INVALID stays as it is.
        """
        return self.store(start, end, word, None)

    def set_range(self, start: int, end: int, word: int) -> int:
        """Call set for the frames [start, end), as set_inner_range does."""
        return self.store(start, end, word, self.provide)

    @abstractmethod
    def provide(self, pfn: int) -> bool:
        """Make sure at run time that a frame has a private leaf; False if a page is refused."""

    @abstractmethod
    def store(self, start: int, end: int, word: int, provide: Callable[[int], bool] | None) -> int:
        """Store words from ``word`` on for the frames [start, end); return for how many that worked.

        ``provide`` gives a frame a private leaf if it can; without it, shared leaves stay.
        """

    def stretch(self, leaves: Table, pfn: int, stop: int) -> tuple[int, int]:
        """Return the end of the stretch of leaves at ``pfn``, and its first leaf; not past ``stop``.

        ``leaves`` are the leaf numbers from ``pfn``'s on.
        """
        found: Stretch = next(stretches(leaves))
        entries = self.leaves.entries
        return min(stop, (pfn // entries + found.end) * entries), found.leaf

    def write(self, pfn: int, until: int, leaf: int, word: int) -> None:
        """Write words that count up from ``word`` (or INVALID) to the private leaves from ``leaf`` on."""
        target = self.leaves.part(leaf, pfn % self.leaves.entries, until - pfn)
        if word == self.arch.invalid:
            target[:] = word
        else:
            target[:] = np.arange(word, word + until - pfn, dtype=np.uint64)

    def changed(self) -> None:
        """Note that the table of leaves is not what it was."""
        self._reader = None

    def warn(self, condition: str) -> None:
        """Note that a WARN condition holds."""
        self.warnings.append(condition)

    def take_page(self) -> bool:
        """Take a page from the page allocator; False if it refuses."""
        if self.page_budget == 0:
            return False
        if self.page_budget is not None:
            self.page_budget -= 1
        self.runtime_pages += 1
        return True
