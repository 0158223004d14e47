"""How many pages a predicted p2m has of its own, from ranges: nothing is built and no word is stored.

``replay`` does every change of memory setup on the real structure.  Counting pages needs less: of each leaf
slot whether it is private, shared missing or shared 1:1, and of the frames which ranges hold what.  Where a
guest does something that this does not follow (a kernel that writes to a shared page), the answer is None and
the structure has to be built.  Sources: arch/x86/xen/p2m.c of Linux 3.15, 3.18 and 6.1, as in ``tree``,
``identity``, ``early`` and ``list``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from xenp2m.boot.frames import BUILDER, FRESH, HOST, IDENTITY, MISSING, Frames
from xenp2m.boot.guest import Guest, OpKind, P2mOp
from xenp2m.p2m.list import area_pages
from xenp2m.rules import Structure

_MISSING, _IDENTITY, _OWN = 0, 1, 2
"""What a slot points to: the shared missing page, the shared 1:1 page, a private one."""

_Slots = NDArray[np.uint8]


class _UnusualError(Exception):
    """The guest does something that ranges do not tell."""


def footprint(guest: Guest) -> dict[str, int] | None:
    """Count the private ``mid`` and ``leaf`` pages of a guest's p2m; None where it has to be built.

    For a list, a mid is a private page table page and a leaf a private page of the list.
    """
    config = guest.config
    words_reach_markers = config.arch.bits == 32 and config.nr_pages >= config.arch.identity_bit >> 1
    if words_reach_markers:
        return None
    try:
        if guest.rules.structure is Structure.TREE:
            return _TreePages(guest).counted()
        return _list_pages(guest)
    except _UnusualError:
        return None


def _whole(frames: Frames, end: int, content: int, entries: int) -> Iterator[slice]:
    """Yield the slots below frame ``end`` all of whose frames hold ``content``, range by range."""
    start: int | None = None
    for first, _, held, _ in (*frames.pieces(0, end), (end, end, -1, 0)):
        if held == content:
            start = first if start is None else start
            continue
        if start is not None and -(-start // entries) < first // entries:
            yield slice(-(-start // entries), first // entries)
        start = None


def _check_entered(guest: Guest, op: P2mOp, end: int) -> None:
    """Refuse an entry past the p2m, or with marker bits in its word."""
    last = op.base + op.end - op.start
    if op.end > end or (op.kind is OpKind.NVS and last > guest.config.arch.identity_bit >> 1):
        raise _UnusualError


class _TreePages:
    """The tree of Linux up to 3.18 as what each slot points to."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.arch = guest.config.arch
        self.entries = self.arch.entries_per_page
        self.end = self.arch.max_p2m_pfn
        pages = min(guest.config.nr_pages, self.arch.max_domain_pages)
        self.leaves: _Slots = np.zeros(self.entries**2, np.uint8)
        self.tops: _Slots = np.zeros(self.entries, np.uint8)
        self.leaves[: -(-pages // self.entries)] = _OWN
        self.tops[: -(-pages // self.entries**2)] = _OWN
        self.frames = Frames(pages, self.end, MISSING)

    def counted(self) -> dict[str, int]:
        """Do the changes of memory setup and count."""
        for op in self.guest.ops:
            if op.kind is OpKind.IDENTITY:
                self._identity(op.start, op.end)
            elif op.kind is OpKind.RELEASE:
                self._write(op.start, min(op.end, self.end), MISSING)
            elif op.kind is OpKind.EXTRA:
                for first, stop, held, _ in self.frames.pieces(op.start, min(op.end, self.end)):
                    if held in (BUILDER, FRESH, HOST):
                        self._write(first, stop, MISSING)
            else:
                _check_entered(self.guest, op, self.end)
                self._enter(op.start, op.end)
        return {
            "mid": int(np.count_nonzero(self.tops == _OWN)),
            "leaf": int(np.count_nonzero(self.leaves == _OWN)),
        }

    def _slots(self, start: int, end: int) -> slice:
        return slice(start // self.entries, -(-end // self.entries))

    def _write(self, start: int, end: int, content: int) -> None:
        """Store words in what is private; a shared 1:1 page would take them for every frame below it."""
        if start >= end:
            return
        if (self.leaves[self._slots(start, end)] == _IDENTITY).any():
            raise _UnusualError
        self.frames.put(start, end, content)

    def _take_mid(self, pfn: int) -> bool:
        """Give a frame a private mid; False below the shared 1:1 mid, which stays."""
        top = pfn // self.entries**2
        if self.tops[top] == _MISSING:
            self.tops[top] = _OWN
        return bool(self.tops[top] == _OWN)

    def _take_leaf(self, pfn: int) -> None:
        if self._take_mid(pfn) and pfn % self.entries and self.leaves[pfn // self.entries] == _MISSING:
            self.leaves[pfn // self.entries] = _OWN

    def _identity(self, start: int, end: int) -> None:
        """Make frames 1:1 (``identity.set_range``)."""
        rules, below = self.guest.rules, self.entries**2
        if start >= self.end or start > end or (end >= self.end and not rules.clamp_identity_range):
            return
        end = min(end, self.end)
        if rules.compact_mid:
            for edge in (start, end):
                if edge % below:
                    self._take_leaf(edge)
        else:
            first, last = start // below, max(-(-end // below), start // below + (start % below > 0))
            touched = self.tops[first:last]
            touched[touched == _MISSING] = _OWN
            for edge in (start, end):
                if edge % self.entries:
                    self._take_leaf(edge)
        if start == end:
            return
        tops = self.tops[start // below : -(-end // below)]
        if rules.compact_mid:
            tops[tops == _MISSING] = _IDENTITY
        leaves = self.leaves[self._slots(start, end)]
        leaves[leaves == _MISSING] = _IDENTITY
        self.frames.put(start, end, IDENTITY)

    def _enter(self, start: int, end: int) -> None:
        """Enter machine frames (early_set_phys_to_machine): missing leaves are reused ones, else new."""
        slots = self._slots(start, end)
        leaves = self.leaves[slots]
        if (leaves == _IDENTITY).any():
            raise _UnusualError
        wanted = int(np.count_nonzero(leaves == _MISSING))
        if start % self.entries and wanted and leaves[0] == _MISSING:
            leaves[0] = _OWN
            wanted -= 1
        if wanted:
            self._reuse(wanted, slots)
            leaves[leaves == _MISSING] = _OWN
        tops = self.tops[start // self.entries**2 : -(-end // self.entries**2)]
        tops[tops == _MISSING] = _OWN
        self.frames.put(start, end, FRESH)

    def _reuse(self, wanted: int, slots: slice) -> None:
        """Take idle private leaves out of their slots, in frame order."""
        idle = np.full(self.leaves.shape, _OWN, np.uint8)
        for content, shared in ((MISSING, _MISSING), (IDENTITY, _IDENTITY)):
            for whole in _whole(self.frames, self.arch.max_domain_pages, content, self.entries):
                idle[whole] = shared
        candidates = np.flatnonzero((self.leaves == _OWN) & (idle != _OWN))
        candidates = candidates[candidates < self.arch.max_domain_pages // self.entries][:wanted]
        if len(candidates) and candidates[-1] >= slots.start and candidates[0] < slots.stop:
            raise _UnusualError
        self.leaves[candidates] = idle[candidates]


def _list_pages(guest: Guest) -> dict[str, int]:
    """Count the pages of a list in its area; before it has one, the pages of the builder's list."""
    config, entries = guest.config, guest.config.arch.entries_per_page
    listed = -(-config.nr_pages // entries)
    if guest.last_p2m_pfn is None:
        return {"mid": 0, "leaf": listed}
    frames = Frames(config.nr_pages, listed * entries, MISSING)
    for op in guest.ops:
        if op.kind is OpKind.IDENTITY and op.start < listed * entries:
            frames.put(op.start, min(op.end, listed * entries), IDENTITY)
        elif op.kind is OpKind.RELEASE:
            frames.put(op.start, op.end, MISSING)
    size = area_pages(config.arch, guest.last_p2m_pfn, config.hotplug_limit_gib)
    leaves: _Slots = np.full(max(size // entries, listed), _IDENTITY, np.uint8)
    leaves[:listed] = _OWN
    for content, shared in ((MISSING, _MISSING), (IDENTITY, _IDENTITY)):
        for whole in _whole(frames, listed * entries, content, entries):
            leaves[whole] = shared
    if len(leaves) * entries != size:
        raise _UnusualError
    below = leaves.reshape(-1, entries)
    mixed = below.min(axis=1) != below.max(axis=1)
    for op in guest.ops:
        if op.kind is OpKind.EXTRA:
            taken = leaves[op.start // entries : -(-min(op.end, size) // entries)]
            if op.start < min(op.end, size):
                taken[taken == _IDENTITY] = _OWN
    for op in guest.ops:
        if op.kind in (OpKind.MOVE, OpKind.NVS, OpKind.POPULATE):
            _check_entered(guest, op, size)
            leaves[op.start // entries : -(-op.end // entries)] = _OWN
    private = int(np.count_nonzero(mixed | (below == _OWN).any(axis=1)))
    return {
        "mid": private * (1 if config.arch.bits == 64 else 2),
        "leaf": int(np.count_nonzero(leaves == _OWN)),
    }
