"""Xen's frame table: who owns each machine frame.  Through it, every domain of a host dump.

One struct page_info of 32 bytes a machine frame at 0xffff82e000000000; its ``_domain`` is the page number of
the owner's struct domain, whose first 16 bits are the domain's id and which points to its shared_info.
Source: xen/include/asm-x86/mm.h and xen/include/xen/sched.h; measured on Xen 4.17.  What is found is checked
both ways, so that another layout finds nothing instead of something else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xenp2m.dump import layout
from xenp2m.dump.memory import Frames, Memory
from xenp2m.dump.pagetable import PageTables
from xenp2m.dump.virtual import VirtualPages
from xenp2m.progress import track
from xenp2m.units import PAGE_SHIFT

_PER_PAGE = 4096 // layout.PAGE_INFO_SIZE
_FIRST_RESERVED = 0x7FF0
"""DOMID_FIRST_RESERVED: ids from here on are no domains."""
_MAX_OWNERS = 0x8000  # ids are below 0x7ff0; in a damaged table any word can look like an owner
_POINTERS = 64  # words of struct domain among which the pointer to shared_info is looked for


@dataclass(frozen=True, slots=True)
class Owner:
    """A domain: id, frame of its struct domain, frames owned, frame of its shared_info."""

    domid: int
    frame: int
    pages: int
    shared_info: int


class FrameTable:
    """The frame table, read through a page table that maps it."""

    def __init__(self, memory: Memory, root: int) -> None:
        self.memory = memory
        self.root = root
        self._pages = VirtualPages(memory, root, layout.FRAME_TABLE_START, layout.FRAME_TABLE_END)

    @property
    def count(self) -> int:
        """Machine frames from 0 up to the end of the table."""
        return self._pages.count * _PER_PAGE

    def _fields(self, pages: Frames) -> tuple[Frames, Frames]:
        """Return types (top bits of type_info) and owners of the frames in some pages of the table."""
        read = self._pages.read(pages)
        rows = read.words.reshape(-1, layout.PAGE_INFO_SIZE // 8)
        used = (rows[:, layout.PAGE_INFO_COUNT // 8] != 0) | (rows[:, layout.PAGE_INFO_TYPE // 8] != 0)
        owners = rows[:, layout.PAGE_INFO_OWNER // 8] & np.uint64(0xFFFF_FFFF)
        return rows[:, layout.PAGE_INFO_TYPE // 8] >> np.uint64(layout.PGT_SHIFT), np.where(used, owners, 0)

    def owner(self, mfns: Frames) -> Frames:
        """Return the owner field (frame of struct domain) of many machine frames; 0 where there is none."""
        per = np.uint64(layout.PAGE_INFO_SIZE // 8)
        words = self._pages.elements(mfns * per + np.uint64(layout.PAGE_INFO_OWNER // 8), 0)
        return words & np.uint64(0xFFFF_FFFF)

    def owners(self) -> list[Owner]:
        """Return the domains whose struct domain, shared_info and frames name each other."""
        counts: dict[int, int] = {}
        for page_numbers in track("reading Xen's frame table", self._pages.present(), self._pages.count, len):
            _, owners = self._fields(page_numbers)
            found, numbers = np.unique(owners[owners != 0], return_counts=True)
            for owner, number in zip(found.tolist(), numbers.tolist(), strict=True):
                counts[owner] = counts.get(owner, 0) + number
        result = []
        largest = sorted(counts.items(), key=lambda item: -item[1])[:_MAX_OWNERS]
        for frame, pages in largest:
            owner = self._owner(frame, pages)
            if owner is not None:
                result.append(owner)
        return sorted(result, key=lambda each: each.domid)

    def _owner(self, frame: int, pages: int) -> Owner | None:
        read = self.memory.read_pages(np.array([frame], np.uint64))
        if not read.present[0]:
            return None
        domid = int(read.words[0, 0]) & 0xFFFF
        if domid >= _FIRST_RESERVED:
            return None
        tables = PageTables(self.memory, self.root)
        for word in read.words[0, 1:_POINTERS].tolist():
            if word & 0xFFF or not layout.DIRECT_MAP_START <= word < layout.XEN_END:
                continue
            mfn = tables.translate(word).mfn
            if mfn is None:
                mfn = (word - layout.DIRECT_MAP_START) >> PAGE_SHIFT
            if int(self.owner(np.array([mfn], np.uint64))[0]) == frame:
                return Owner(domid, frame, pages, mfn)
        return None

    def top_tables(self, owner: int) -> list[int]:
        """Return the frames of the validated top-level page tables that a domain owns."""
        found: list[int] = []
        for pages in track("looking for page tables", self._pages.present(), self._pages.count, len):
            types, owners = self._fields(pages)
            rows = np.flatnonzero((types == layout.PGT_L4) & (owners == np.uint64(owner)))
            numbers = pages[rows // _PER_PAGE].astype(np.int64) * _PER_PAGE + rows % _PER_PAGE
            found.extend(numbers.tolist())
        return found
