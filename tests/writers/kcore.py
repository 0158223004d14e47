"""A recorded running kernel: /proc/kcore, /proc/kallsyms and what says that it is a PV guest."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from writers.guest import KERNEL_BASE, LIST_ADDRESS, PAGE_OFFSET, Guest, Shape
from xenp2m.entry import Kind

_KERNEL_PAGES = 1 << 14
_TABLE = {64: "init_top_pgt", 32: "swapper_pg_dir"}


def write_live(
    root: Path, guest: Guest, *, guest_type: str = "PV", dom0: bool = True, direct_map: int | None = None
) -> Path:
    """Write the files of a running kernel below ``root``, with all memory mapped from ``direct_map`` on."""
    for name in ("proc/xen", "sys/hypervisor"):
        (root / name).mkdir(parents=True)
    (root / "sys/hypervisor/type").write_text("xen\n")
    (root / "sys/hypervisor/guest_type").write_text(f"{guest_type}\n")
    (root / "proc/xen/capabilities").write_text("control_d\n" if dom0 else "")
    symbols = dict(guest.symbols)
    if guest.cr3:
        pfn = next(
            run.pfn + guest.cr3 - run.mfn
            for run in guest.map
            if run.kind is Kind.RAM and run.mfn is not None and run.mfn <= guest.cr3 < run.mfn + run.pages
        )
        symbols[_TABLE[guest.arch.bits]] = KERNEL_BASE[guest.arch.bits] + (pfn << 12)
    (root / "proc/kallsyms").write_text("".join(f"{at:016x} b {name}\n" for name, at in symbols.items()))
    _write_core(root / "proc/kcore", guest, direct_map or PAGE_OFFSET[guest.arch.bits])
    return root


def _write_core(path: Path, guest: Guest, direct_map: int) -> None:
    """Three segments at most: all memory, the kernel's image (the same on 32-bit), and the linear list."""
    arch = guest.arch
    wide = arch.bits == 64
    last = max(run.end for run in guest.map if run.kind is Kind.RAM)
    segments = [(direct_map, last)]
    if wide:
        segments.append((KERNEL_BASE[64], min(last, _KERNEL_PAGES)))
    words = b""
    if guest.shape is Shape.LIST:
        words = guest.map.to_words(0, guest.max_pfn).astype(f"<u{arch.bits // 8}").tobytes()
        segments.append((LIST_ADDRESS[arch.bits], -(-len(words) // 4096)))
    at = 1 << 16
    headers, places = [], []
    for start, pages in segments:
        size = pages << 12
        headers.append(
            struct.pack("<IIQQQQQQ", 1, 7, at, start, 0, size, size, 4096)
            if wide
            else struct.pack("<8I", 1, at, start, 0, size, size, 7, 4096)
        )
        places.append(at)
        at += size
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]).ljust(12, b"\0")
    head = ident + (
        struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, len(headers), 0, 0, 0)
        if wide
        else struct.pack("<HHIIIIIHHHHHH", 4, 3, 1, 0, 52, 0, 0, 52, 32, len(headers), 0, 0, 0)
    )
    pfns = {
        run.mfn + index: run.pfn + index
        for run in guest.map
        if run.kind is Kind.RAM and run.mfn is not None
        for index in range(run.pages)
    }
    with path.open("wb") as stream:
        stream.write(head + b"".join(headers))
        stream.truncate(at)
        for place, (_, pages) in list(zip(places, segments, strict=True))[: 2 if wide else 1]:
            for mfn, page in guest.pages.items():
                if pfns[mfn] < pages:
                    stream.seek(place + (pfns[mfn] << 12))
                    stream.write(np.ascontiguousarray(page).tobytes())
        if words:
            stream.seek(places[-1])
            stream.write(words)
