"""The kernel's way with E820 maps: sanitising, holes, alignment, and its own bounded table.

Ranges are plain tuples ``(start, end, type)`` in bytes with ``end`` modulo 2^64; an entry that wraps has its
end below its start, as in the kernel, which keeps a size (arch/x86/kernel/e820.c of Linux 3.12 and 6.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import itemgetter

from xenp2m.machine import E820Type
from xenp2m.units import PAGE_SHIFT, PAGE_SIZE

ADDRESS_MASK = (1 << 64) - 1
TABLE_ENTRIES = 320
"""Entries of the kernel's own table: 128 + 3 * MAX_NUMNODES, with CONFIG_NODES_SHIFT=6."""

RAM = int(E820Type.RAM)
RESERVED = int(E820Type.RESERVED)
NVS = int(E820Type.NVS)
UNUSABLE = int(E820Type.UNUSABLE)

_KEPT_APART = frozenset((int(E820Type.PRAM), int(E820Type.SOFT_RESERVED)))

Range = tuple[int, int, int]


def sanitise(
    entries: Sequence[Range], limit: int | None, *, persistent_kept_apart: bool = False
) -> list[Range]:
    """Sort a map, resolve its overlaps and merge what touches; the highest type number wins.

    At most ``limit`` entries come out (None: all), so the top of a map is lost when overlaps need more.  A
    map of fewer than two entries, or with an entry that wraps past 2^64, comes back as it is.  With
    ``persistent_kept_apart``, entries of types 12 and 0xefffffff are not merged.
    """
    if len(entries) < 2 or any(end < start for start, end, _ in entries):
        return list(entries)
    apart = _KEPT_APART if persistent_kept_apart else frozenset[int]()
    merged: list[Range] = []
    pending = sorted(entry for entry in entries if entry[0] != entry[1])
    at = 0
    while at < len(pending):
        first = at
        reach = pending[at][1]
        at += 1
        while at < len(pending) and pending[at][0] < reach:
            reach = max(reach, pending[at][1])
            at += 1
        cluster = pending[first:at]
        pieces = cluster if len(cluster) == 1 else _sweep(cluster, apart)
        for piece in pieces:
            if merged and merged[-1][1:] == piece[::2] and piece[2] not in apart:
                merged[-1] = merged[-1][0], piece[1], piece[2]
            else:
                merged.append(piece)
    return merged[:limit]


def _sweep(cluster: Sequence[Range], apart: frozenset[int]) -> Iterable[Range]:
    """Cut a cluster of overlapping entries at every edge and give each piece its highest type."""
    edges = sorted({edge for entry in cluster for edge in entry[:2]})
    by_type = sorted(cluster, key=itemgetter(2), reverse=True)
    open_piece: Range | None = None
    for start, end in pairwise(edges):
        kind = next(entry[2] for entry in by_type if entry[0] <= start < entry[1])
        if open_piece and open_piece[2] == kind and kind not in apart:
            open_piece = open_piece[0], end, kind
            continue
        if open_piece:
            yield open_piece
        open_piece = start, end, kind
    if open_piece:
        yield open_piece


def unusable_to_ram(entries: Iterable[Range]) -> list[Range]:
    """Make type 5 RAM, as dom0 does: its pseudo-physical frames are RAM, and Xen refuses 1:1 for them."""
    return [(start, end, RAM if kind == UNUSABLE else kind) for start, end, kind in entries]


def holes(entries: Sequence[Range], word_mask: int) -> list[tuple[int, int]]:
    """Return the frames ``[start, end)`` between the RAM entries of a sanitised map, rounded outwards.

    Gaps and entries that are not RAM come out joined; nothing past a last RAM entry is a hole.  Frame numbers
    are words of the guest, so a 32-bit guest sees those of addresses past 16 TiB wrapped.
    """
    found = []
    start = 0
    last = len(entries) - 1
    for index, (entry_start, entry_end, kind) in enumerate(entries):
        if kind == RAM:
            end = entry_start
        elif index == last:
            end = entry_end
        else:
            continue
        first = (start >> PAGE_SHIFT) & word_mask
        stop = ((end + PAGE_SIZE - 1) >> PAGE_SHIFT) & word_mask
        if first < stop:
            found.append((first, stop))
        start = entry_end
    return found


def ram_frames(entries: Iterable[Range], word_mask: int) -> list[tuple[int, int]]:
    """Return the whole frames ``[start, end)`` of each RAM entry, in map order.

    RAM smaller than a page may give a start past its end: callers compare as the kernel does.
    """
    return [
        (((start + PAGE_SIZE - 1) >> PAGE_SHIFT) & word_mask, (end >> PAGE_SHIFT) & word_mask)
        for start, end, kind in entries
        if kind == RAM
    ]


def is_reserved(entries: Iterable[Range], start: int, size: int) -> bool:
    """Whether no single RAM entry holds all of ``size`` bytes from ``start`` (nothing is never reserved)."""
    end = start + size
    return size > 0 and not any(
        kind == RAM and entry_start <= start and entry_end >= end for entry_start, entry_end, kind in entries
    )


def cut_ram(entries: Iterable[Range], limit: int) -> list[Range]:
    """Remove the RAM at and past byte ``limit``, as ``mem=`` does; other types stay."""
    kept = []
    for start, end, kind in entries:
        if kind != RAM or end <= limit:
            kept.append((start, end, kind))
        elif start < limit:
            kept.append((start, limit, kind))
    return kept


class KernelMap:
    """The kernel's own table while setup fills it; ``ignored`` counts entries that found no room."""

    __slots__ = ("entries", "ignored")

    def __init__(self) -> None:
        self.entries: list[Range] = []
        self.ignored = 0

    def add(self, start: int, end: int, kind: int) -> None:
        """Add an entry; RAM is cut inwards to whole pages, which can leave less than nothing."""
        if len(self.entries) >= TABLE_ENTRIES:
            self.ignored += 1
            return
        if kind == RAM:
            start = (start + PAGE_SIZE - 1) & -PAGE_SIZE & ADDRESS_MASK
            end &= -PAGE_SIZE
        self.entries.append((start, end, kind))

    def add_empty_pages(self, start: int, pages: int) -> None:
        """Add ``pages`` empty RAM entries, one a page from byte ``start``."""
        fit = min(pages, TABLE_ENTRIES - len(self.entries))
        self.entries.extend((at, at, RAM) for at in range(start, start + fit * PAGE_SIZE, PAGE_SIZE))
        self.ignored += pages - fit
