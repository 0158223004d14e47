"""An array that Xen keeps in virtual memory, read by its pages: the M2P, the frame table."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from xenp2m.dump.memory import Frames, Memory, Pages, absent
from xenp2m.dump.pagetable import Mappings, PageTables
from xenp2m.units import PAGE_SHIFT

_SPARE = 1 << 18  # pages of one large page, of which the dump may hold few
_NO_FRAME = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


class VirtualPages:
    """The pages of ``[start, end)`` of an address space, numbered from 0."""

    def __init__(self, memory: Memory, root: int, start: int, end: int) -> None:
        self.memory = memory
        self._held = memory.held
        blocks: list[Mappings] = []
        total = 0
        for block in PageTables(memory, root).blocks(start, end, xen=True):
            blocks.append(block)
            total += len(block.va)
            if total > 2 * self._held + _SPARE:
                break  # Xen maps each page once: this is no table of Xen's
        found = Mappings.join(blocks)
        self._starts = (found.va - np.uint64(start)) >> np.uint64(PAGE_SHIFT)
        self._counts = found.pages
        self._mfns = found.mfn
        self.count = int((self._starts + self._counts).max()) if len(found.va) else 0
        """Pages up to the end of the last one mapped."""

    def spans(self) -> tuple[Frames, Frames, Frames]:
        """Return the mapped spans: first page number, pages, first machine frame (uint64 arrays)."""
        return self._starts, self._counts, self._mfns

    def present(self, chunk: int = 4096) -> Iterator[Frames]:
        """Yield the numbers of the pages that are mapped and in the dump, at most ``chunk`` at a time."""
        ranges = self.memory.ranges()
        if len(ranges) == 0:
            return
        looked_at = 0
        ends = np.cumsum(self._counts)
        at = 0
        while at < len(ends) and looked_at <= 2 * self._held + _SPARE:
            base = int(ends[at - 1]) if at else 0
            stop = max(int(np.searchsorted(ends, np.uint64(base + chunk), side="right")), at + 1)
            counts = self._counts[at:stop].astype(np.int64)
            firsts = np.repeat(ends[at:stop].astype(np.int64) - counts - base, counts)
            within = (np.arange(int(counts.sum())) - firsts).astype(np.uint64)
            pages = np.repeat(self._starts[at:stop], counts) + within
            frames = np.repeat(self._mfns[at:stop], counts) + within
            index = np.searchsorted(ranges[:, 0], frames, side="right") - 1
            held = (index >= 0) & (frames < ranges[index, 1])
            looked_at += len(pages)
            at = stop
            kept = pages[held]
            for piece in range(0, len(kept), chunk):
                yield kept[piece : piece + chunk]

    def frames(self, pages: Frames) -> Frames:
        """Return the machine frame behind each page number; all ones where nothing is mapped."""
        if len(self._starts) == 0:
            return np.full(len(pages), _NO_FRAME)
        index = np.maximum(np.searchsorted(self._starts, pages, side="right") - 1, 0)
        within = pages - self._starts[index]
        return np.where(
            (pages >= self._starts[index]) & (within < self._counts[index]),
            self._mfns[index] + within,
            _NO_FRAME,
        )

    def read(self, pages: Frames) -> Pages:
        """Read pages by number; those not mapped or not in the dump are masked."""
        frames = self.frames(pages)
        mapped = frames != _NO_FRAME
        if bool(mapped.all()):
            return self.memory.read_pages(frames)
        result = absent(len(pages))
        read = self.memory.read_pages(frames[mapped])
        result.words[mapped] = read.words
        result.present[mapped] = read.present
        return result

    def elements(self, numbers: NDArray[np.uint64], default: int) -> Frames:
        """Return the words (uint64) of the given numbers, in bulk; ``default`` where there is none."""
        result = np.full(numbers.shape, np.uint64(default))
        inside = numbers < np.uint64(self.count << 9)
        if not bool(inside.any()):
            return result
        kept = numbers if bool(inside.all()) else numbers[inside]
        rows = (kept >> np.uint64(9)).astype(np.int64)
        low, high = int(rows.min()), int(rows.max())
        if high - low < 1 << 24:
            used = np.zeros(high - low + 1, np.bool_)
            used[rows - low] = True
            pages = np.flatnonzero(used).astype(np.uint64) + np.uint64(low)
            place = (np.cumsum(used) - 1)[rows - low]
        else:
            unique, place = np.unique(rows, return_inverse=True)
            pages = unique.astype(np.uint64)
        read = self.read(pages)
        words = read.words[place, (kept & np.uint64(511)).astype(np.int64)]
        words[~read.present[place]] = np.uint64(default)
        result[inside] = words
        return result
