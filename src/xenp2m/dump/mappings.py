"""What a guest's page tables map: its own RAM, I/O, other domains' frames, Xen, the M2P."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xenp2m.dump import layout
from xenp2m.dump.m2p import FrameSet, HostM2p
from xenp2m.dump.pagetable import Mappings, PageTables, WalkReport
from xenp2m.entry import Kind
from xenp2m.runs import RunMap


class Target(IntEnum):
    """What a mapping maps."""

    OWN_RAM = 0
    """A frame that the guest's p2m has as RAM."""
    IDENTITY = 1
    """A frame whose number is 1:1 in the p2m: I/O."""
    FOREIGN = 2
    """A frame that the p2m has as foreign."""
    M2P = 3
    """Xen's machine-to-physical table."""
    XEN = 4
    """Something else in Xen's address range."""
    UNKNOWN = 5
    """A frame that the p2m does not name."""

    @property
    def label(self) -> str:
        """The target as it is written in JSON and in texts."""
        return self.name.lower()


class Span(NamedTuple):
    """Consecutive mappings of one kind: addresses and frames both count up, the flags are the same.

    ``va`` is the first virtual address, ``mfn`` the first frame, ``pages`` the number of 4 KiB pages,
    ``flags`` the entry without its frame.
    """

    va: int
    mfn: int
    pages: int
    flags: int
    target: Target


class Classifier:
    """Says what mappings of one guest map, from its p2m."""

    def __init__(self, known: RunMap, m2p: HostM2p | None = None) -> None:
        self._map = known
        self._own = FrameSet(known, Kind.RAM)
        self._foreign = FrameSet(known, Kind.FOREIGN)
        self._m2p = np.empty((0, 2), np.uint64) if m2p is None else m2p.backing()

    def targets(self, mappings: Mappings) -> NDArray[np.uint8]:
        """Return the Target of each mapping (uint8), judged by its first frame."""
        mfns, vas = mappings.mfn, mappings.va
        result = np.full(len(mfns), Target.UNKNOWN, np.uint8)
        kinds, own = self._map.lookup(mfns)
        result[(kinds == Kind.IDENTITY) & (own == mfns)] = Target.IDENTITY
        result[self._foreign.has(mfns)] = Target.FOREIGN
        result[self._own.has(mfns)] = Target.OWN_RAM
        if self._map.arch.bits == 64:
            xen = (vas >= np.uint64(layout.XEN_START)) & (vas < np.uint64(layout.XEN_END))
            m2p = (vas >= np.uint64(layout.RO_M2P_START)) & (vas < np.uint64(layout.RO_M2P_END))
            m2p |= (vas >= np.uint64(layout.RW_M2P_START)) & (vas < np.uint64(layout.RW_M2P_END))
        else:
            xen = vas >= np.uint64(layout.XEN_START_32)
            m2p = np.zeros(len(vas), np.bool_)
        if len(self._m2p):
            at = np.maximum(np.searchsorted(self._m2p[:, 0], mfns, side="right") - 1, 0)
            m2p |= (mfns >= self._m2p[at, 0]) & (mfns < self._m2p[at, 1])
        result[xen] = Target.XEN
        result[m2p] = Target.M2P
        return result


def list_mappings(
    tables: PageTables, classifier: Classifier, *, xen: bool = False, report: WalkReport | None = None
) -> Iterator[Span]:
    """Yield everything that an address space maps, as spans, in order of address."""
    pending: Span | None = None
    for block in tables.blocks(xen=xen, report=report):
        for span in spans_of(block, classifier.targets(block)):
            if pending is not None and _continues(pending, span):
                pending = pending._replace(pages=pending.pages + span.pages)
                continue
            if pending is not None:
                yield pending
            pending = span
    if pending is not None:
        yield pending


def find_frames(tables: PageTables, start: int, end: int, *, report: WalkReport | None = None) -> Mappings:
    """Return every mapping of any machine frame of ``[start, end)``: of one frame, or of a whole BAR.

    Large pages that only partly lie in the range are included.
    """
    found = []
    for block in tables.blocks(report=report):
        chosen = (block.mfn < np.uint64(end)) & (block.mfn + block.pages > np.uint64(start))
        if bool(chosen.any()):
            found.append(block.only(chosen))
    return Mappings.join(found)


def _continues(before: Span, after: Span) -> bool:
    return (
        before.target == after.target
        and before.flags == after.flags
        and before.va + (before.pages << 12) == after.va
        and before.mfn + before.pages == after.mfn
    )


def spans_of(block: Mappings, targets: NDArray[np.uint8]) -> Iterator[Span]:
    """Yield sorted mappings with their targets (uint8) as spans."""
    if len(block.va) == 0:
        return
    flags = block.entry & ~np.uint64(layout.FRAME_MASK)
    size = block.pages[:-1]
    breaks = targets[1:] != targets[:-1]
    breaks |= flags[1:] != flags[:-1]
    breaks |= block.va[1:] != block.va[:-1] + (size << np.uint64(12))
    breaks |= block.mfn[1:] != block.mfn[:-1] + size
    starts = np.concatenate(([0], np.flatnonzero(breaks) + 1))
    pages = np.add.reduceat(block.pages, starts)
    for va, mfn, count, flag, target in zip(
        block.va[starts].tolist(),
        block.mfn[starts].tolist(),
        pages.tolist(),
        flags[starts].tolist(),
        targets[starts].tolist(),
        strict=True,
    ):
        yield Span(va, mfn, count, flag, Target(target))
