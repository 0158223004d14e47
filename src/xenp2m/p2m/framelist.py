"""The frame list list: the three levels of machine frames through which tools outside read a guest's p2m.

Sources: xen_build_mfn_list_list() in arch/x86/xen/p2m.c of Linux 3.15 to 7.0.  Leaf numbers stand for the
machine frames of the leaves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xenp2m.entry import Kind
from xenp2m.p2m.lookup import runs_of
from xenp2m.p2m.pages import MISSING, Leaves, Mids, Table
from xenp2m.runs import RunMap


class FrameList:
    """p2m_top_mfn and its mid_mfn pages; page MISSING is the shared p2m_mid_missing_mfn.

    ``top`` (int32) holds the number of each slot's mid_mfn page.
    """

    __slots__ = ("mids", "top")

    def __init__(self, entries: int) -> None:
        self.top: Table = np.zeros(entries, np.int32)
        self.mids = Mids(entries)

    def own_mid(self, slot: int) -> bool:
        """Give a top slot its own mid_mfn page; return whether it had none."""
        if self.top[slot] != MISSING:
            return False
        self.top[slot] = self.mids.take()
        return True

    def enter(self, slot: int, index: int, leaf: int) -> int:
        """Enter a leaf's frame below top slot ``slot``; return the leaf that was there."""
        row = self.mids.rows[self.top[slot]]
        before = int(row[index])
        row[index] = leaf
        return before

    def rebuild(self, skipped: NDArray[np.bool_], table: Table, slots: int) -> int:
        """Enter every leaf below the top slots that are not ``skipped``, as at boot and after migration.

        ``table`` has the leaf numbers of ``slots`` leaf slots or more.  Returns the number of mid_mfn pages
        that had to be taken.
        """
        entries = len(self.top)
        taken = 0
        for slot in range(-(-slots // entries)):
            if skipped[slot]:
                continue
            taken += self.own_mid(slot)
            below = table[slot * entries : min((slot + 1) * entries, slots)]
            self.mids.rows[self.top[slot], : len(below)] = below
        return taken

    def tool_runs(self, leaves: Leaves, end_pfn: int) -> RunMap:
        """Return what an outside tool reads for the frames [0, end_pfn)."""
        slots = -(-end_pfn // leaves.entries)
        table = self.mids.rows[self.top[: -(-slots // len(self.top))]].ravel()[:slots]
        runs = (
            run._replace(pages=min(run.pages, end_pfn - run.pfn))
            for run in runs_of(leaves, table, raw=True)
            if run.pfn < end_pfn
        )
        return RunMap(leaves.arch, end_pfn, Kind.MISSING, runs)
