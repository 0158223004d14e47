"""The machine-to-physical table of a dump: from machine frames to guest frames, in bulk.

On a whole host it is Xen's own table, one 64-bit word a machine frame, at 0xffff828000000000 (Xen's view) and
0xffff800000000000 (the guests'): xen/include/asm-x86/config.h.  An ``xl dump-core`` does not contain it;
there the toolstack's list of pages is inverted.
"""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xenp2m.arch import PTE_FRAMES
from xenp2m.dump import layout
from xenp2m.dump.memory import Frames, Memory, merged
from xenp2m.dump.virtual import VirtualPages
from xenp2m.entry import NO_MFN, Kind
from xenp2m.runs import RunMap

NO_PFN = NO_MFN
"""Stands for "no guest frame": what Xen stores for a frame without owner, and what is not mapped."""

SHARED_PFN = NO_PFN - 1
"""What Xen stores for a frame that several guests share."""


class M2p(Protocol):
    """From machine frames to guest frames."""

    found_by: str

    @property
    def count(self) -> int:
        """Machine frames from 0 up to the end of the table."""

    def lookup(self, mfns: Frames) -> Frames:
        """Return the table's words (uint64) for many machine frames; NO_PFN where there is none."""


class HostM2p:
    """Xen's table, read through a page table that maps it."""

    def __init__(self, memory: Memory, root: int, start: int, end: int, found_by: str) -> None:
        self.found_by = found_by
        self._pages = VirtualPages(memory, root, start, end)

    @property
    def count(self) -> int:
        """Machine frames from 0 up to the end of the table."""
        return self._pages.count * layout.ENTRIES

    def backing(self) -> Frames:
        """Return the machine frames that hold the table: sorted half-open ranges, shape (n, 2)."""
        _, counts, mfns = self._pages.spans()
        order = np.argsort(mfns)
        return merged(np.stack([mfns[order], mfns[order] + counts[order]], axis=1))

    def lookup(self, mfns: Frames) -> Frames:
        """Return the table's words for many machine frames; NO_PFN where the table has no page."""
        return self._pages.elements(mfns, NO_PFN)


class DenseLookup:
    """Frames by frame, as one array: ``table[frame]``, with NO_MFN where there is none."""

    def __init__(self, table: Frames) -> None:
        """Take the table (uint64)."""
        self._table = np.append(table, np.uint64(NO_MFN))

    @property
    def count(self) -> int:
        """Frames from 0 up to the end of the table."""
        return len(self._table) - 1

    def lookup(self, frames: Frames) -> Frames:
        """Look up many frames (uint64, any shape); NO_MFN where the table has none."""
        found: Frames = self._table[np.minimum(frames, np.uint64(self.count))]
        return found


def dense_p2m(known: RunMap) -> DenseLookup:
    """Make a table of machine frames by guest frame, for millions of lookups: 8 bytes a frame.

    It reaches to the end of RAM and foreign frames, and holds NO_MFN for missing frames; an identity frame
    is its own machine frame.  For guest frames past it ask the map.
    """
    end = max((run.end for run in known if run.kind in (Kind.RAM, Kind.FOREIGN)), default=0)
    return DenseLookup(known.lookup(np.arange(end, dtype=np.uint64))[1])


class FrameSet:
    """The machine frames of some kinds of a map, and which guest frames have them."""

    def __init__(self, known: RunMap, *kinds: Kind) -> None:
        rows = sorted(
            (run.mfn, run.pages, run.pfn) for run in known if run.kind in kinds and run.mfn is not None
        )
        table = np.array(rows, np.uint64).reshape(-1, 3)
        self._starts, self._counts, self._pfns = table[:, 0], table[:, 1], table[:, 2]

    @property
    def count(self) -> int:
        """Frames in the set; one that two guest frames have counts twice."""
        return int(self._counts.sum())

    def ranges(self) -> Frames:
        """Return the machine frames: half-open ranges sorted by start, shape (n, 2)."""
        return np.stack([self._starts, self._starts + self._counts], axis=1)

    def pfns(self, mfns: Frames) -> Frames:
        """Return the guest frame of each machine frame; NO_PFN where it is not in the set."""
        if len(self._starts) == 0:
            return np.full(mfns.shape, np.uint64(NO_PFN))
        at = np.maximum(np.searchsorted(self._starts, mfns, side="right") - 1, 0)
        within = mfns - self._starts[at]
        found = (mfns >= self._starts[at]) & (within < self._counts[at])
        return np.where(found, self._pfns[at] + within, np.uint64(NO_PFN))

    def has(self, mfns: Frames) -> NDArray[np.bool_]:
        """Say which machine frames are in the set."""
        found: NDArray[np.bool_] = self.pfns(mfns) != np.uint64(NO_PFN)
        return found


class CoreM2p:
    """The inverse of the page list of an ``xl dump-core``."""

    found_by = "inverse of .xen_p2m"

    def __init__(self, pfns: Frames, mfns: Frames) -> None:
        self._columns = (pfns, mfns)

    @cached_property
    def _dense(self) -> DenseLookup | None:
        """The table, made when it is first asked for; None when it would be much larger than the list."""
        pfns, mfns = self._columns
        if self.count > 64 * len(mfns) + (1 << 20):
            return None
        listed = mfns < np.uint64(PTE_FRAMES)
        table = np.full(self.count, np.uint64(NO_PFN))
        table[mfns[listed].astype(np.int64)] = pfns[listed]
        return DenseLookup(table)

    @cached_property
    def _sorted(self) -> tuple[Frames, Frames]:
        pfns, mfns = self._columns
        listed = np.flatnonzero(mfns < np.uint64(PTE_FRAMES))
        order = listed[np.argsort(mfns[listed], kind="stable")]
        return mfns[order], pfns[order]

    @cached_property
    def count(self) -> int:
        """Machine frames from 0 up to the end of the table."""
        mfns = self._columns[1]
        return int(mfns[mfns < np.uint64(PTE_FRAMES)].max(initial=0)) + 1

    def lookup(self, mfns: Frames) -> Frames:
        """Return the guest frame of many machine frames; NO_PFN where the guest has none."""
        if self._dense is not None:
            return self._dense.lookup(mfns)
        known, pfns = self._sorted
        at = np.minimum(np.searchsorted(known, mfns), len(known) - 1)
        return np.where(known[at] == mfns, pfns[at], np.uint64(NO_PFN))


def host_m2p(memory: Memory, root: int) -> HostM2p | None:
    """Find the table through a page table: Xen's view, else the guests'; None when neither is mapped."""
    for start, end, view in (
        (layout.RW_M2P_START, layout.RW_M2P_END, "Xen's view"),
        (layout.RO_M2P_START, layout.RO_M2P_END, "the guests' view"),
    ):
        table = HostM2p(memory, root, start, end, f"{view} through the page table {root:#x}")
        if table.count:
            return table
    return None
