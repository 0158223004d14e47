"""The machine-to-physical table of a dump: from machine frames to guest frames, in bulk.

On a whole host it is Xen's own table, one 64-bit word a machine frame, at 0xffff828000000000 (Xen's view) and
0xffff800000000000 (the guests'): xen/include/asm-x86/config.h.  An ``xl dump-core`` does not contain it;
there the toolstack's list of pages is inverted.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from xenp2m.dump import layout
from xenp2m.dump.memory import Frames, Memory, merged
from xenp2m.dump.virtual import VirtualPages
from xenp2m.entry import NO_MFN

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


class CoreM2p:
    """The inverse of the page list of an ``xl dump-core``."""

    found_by = "inverse of .xen_p2m"

    def __init__(self, pfns: Frames, mfns: Frames) -> None:
        listed = np.flatnonzero(mfns < np.uint64(1 << 40))
        order = np.argsort(mfns[listed], kind="stable")
        self._mfns = mfns[listed][order]
        self._pfns = pfns[listed][order]

    @property
    def count(self) -> int:
        """Machine frames from 0 up to the end of the table."""
        return int(self._mfns[-1]) + 1 if len(self._mfns) else 0

    def lookup(self, mfns: Frames) -> Frames:
        """Return the guest frame of many machine frames; NO_PFN where the guest has none."""
        result = np.full(mfns.shape, np.uint64(NO_PFN))
        if len(self._mfns) == 0:
            return result
        at = np.minimum(np.searchsorted(self._mfns, mfns), len(self._mfns) - 1)
        found = self._mfns[at] == mfns
        result[found] = self._pfns[at[found]]
        return result


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
