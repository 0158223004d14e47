"""Frames under holes that move to free pfns: at once and by leaf (3.18), or noted and moved later.

Source: arch/x86/xen/setup.c of Linux 3.18, 3.19, 4.14 and 6.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from xenp2m.boot.e820 import holes, ram_frames
from xenp2m.boot.frames import BUILDER, HOST, IDENTITY, Piece
from xenp2m.boot.guest import OpKind, P2mOp
from xenp2m.boot.setup import BootStopsError, Setup
from xenp2m.rules import HoleFrames
from xenp2m.units import PAGE_SHIFT

Move = Callable[[int, int, int], int]
"""Moves ``size`` frames from ``start`` to ``target`` and returns how many became 1:1."""


def remap_holes(setup: Setup, move: Move) -> tuple[int, int, int]:
    """Make every hole 1:1 after its frames were moved, or released where no RAM has room.

    Returns the frames that became 1:1, the frames that moved, and the end of the last target.
    """
    ram = ram_frames(setup.host, setup.arch.word_mask)
    last = setup.nr_pages
    identity = remapped = 0
    for start, end in holes(setup.host, setup.arch.word_mask):
        at = start
        while at < end:
            if at >= setup.nr_pages:
                identity += setup.identity(at, end)
                break
            size = min(end, setup.nr_pages) - at
            target, room = _find_target(setup, ram, last)
            last = max(last, target)
            if room == 0:
                setup.unable_to_find += 1
                setup.lines.append("Unable to find available pfn range, not remapping identity pages")
                _release(setup, at, min(end, setup.nr_pages))
                identity += setup.identity(at, end)
                break
            size = min(size, room)
            identity += move(at, size, target)
            remapped += size
            at += size
            last += size
    return identity, remapped, last


def _find_target(setup: Setup, ram: list[tuple[int, int]], last: int) -> tuple[int, int]:
    """Return the first free target at or after ``last`` and its room; room 0 means that there is none."""
    for start, end in ram:
        if end > last or (end == last and setup.rules.remap_target_may_end_at_last):
            target = max(start, last)
            return target, (end - target) & setup.arch.word_mask
    return last, 0


def _release(setup: Setup, start: int, end: int) -> None:
    if setup.rules.holes is HoleFrames.MOVE_BY_LEAF:
        setup.release_logged(start, end)
    else:
        setup.released += setup.release(start, end)


def move_by_leaf(setup: Setup, start: int, size: int, target: int) -> int:
    """Move frames so that whole leaves stay whole; what remains fills the remaining targets in order."""
    leaf = setup.arch.pfns_per_leaf
    setup.require_in_tree(target + size - 1)
    identity = 0
    for first, pages, to in _by_leaf(start, size, target, leaf):
        held = setup.frames.pieces(first, first + pages)
        identity += setup.identity(first, first + pages)
        enter(setup, held, to - first)
    return identity


def _by_leaf(start: int, size: int, target: int, leaf: int) -> Iterator[tuple[int, int, int]]:
    """Yield ``(source, pages, target)`` in the order in which 3.18 moves them."""
    end = start + size
    source_leaf = -(-start // leaf) * leaf
    target_leaf = -(-target // leaf) * leaf
    whole = max(0, min(end - source_leaf, target + size - target_leaf) // leaf * leaf)
    if whole:
        yield source_leaf, whole, target_leaf
    source, to = start, target
    left = size - whole
    while left:
        if source == source_leaf:
            source += whole
        if to == target_leaf:
            to += whole
        pages = left
        if source < source_leaf:
            pages = min(pages, source_leaf - source)
        if to < target_leaf:
            pages = min(pages, target_leaf - to)
        yield source, pages, to
        source += pages
        to += pages
        left -= pages


def enter(setup: Setup, held: list[Piece], distance: int) -> None:
    """Enter what ``held`` pieces hold ``distance`` frames further up.

    A frame that was already 1:1 is entered as the machine frame of its number.
    """
    for start, end, content, shift in held:
        base = start + (0 if content == IDENTITY else shift)
        kind = OpKind.MOVE if content == BUILDER else OpKind.NVS
        origin = HOST if content == IDENTITY else content
        to = start + distance
        setup.frames.put(to, end + distance, origin, base - to)
        setup.ops.append(P2mOp(kind, to, end + distance, base))


class Later:
    """Frames that wait until the p2m is in its final place (3.19 and later)."""

    __slots__ = ("_moves", "_setup")

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._moves: list[tuple[int, int, list[Piece], int]] = []

    def note(self, start: int, size: int, target: int) -> int:
        """Keep the frames of ``[start, start + size)`` for ``target`` and make the range 1:1."""
        held = self._setup.frames.pieces(start, start + size)
        self._moves.append((target, size, held, target - start))
        return self._setup.identity(start, start + size)

    def carry_out(self) -> None:
        """xen_remap_memory: enter the frames, last noted first, and take their targets from extra memory.

        Stops the boot when a target was cut off by ``mem=``, is past the p2m, or is not extra memory of one
        region.
        """
        setup = self._setup
        limit = setup.config.mem_limit
        remapped = 0
        start = length = 0
        for target, size, held, distance in reversed(self._moves):
            if limit is not None and target + size > limit >> PAGE_SHIFT:
                raise BootStopsError(f"xen_remap_memory: mem= removed the target pfn {target:x}+{size:x}")
            setup.require_in_tree(target + size - 1)
            enter(setup, held, distance)
            remapped += size
            if not length or target + size == start:
                start = target
            elif start + length != target:
                self._take(start, length)
                start, length = target, 0
            length += size
        if length:
            self._take(start, length)
        setup.remapped = remapped
        setup.lines.append(f"Remapped {remapped} page(s)")

    def _take(self, start: int, length: int) -> None:
        condition = self._setup.extra.remove(start << PAGE_SHIFT, length << PAGE_SHIFT)
        if condition is not None:
            raise BootStopsError(f"xen_del_extra_mem: BUG_ON({condition})")
