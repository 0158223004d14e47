"""Finding the domains of a dump, and a page table that shows Xen's own structures.

In order of certainty: what an ``xl dump-core`` says itself; Xen's frame table, which knows every domain; the
crash note, which knows dom0's frame list list; and a look at every page for one that can be a shared_info.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from xenp2m.arch import X86_64, Arch
from xenp2m.dump import layout
from xenp2m.dump.containers.base import Dump
from xenp2m.dump.evidence import guest_words
from xenp2m.dump.frametable import FrameTable, Owner
from xenp2m.dump.layout import SHARED_INFO
from xenp2m.dump.leaves import Confidence
from xenp2m.dump.memory import Memory, scan_pages
from xenp2m.dump.pagetable import PageTables
from xenp2m.dump.shared_info import (
    SharedInfo,
    find_self_mapped,
    looks_like_shared_info,
    parse_shared_info,
    scan_shared_info,
)
from xenp2m.dump.symbols import Symbols

_MAX_CANDIDATES = 64


@dataclass(frozen=True, slots=True)
class Found:
    """One domain: id (None: not known), width, its shared_info if it has a PV one, and how it was found.

    ``pages`` counts its frames where the frame table says it; ``roots`` are frames of its page tables.
    """

    domid: int | None
    arch: Arch
    info: SharedInfo | None
    found_by: str
    confidence: Confidence
    pages: int | None = None
    roots: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class StartInfo:
    """The part of struct start_info that leads to the domain builder's list; addresses are virtual."""

    mfn: int
    nr_pages: int
    mfn_list: int
    flags: int


def find_root(dump: Dump) -> int | None:
    """Return the frame of a 64-bit top-level table that maps Xen's M2P; None when there is none.

    A noted CR3 can be a restricted root (XPTI) that has the guests' view of the table and nothing else of
    Xen's: it is taken only where no table with Xen's own view is found.
    """

    def maps(root: int, start: int) -> bool:
        return PageTables(dump.memory, root).translate(start).mfn is not None

    guests_view = None
    for root in _root_candidates(dump):
        if maps(root, layout.RW_M2P_START):
            return root
        if guests_view is None and maps(root, layout.RO_M2P_START):
            guests_view = root
    return guests_view


def _root_candidates(dump: Dump) -> Iterator[int]:
    yield from dump.roots
    yield from islice(find_self_mapped(dump.memory), _MAX_CANDIDATES)


def find_domains(dump: Dump, root: int | None, symbols: Symbols | None = None) -> list[Found]:
    """Find the domains of a whole-host dump; ``root`` is a page table that maps Xen's structures, or None."""
    table = FrameTable(dump.memory, root) if root is not None else None
    owners = table.owners() if table is not None and table.count else []
    if table is not None and owners:
        hardware = _hardware_domain(table, symbols)
        return [_of_owner(dump, table, owner, hardware) for owner in owners]
    infos = [info for info in scan_shared_info(dump.memory) if _leads_somewhere(dump.memory, info)]
    noted = None if dump.crash is None else dump.crash.frame_list_list
    found = [_scanned(info, noted) for info in infos[:_MAX_CANDIDATES]]
    if noted is not None and all(each.domid != 0 for each in found):
        info = SharedInfo(X86_64, None, X86_64.max_p2m_pfn, noted, None, 0, 0)
        info = replace(info, max_pfn=_published_end(dump.memory, info))
        found.insert(
            0, Found(0, X86_64, info, "Xen's crash note (frame list list of dom0)", Confidence.CERTAIN)
        )
    return found


def _of_owner(dump: Dump, table: FrameTable, owner: Owner, hardware: int | None) -> Found:
    text = "Xen's frame table, checked against struct domain and shared_info"
    confidence = Confidence.STRONG
    if hardware == owner.frame:
        text += "; the symbol hardware_domain agrees"
        confidence = Confidence.CERTAIN
    page = dump.memory.read_pages(np.array([owner.shared_info], np.uint64))
    data = page.words[0].tobytes()
    roots = tuple(table.top_tables(owner.frame))
    for arch in (at.arch for at in SHARED_INFO.values()):
        if page.present[0] and looks_like_shared_info(data, arch):
            info = parse_shared_info(data, arch, owner.shared_info)
            if (
                dump.crash is not None
                and owner.domid == 0
                and dump.crash.frame_list_list == info.frame_list_list
            ):
                text += "; Xen's crash note agrees"
                confidence = Confidence.CERTAIN
            return Found(owner.domid, arch, info, text, confidence, owner.pages, roots)
    return Found(owner.domid, X86_64, None, text, confidence, owner.pages, roots)


def _hardware_domain(table: FrameTable, symbols: Symbols | None) -> int | None:
    """Return the frame of dom0's struct domain, by Xen's symbol."""
    address = None if symbols is None else symbols.xen.get("hardware_domain")
    if address is None:
        return None
    tables = PageTables(table.memory, table.root)
    if layout.canonical(address) != address:
        return None
    pointer = tables.read_word(address)
    if pointer is None or layout.canonical(pointer) != pointer:
        return None
    return tables.translate(pointer).mfn


def _scanned(info: SharedInfo, noted: int | None) -> Found:
    text = "a page with the structure of shared_info, whose p2m can be reached"
    if noted is not None and info.frame_list_list == noted:
        return Found(0, info.arch, info, text + "; Xen's crash note agrees", Confidence.CERTAIN)
    return Found(
        None, info.arch, info, text, Confidence.STRONG if info.p2m_root is not None else Confidence.LIKELY
    )


def _leads_somewhere(memory: Memory, info: SharedInfo) -> bool:
    """Say whether the p2m that a page names can be reached: the test that a chance hit fails."""
    if info.p2m_root is not None:
        tables = PageTables(memory, info.p2m_root, info.arch)
        return tables.translate(info.p2m_vaddr).mfn is not None
    if info.frame_list_list is None:
        return False
    frame = info.frame_list_list
    for _ in range(3):
        page = memory.read_pages(np.array([frame], np.uint64))
        if not page.present[0]:
            return False
        frame = int(guest_words(page.words, info.arch)[0])
    return True


def _published_end(memory: Memory, info: SharedInfo) -> int:
    """Return the end of a frame list list of unknown length: where its slots begin to be all the same."""
    page = memory.read_pages(np.array([info.frame_list_list or 0], np.uint64))
    words = guest_words(page.words, info.arch)
    differing = np.flatnonzero(words != words[-1])
    slots = int(differing[-1]) + 1 if len(differing) else 0
    return slots * info.arch.pfns_per_mid


def find_start_info(memory: Memory, arch: Arch) -> StartInfo | None:
    """Look at every page for the guest's start_info: its magic text, and a list of a possible length."""
    at = layout.START_INFO[arch.bits]
    width = arch.bits // 8
    magic = int.from_bytes(layout.START_INFO_MAGIC, "little")
    for mfns, words in scan_pages(memory):
        rows = np.flatnonzero((words[:, 0] & np.uint64(0xFFFF_FFFF)) == np.uint64(magic))
        for index in rows.tolist():
            page = words[index].tobytes()

            def field(offset: int, page: bytes = page) -> int:
                return int.from_bytes(page[offset : offset + width], "little")

            nr_pages, mfn_list = field(at.nr_pages), field(at.mfn_list)
            if 0 < nr_pages < layout.MOST_PFNS and mfn_list and field(at.shared_info) & 0xFFF == 0:
                flags = int.from_bytes(page[at.flags : at.flags + 4], "little")
                return StartInfo(int(mfns[index]), nr_pages, mfn_list, flags)
    return None
