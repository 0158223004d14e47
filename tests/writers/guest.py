"""The memory of one PV guest whose p2m is a given map: page tables, p2m pages, frame lists, shared_info.

The structures are laid out as Linux lays them out (arch/x86/xen/p2m.c), in frames that the map has as RAM.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from xenp2m.arch import Arch
from xenp2m.dump import layout
from xenp2m.entry import Kind
from xenp2m.runs import RunMap

Page = NDArray[np.uint64]

KERNEL_BASE = {64: layout.KERNEL_MAP_START, 32: 0xC000_0000}
PAGE_OFFSET = {64: layout.PAGE_OFFSETS[0], 32: 0xC000_0000}
LIST_ADDRESS = {64: 0xFFFF_C900_0000_0000, 32: 0xF000_0000}
BUILDER_ADDRESS = {64: 0xFFFF_FFFF_8100_0000, 32: 0xC100_0000}


_KERNEL_END = 1 << 16  # pfns: a kernel image is mapped by addresses of 2 GiB, and lies low


def fold_cr3(mfn: int, arch: Arch) -> int:
    """Return the CR3 value that names a frame (public/arch-x86/xen-x86_32.h)."""
    return mfn << 12 if arch.bits == 64 else (mfn << 12 | mfn >> 20) & 0xFFFF_FFFF


class Shape(Enum):
    """How the guest keeps its p2m."""

    LIST = "list"
    TREE_A = "tree before 3.16"
    TREE_B = "tree from 3.16"
    BUILDER = "builder's list"


@dataclass
class Guest:
    """What was written: pages by machine frame, and what leads to them."""

    map: RunMap
    shape: Shape
    pages: dict[int, Page] = field(default_factory=dict)
    cr3: int = 0
    max_pfn: int = 0
    frame_list_list: int = 0
    p2m_cr3: int = 0
    p2m_vaddr: int = 0
    generation: int = 0
    symbols: dict[str, int] = field(default_factory=dict)

    @property
    def arch(self) -> Arch:
        return self.map.arch

    def shared_info(self) -> bytes:
        at = layout.SHARED_INFO[self.arch.bits]
        page = bytearray(4096)
        struct.pack_into("<3I", page, at.wc_version, 2, 1_700_000_000, 5)
        word = at.word
        word.pack_into(page, at.max_pfn, self.max_pfn)
        word.pack_into(page, at.frame_list_list, self.frame_list_list)
        if self.p2m_cr3:
            word.pack_into(page, at.p2m_cr3, fold_cr3(self.p2m_cr3, self.arch))
            word.pack_into(page, at.p2m_vaddr, self.p2m_vaddr)
            word.pack_into(page, at.p2m_generation, self.generation)
        return bytes(page)

    def kallsyms(self) -> str:
        return "".join(f"{value:016x} b {name}\n" for name, value in self.symbols.items())


class _Writer:
    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.arch = guest.arch
        self.free = [
            (run.pfn + index, (run.mfn or 0) + index)
            for run in guest.map
            if run.kind is Kind.RAM and run.mfn is not None
            for index in range(run.pages)
            if run.pfn + index < _KERNEL_END
        ]

    def page(self, fill: int = 0) -> tuple[int, int]:
        """Take a frame, from the top down as memblock does; fill it with one guest word."""
        pfn, mfn = self.free.pop()
        words = np.full(512 * 64 // self.arch.bits, fill, self.word_type)
        self.guest.pages[mfn] = words.view(np.uint64)
        return pfn, mfn

    @property
    def word_type(self) -> type[np.unsignedinteger]:
        return np.uint64 if self.arch.bits == 64 else np.uint32

    def words(self, mfn: int) -> NDArray[np.unsignedinteger]:
        return self.guest.pages[mfn].view(self.word_type)

    def enter(self, va: int, mfn: int, *, table: bool = False) -> None:
        """Map a page (or, with ``table``, let a level 1 table map 2 MiB) in the guest's address space."""
        guest = self.guest
        shifts = (39, 30, 21, 12) if self.arch.bits == 64 else (30, 21, 12)
        if not guest.cr3:
            guest.cr3 = self.page()[1]
            if self.arch.bits == 64:
                guest.pages[guest.cr3][layout.SELF_MAP_SLOT] = (guest.cr3 << 12) | 0x61
        at = guest.cr3
        for shift in shifts[: -1 if not table else -2]:
            index = (va >> shift) & 511
            entry = int(guest.pages[at][index])
            if not entry & 1:
                below = self.page()[1]
                entry = (below << 12) | 0x67
                guest.pages[at][index] = entry
            at = (entry & layout.FRAME_MASK) >> 12
        index = (va >> (21 if table else 12)) & 511
        guest.pages[at][index] = (mfn << 12) | 0x67

    def variables(self, **values: int) -> None:
        """Write a page of kernel variables, and the symbols of them."""
        pfn, mfn = self.page()
        base = KERNEL_BASE[self.arch.bits] + (pfn << 12)
        for index, (name, value) in enumerate(values.items()):
            self.words(mfn)[index] = value
            self.guest.symbols[name] = base + index * self.arch.bits // 8
        if self.guest.shape is Shape.LIST:
            self.enter(base, mfn)

    def uniform(self, start: int, count: int) -> Kind | None:
        """Say which shared page a piece of the map uses; None for a page of its own."""
        runs = self.guest.map.within(start, start + count)
        plain = len(runs) == 1 and runs[0].kind in (Kind.IDENTITY, Kind.MISSING) and runs[0].mfn is None
        return runs[0].kind if plain else None

    def leaf(self, pfn: int) -> tuple[int, int]:
        own, mfn = self.page()
        self.words(mfn)[:] = self.guest.map.to_words(pfn, pfn + self.arch.pfns_per_leaf)
        return own, mfn


def write_guest(known: RunMap, shape: Shape, *, generation: int = 0) -> Guest:
    """Write the memory of a guest with this map."""
    guest = Guest(known, shape, generation=generation)
    writer = _Writer(guest)
    last = max((run.end for run in known if run.kind in (Kind.RAM, Kind.FOREIGN)), default=1)
    guest.max_pfn = -(-last // known.arch.pfns_per_leaf) * known.arch.pfns_per_leaf
    if shape is Shape.LIST:
        _write_list(writer)
    elif shape is Shape.BUILDER:
        _write_builder(writer)
    else:
        _write_tree(writer)
    return guest


def _write_list(writer: _Writer) -> None:
    guest, arch = writer.guest, writer.arch
    per = arch.pfns_per_leaf
    missing, identity = writer.page(arch.invalid), writer.page(arch.invalid)
    missing_pte, identity_pte = writer.page(), writer.page()
    guest.pages[missing_pte[1]][:] = (missing[1] << 12) | 0x65
    guest.pages[identity_pte[1]][:] = (identity[1] << 12) | 0x65
    base = LIST_ADDRESS[arch.bits]
    slot_pfns = 512 * per
    frames: dict[int, int] = {}
    for slot in range(-(-guest.map.end_pfn // slot_pfns)):
        start = slot * slot_pfns
        va = base + slot * (2 << 20)
        shared = writer.uniform(start, slot_pfns)
        if shared is not None:
            table = identity_pte if shared is Kind.IDENTITY else missing_pte
            writer.enter(va, table[1], table=True)
            continue
        table = writer.page()
        writer.enter(va, table[1], table=True)
        for index in range(512):
            pfn = start + index * per
            kind = writer.uniform(pfn, per)
            if kind is None:
                _, leaf = writer.leaf(pfn)
            else:
                leaf = identity[1] if kind is Kind.IDENTITY else missing[1]
            frames[pfn // per] = leaf
            guest.pages[table[1]][index] = (leaf << 12) | (0x67 if kind is None else 0x65)
    _frame_lists(writer, frames, missing[1])
    for name, page in {"p2m_identity": identity, "p2m_missing": missing}.items():
        writer.enter(KERNEL_BASE[arch.bits] + (page[0] << 12), page[1])
        guest.symbols[name] = KERNEL_BASE[arch.bits] + (page[0] << 12)
    writer.variables(
        xen_p2m_addr=base,
        xen_p2m_size=guest.map.end_pfn,
        p2m_identity=guest.symbols["p2m_identity"],
        p2m_missing=guest.symbols["p2m_missing"],
    )
    guest.p2m_cr3, guest.p2m_vaddr = guest.cr3, base


def _frame_lists(writer: _Writer, frames: dict[int, int], missing: int) -> None:
    guest, arch = writer.guest, writer.arch
    width = arch.entries_per_page
    mid_missing = writer.page(missing)[1]
    top = writer.page(mid_missing)[1]
    for slot in range(-(-guest.max_pfn // arch.pfns_per_mid)):
        mid = writer.page(missing)[1]
        for index in range(width):
            writer.words(mid)[index] = frames.get(slot * width + index, missing)
        writer.words(top)[slot] = mid
    guest.frame_list_list = top


def _write_tree(writer: _Writer) -> None:
    guest, arch = writer.guest, writer.arch
    per, width = arch.pfns_per_leaf, arch.entries_per_page
    image, memory = KERNEL_BASE[arch.bits], PAGE_OFFSET[arch.bits]
    missing, identity = writer.page(arch.invalid), writer.page(arch.invalid)
    pointer = {Kind.MISSING: image + (missing[0] << 12), Kind.IDENTITY: image + (identity[0] << 12)}
    mid_missing = writer.page(pointer[Kind.MISSING])
    mid_identity = writer.page(pointer[Kind.IDENTITY]) if guest.shape is Shape.TREE_B else None
    top = writer.page(image + (mid_missing[0] << 12))
    frames: dict[int, int] = {}
    for slot in range(width):
        start = slot * arch.pfns_per_mid
        shared = writer.uniform(start, arch.pfns_per_mid)
        if shared is Kind.MISSING:
            continue
        if shared is Kind.IDENTITY and mid_identity is not None:
            writer.words(top[1])[slot] = image + (mid_identity[0] << 12)
            continue
        mid = writer.page(pointer[Kind.MISSING])
        writer.words(top[1])[slot] = image + (mid[0] << 12)
        for index in range(width):
            pfn = start + index * per
            kind = writer.uniform(pfn, per)
            if kind is not None:
                writer.words(mid[1])[index] = pointer[kind]
                frames[pfn // per] = identity[1] if kind is Kind.IDENTITY else missing[1]
                continue
            own, leaf = writer.leaf(pfn)
            writer.words(mid[1])[index] = memory + (own << 12)
            frames[pfn // per] = leaf
    _frame_lists(writer, frames, missing[1])
    values = {
        "p2m_top": image + (top[0] << 12),
        "p2m_missing": pointer[Kind.MISSING],
        "p2m_identity": pointer[Kind.IDENTITY],
    }
    if mid_identity is not None:
        values["p2m_mid_identity"] = image + (mid_identity[0] << 12)
    writer.variables(**values)


def _write_builder(writer: _Writer) -> None:
    guest, arch = writer.guest, writer.arch
    at = layout.START_INFO[arch.bits]
    count = guest.map.end_pfn
    start = writer.page()[1]
    data = bytearray(4096)
    data[:16] = b"xen-3.0-x86_64\0\0"
    for offset, value in ((at.nr_pages, count), (at.mfn_list, BUILDER_ADDRESS[arch.bits])):
        data[offset : offset + arch.bits // 8] = value.to_bytes(arch.bits // 8, "little")
    guest.pages[start] = np.frombuffer(bytes(data), np.uint64)
    for index in range(-(-count // arch.pfns_per_leaf)):
        _, mfn = writer.leaf(index * arch.pfns_per_leaf)
        writer.enter(BUILDER_ADDRESS[arch.bits] + index * 4096, mfn)
    guest.max_pfn = 0
