"""The split of the host map into the kernel's own: RAM, extra memory, and RAM that is out of reach.

Source: arch/x86/xen/setup.c of Linux 3.12 (bytes) and 6.4 (whole frames).
"""

from __future__ import annotations

from xenp2m.boot.e820 import ADDRESS_MASK, RAM, UNUSABLE
from xenp2m.boot.frames import IDENTITY, MISSING
from xenp2m.boot.guest import OpKind, P2mOp
from xenp2m.boot.setup import Setup
from xenp2m.rules import DiscardedRam, Structure
from xenp2m.units import PAGE_SHIFT, PAGE_SIZE, pfn_down, pfn_up


def split(setup: Setup, ram_end: int, extra: int) -> None:
    """Enter the host map into the kernel's; ``ram_end`` is in bytes, ``extra`` in frames.

    RAM below ``ram_end`` stays RAM, then ``extra`` frames of RAM are extra memory, and the rest is discarded.
    """
    for entry_start, entry_end, kind in setup.host:
        start = entry_start
        size = (entry_end - start) & ADDRESS_MASK
        while True:
            chunk = size
            entered: int | None = kind
            if kind == RAM:
                if start < ram_end:
                    chunk = min(size, ram_end - start)
                elif extra:
                    chunk = min(size, extra << PAGE_SHIFT)
                    extra -= _add_extra(setup, start, chunk)
                elif setup.rules.discarded_ram is DiscardedRam.UNUSABLE:
                    entered = UNUSABLE
                else:
                    entered = None
            if entered is not None:
                setup.kernel_map.add(start, (start + chunk) & ADDRESS_MASK, entered)
            start = (start + chunk) & ADDRESS_MASK
            size -= chunk
            if size == 0:
                break
            if extra == 1 and setup.rules.extra_in_frames and kind == RAM and start % PAGE_SIZE:
                skipped = _skip_empty_pages(setup, start, size)
                start += skipped
                size -= skipped


def _add_extra(setup: Setup, start: int, size: int) -> int:
    """Enter extra memory of ``size`` bytes and return the frames that it uses up.

    Kernels that count whole frames use one too few for a range that starts off a page edge.
    """
    if setup.rules.extra_in_frames:
        first = pfn_up(start)
        pages = pfn_down(start + size) - first
        setup.add_extra(first << PAGE_SHIFT, pages << PAGE_SHIFT)
        return pages
    setup.add_extra(start, size)
    if setup.rules.structure is Structure.TREE:
        _forget(setup, pfn_down(start) & setup.arch.word_mask, setup.max_p2m_pfn)
    return size >> PAGE_SHIFT


def _forget(setup: Setup, start: int, end: int) -> None:
    """Make the frames of extra memory missing, and warn of those that were something else."""
    setup.ops.append(P2mOp(OpKind.EXTRA, start, end))
    for first, stop, content, _ in setup.frames.pieces(start, end):
        if content == IDENTITY:
            _warn_bad_mfn(setup, "Trying to over-write 1-1 mapping (pfn: {:x})", first, stop)
            continue
        if content != MISSING:
            _warn_bad_mfn(setup, "Trying to remove {:x} which has an mfn!", first, stop)
        setup.frames.put(first, stop, MISSING)


def _warn_bad_mfn(setup: Setup, text: str, start: int, end: int) -> None:
    if not setup.rules.warn_bad_mfn_once:
        setup.warn(text.format(start), end - start)
    elif text not in setup.warned:
        setup.warned.add(text)
        setup.warn(text.format(start))


def _skip_empty_pages(setup: Setup, start: int, size: int) -> int:
    """Pass over the pages of a range in which the last frame of extra memory is never used up.

    From a start off a page edge each page holds no whole frame: the kernel enters an empty range a page until
    less than a page is left.  Returns the bytes passed over.
    """
    pages = (size - 1) >> PAGE_SHIFT
    if pages:
        setup.kernel_map.add_empty_pages((start + PAGE_SIZE) & -PAGE_SIZE, pages)
        setup.add_extra((pfn_up(start) + pages - 1) << PAGE_SHIFT, 0)
    return pages << PAGE_SHIFT
