"""Memory setup in progress: what it knows and changes, and the steps that every kernel shares."""

from __future__ import annotations

from dataclasses import dataclass, field

from xenp2m.arch import Arch
from xenp2m.boot.e820 import KernelMap, Range
from xenp2m.boot.extra import ExtraMemory
from xenp2m.boot.frames import FRESH, IDENTITY, MISSING, Frames
from xenp2m.boot.guest import FrameCount, GuestConfig, OpKind, P2mOp
from xenp2m.rules import HoleFrames, Rules, Structure
from xenp2m.units import PAGE_SHIFT, PAGE_SIZE, TIB

MAXMEM_64 = 64 * TIB
"""MAXMEM of a 64-bit kernel in bytes (2^46)."""
EXTRA_MEM_RATIO = 10


def limit_pages(config: GuestConfig, rules: Rules) -> int:
    """Return the most frames that the kernel of ``rules`` lets a domain have."""
    if rules.domain_limit:
        return config.arch.max_domain_pages
    limit = (MAXMEM_64 if config.arch.bits == 64 else config.arch.max_domain_pages * PAGE_SIZE) // PAGE_SIZE
    if not config.is_dom0 and config.limit_512gb:
        limit = min(limit, (1 << 39) // PAGE_SIZE)
    return limit


class BootStopsError(Exception):
    """The kernel stops here; the text says in which function and at what."""


@dataclass(slots=True)
class Setup:
    """The state of one run of xen_memory_setup.

    ``nr_pages`` is what the domain may use of the frames it was built with, ``host`` the sanitised host map.
    """

    config: GuestConfig
    rules: Rules
    frames: Frames
    nr_pages: int
    max_p2m_pfn: int
    host: list[Range] = field(default_factory=list)
    kernel_map: KernelMap = field(default_factory=KernelMap)
    extra: ExtraMemory = field(default_factory=ExtraMemory)
    released: int = 0
    fresh: int = 0
    ops: list[P2mOp] = field(default_factory=list)
    identity_calls: list[tuple[int, int]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    warning_count: int = 0
    warned: set[str] = field(default_factory=set)
    lines: list[str] = field(default_factory=list)
    freed: list[FrameCount] = field(default_factory=list)
    populated: list[FrameCount] = field(default_factory=list)
    identity_ranges: list[tuple[int, int]] = field(default_factory=list)
    released_printed: int | None = None
    set_identity: int | None = None
    remapped: int | None = None
    last_pfn: int | None = None
    unable_to_find: int = 0
    remapped_nonram: int | None = None
    p2m_area: int | None = None
    nvs_moves: list[tuple[int, int, int]] = field(default_factory=list)
    """Frames ``(pfn, mfn, pages)`` of ACPI NVS ranges that give way to the kernel."""
    initrd_moved: tuple[int, int, int, int] | None = None
    p2m_relocated: int | None = None
    last_p2m_pfn: int | None = None

    @property
    def arch(self) -> Arch:
        """The guest's architecture."""
        return self.config.arch

    def warn(self, text: str, count: int = 1) -> None:
        """Note a WARN that the kernel prints ``count`` times, once a frame; ``text`` is the first."""
        self.warnings.append(text)
        self.warning_count += count

    def identity(self, start: int, end: int) -> int:
        """set_phys_range_identity: make ``[start, end)`` 1:1 and return the count of frames (p2m.c).

        A list takes what lies below its size.  A tree refuses a start past its end, and cuts a range that
        reaches past it or, in kernels without ``clamp_identity_range``, refuses one that reaches its end.
        """
        self.ops.append(P2mOp(OpKind.IDENTITY, start, end))
        limit = self.frames.end
        if start >= limit or start > end:
            return 0
        if end > limit or (end == limit and self.rules.structure is Structure.TREE):
            if self.rules.structure is Structure.TREE and not self.rules.clamp_identity_range:
                return 0
            stop = limit
        else:
            stop = end
        self.identity_calls.append((start, end))
        self.frames.put(start, stop, IDENTITY)
        if self.rules.log_identity_ranges:
            self.identity_ranges.append((start, stop))
            self.lines.append(f"1-1 mapping on {start:x}->{stop:x}")
        return stop - start

    def release(self, start: int, end: int) -> int:
        """Give the machine frames of ``[start, end)`` back to Xen and return their number.

        Missing frames are passed over; a 1:1 frame is not the domain's own, so Xen refuses it, and the first
        refusal ends the work.
        """
        count = 0
        limit = self.config.release_limit
        for first, stop, content, _ in self.frames.pieces(start, end):
            if content == MISSING:
                continue
            granted = 0 if content == IDENTITY else stop - first
            if limit is not None:
                granted = min(granted, limit - self.released - count)
            if granted:
                self.frames.put(first, first + granted, MISSING)
                self.ops.append(P2mOp(OpKind.RELEASE, first, first + granted))
                count += granted
            if first + granted < stop:
                self.warn(f"Failed to release pfn {first + granted:x} err=0")
                break
        return count

    def release_logged(self, start: int, end: int) -> None:
        """Release frames and print the Freeing line as the kernels up to 3.18 do."""
        count = self.release(start, end)
        self.released += count
        if self.rules.holes is HoleFrames.RELEASE:
            self.lines.append(f"Freeing  {start:x}-{end:x} pfn range: {count} pages freed")
        elif count:
            self.lines.append(f"Freeing {start:x}-{end:x} pfn range: {count} pages freed")
        if count or self.rules.holes is HoleFrames.RELEASE:
            self.freed.append(FrameCount(start, end, count))

    def populate(self, start: int, end: int) -> int:
        """Ask Xen for frames where ``[start, end)`` has none and return their number.

        The first refusal ends the work.  Stops the boot where the tree cannot hold a frame.
        """
        count = 0
        limit = self.config.populate_limit
        for first, stop, content, _ in self.frames.pieces(start, end):
            if content != MISSING:
                continue
            granted = stop - first if limit is None else min(stop - first, limit - self.fresh)
            if granted:
                self.require_in_tree(first + granted - 1)
                self.frames.put(first, first + granted, FRESH, self.fresh - first)
                self.ops.append(P2mOp(OpKind.POPULATE, first, first + granted, self.fresh))
                self.fresh += granted
                count += granted
            if first + granted < stop:
                self.warn(f"Failed to populate pfn {first + granted:x} err=0")
                break
        if count:
            self.populated.append(FrameCount(start, end, count))
            self.lines.append(f"Populating {start:x}-{end:x} pfn range: {count} pages added")
        return count

    def require_in_tree(self, pfn: int) -> None:
        """Stop the boot when a machine frame is to be entered past the end of the p2m."""
        if pfn >= self.frames.end:
            raise BootStopsError("__set_phys_to_machine: BUG_ON(mfn != INVALID_P2M_ENTRY)")

    def add_extra(self, start: int, size: int) -> None:
        """Enter ``size`` bytes from ``start`` as extra memory."""
        if not self.extra.add(start, size):
            self.lines.append("Warning: not enough extra memory regions")
        self.max_p2m_pfn = ((start + size) >> PAGE_SHIFT) & self.arch.word_mask

    def limit_pages(self) -> int:
        """The most frames that the kernel lets the domain have."""
        return limit_pages(self.config, self.rules)

    def max_pages(self) -> int:
        """xen_get_max_pages: the frames that the domain may grow to."""
        limit = self.limit_pages()
        allowed = self.config.max_reservation
        if self.rules.reservation_is_int:
            allowed = (allowed & 0xFFFF_FFFF) - ((allowed & 0x8000_0000) << 1)
        if not self.config.is_dom0 or allowed <= 0:
            return limit
        return min(allowed, limit)

    def clamp_extra(self, extra: int, pages: int) -> int:
        """Keep extra memory below ten times the base size, which on 32-bit is at most lowmem."""
        maxmem = MAXMEM_64 if self.arch.bits == 64 else self.config.maxmem
        return min(EXTRA_MEM_RATIO * min(pages, maxmem // PAGE_SIZE), extra)

    def identity_tail(self) -> None:
        """Make everything past the last entry of the host map 1:1, where the rules say so."""
        if self.rules.identity_tail:
            end = self.host[-1][1] if self.host else 0
            self.identity((end >> PAGE_SHIFT) & self.arch.word_mask, self.arch.word_mask)
