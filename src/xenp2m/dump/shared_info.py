"""struct shared_info: the page in which a PV guest publishes where its p2m is.  Read, judged, found.

Source: xen/include/public/xen.h and arch-x86/xen.h.  A guest with the linear list fills ``p2m_cr3`` and
``p2m_vaddr`` (Linux 3.19 and later); one with the tree leaves them 0 and gives only the frame list list.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xenp2m.arch import PTE_FRAMES, Arch
from xenp2m.dump import layout
from xenp2m.dump.layout import SHARED_INFO, SharedInfoLayout
from xenp2m.dump.memory import Frames, Memory, scan_pages

_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class SharedInfo:
    """What one guest says of its p2m.

    ``max_pfn`` is a count.  ``frame_list_list`` is a machine frame; None when it is not set up (0) or
    declared invalid (all ones).  ``p2m_root`` is the machine frame of the page table (``p2m_cr3``) in which
    the linear list starts at the virtual address ``p2m_vaddr``; None without one.  An odd ``generation``
    means that the guest was changing its p2m.  ``mfn`` is the page's own machine frame where known.
    """

    arch: Arch
    mfn: int | None
    max_pfn: int
    frame_list_list: int | None
    p2m_root: int | None
    p2m_vaddr: int
    generation: int


def parse_shared_info(page: bytes, arch: Arch, mfn: int | None = None) -> SharedInfo:
    """Read a shared_info page (4096 bytes) of a guest of the given width."""
    at = SHARED_INFO[arch.bits]
    word = at.word

    def field(offset: int) -> int:
        return int(word.unpack_from(page, offset)[0])

    root = field(at.frame_list_list)
    cr3, vaddr = field(at.p2m_cr3), field(at.p2m_vaddr)
    usable = cr3 != 0 and _list_address(vaddr, arch)
    return SharedInfo(
        arch,
        mfn,
        field(at.max_pfn),
        root if 0 < root < min(PTE_FRAMES, arch.word_mask) else None,
        layout.unfold_cr3(cr3, arch) if usable else None,
        vaddr if usable else 0,
        field(at.p2m_generation),
    )


def _list_address(vaddr: int, arch: Arch) -> bool:
    """Say whether a linear list may start here: page aligned, canonical, outside Xen's range."""
    if vaddr & 0xFFF or vaddr == 0:
        return False
    if arch.bits == 32:
        return vaddr < layout.XEN_START_32
    return layout.canonical(vaddr) == vaddr and not layout.XEN_START <= vaddr < layout.XEN_END


def looks_like_shared_info(page: bytes, arch: Arch) -> bool:
    """Say whether a page can be the shared_info of a PV guest that has set up its p2m."""
    at = SHARED_INFO[arch.bits]
    words = np.frombuffer(page, at.word.format.replace("Q", "u8").replace("I", "u4"))
    return bool(_columns(words.reshape(1, -1), at)[0]) and _settled(page, at)


def _columns(words: NDArray[np.unsignedinteger], at: SharedInfoLayout) -> NDArray[np.bool_]:
    """Judge many pages (rows of guest words) by the fields of the p2m alone."""
    width = at.arch.bits // 8
    max_pfn, root, nmi, cr3, vaddr, generation = (
        words[:, offset // width].astype(np.uint64)
        for offset in (
            at.max_pfn,
            at.frame_list_list,
            at.nmi_reason,
            at.p2m_cr3,
            at.p2m_vaddr,
            at.p2m_generation,
        )
    )
    has_root = (root > 0) & (root < np.uint64(min(PTE_FRAMES, at.arch.word_mask)))
    no_list = (cr3 == 0) & (vaddr == 0) & (generation == 0)
    aligned = (vaddr & np.uint64(0xFFF)) == 0
    if at.arch.bits == 64:
        has_list = (cr3 > 0) & (cr3 < np.uint64(1 << 52)) & ((cr3 & np.uint64(0xFFF)) == 0)
        has_list &= aligned & (vaddr >= np.uint64(layout.XEN_END))
    else:
        has_list = (cr3 > 0) & aligned & (vaddr > 0) & (vaddr < np.uint64(layout.XEN_START_32))
    declared = has_root | (root == 0) | (root == np.uint64(at.arch.word_mask))
    verdict: NDArray[np.bool_] = (
        (max_pfn > 0) & (max_pfn < np.uint64(layout.MOST_PFNS)) & (nmi < np.uint64(1 << 16))
    )
    verdict &= (has_list & declared) | (no_list & has_root)
    return verdict


def _settled(page: bytes, at: SharedInfoLayout) -> bool:
    """Judge the rest: a wall clock that can be one, and nothing past the structure's end."""
    _, seconds, nanoseconds = struct.unpack_from("<3I", page, at.wc_version)
    return nanoseconds < _NANOSECONDS and seconds > 0 and not any(page[at.size :])


def scan_shared_info(memory: Memory) -> Iterator[SharedInfo]:
    """Look at every page and yield those that can be a shared_info, 64-bit or 32-bit."""
    for mfns, words in scan_pages(memory):
        for at in SHARED_INFO.values():
            rows: NDArray[np.unsignedinteger] = words if at.arch.bits == 64 else _halves(words)
            for index in np.flatnonzero(_columns(rows, at)).tolist():
                page = words[index].tobytes()
                if _settled(page, at):
                    yield parse_shared_info(page, at.arch, int(mfns[index]))


def _halves(words: Frames) -> NDArray[np.uint32]:
    return words.view(np.dtype("<u4"))


def find_self_mapped(memory: Memory) -> Iterator[int]:
    """Yield the frames of 64-bit top-level tables: Xen makes slot 258 of each hold the table's own frame."""
    slot = layout.SELF_MAP_SLOT
    for mfns, words in scan_pages(memory):
        entries = words[:, slot]
        own = ((entries & np.uint64(layout.FRAME_MASK)) >> np.uint64(12)) == mfns
        yield from mfns[own & ((entries & np.uint64(layout.PRESENT)) != 0)].tolist()
