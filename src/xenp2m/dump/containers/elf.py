"""ELF dumps of a whole host: /proc/vmcore of dom0 with Xen's notes, and QEMU's dump-guest-memory.

PT_LOAD physical addresses are machine addresses.  Sources: xen/common/kexec.c (notes), QEMU's
target/i386/arch_dump.c (its own note).
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from xenp2m.dump import layout
from xenp2m.dump.containers.base import CrashInfo, Dump
from xenp2m.dump.elffile import Elf, Note, Segment, parse_notes
from xenp2m.dump.memory import ExtentMemory
from xenp2m.errors import FormatError
from xenp2m.units import PAGE_SHIFT, PAGE_SIZE

_MAX_ADDRESS = 1 << 52


def open_elf(elf: Elf) -> Dump:
    """Open an ELF dump of a whole host.  Raises FormatError."""
    if elf.kind != "ET_CORE":
        raise FormatError("not a dump", where=elf.image.name, expected="an ELF core file", found=elf.kind)
    segments = elf.segments()
    notes = [
        note
        for segment in segments
        if segment.kind == "PT_NOTE"
        for note in parse_notes(elf.image, segment.offset, segment.filesz)
    ]
    extents, remarks = _extents(elf, [segment for segment in segments if segment.kind == "PT_LOAD"])
    roots, crash, made_by = machine_notes(notes)
    return Dump(
        elf.image.name,
        f"ELF {made_by}",
        ExtentMemory(elf.image, extents),
        roots=roots,
        crash=crash,
        remarks=remarks,
    )


def _extents(elf: Elf, loads: list[Segment]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return the whole frames of the segments as sorted rows [first frame, end frame, file offset]."""
    rows: list[tuple[int, int, int]] = []
    remarks: list[str] = []
    name, size = elf.image.name, elf.image.size
    for segment in sorted(loads, key=lambda each: (each.paddr, -each.filesz)):
        where = f"{name}, segment at machine address {segment.paddr:#x}"
        if segment.paddr + max(segment.filesz, segment.memsz) > _MAX_ADDRESS:
            raise FormatError(
                "a segment lies outside the address space",
                where=where,
                expected="an end below 2^52",
                found=f"{max(segment.filesz, segment.memsz):#x} bytes",
            )
        if segment.offset + segment.filesz > size:
            raise FormatError(
                "a segment lies outside the file",
                where=where,
                expected=f"an end at or below offset {size:#x}",
                found=f"[{segment.offset:#x}, {segment.offset + segment.filesz:#x})",
            )
        start = (segment.paddr + PAGE_SIZE - 1) >> PAGE_SHIFT
        end = (segment.paddr + segment.filesz) >> PAGE_SHIFT
        if end <= start:
            continue
        if rows and start < rows[-1][1]:
            if segment.vaddr >= layout.KERNEL_MAP_START and end <= rows[-1][1]:
                continue  # Linux lists its own image a second time, as part of the kernel mapping
            raise FormatError(
                "segments overlap",
                where=where,
                expected=f"a start at or after {rows[-1][1] << PAGE_SHIFT:#x}",
                found=f"{segment.paddr:#x}",
            )
        rows.append((start, end, segment.offset + (start << PAGE_SHIFT) - segment.paddr))
        if segment.memsz > segment.filesz:
            remarks.append(
                f"the file holds {segment.filesz:#x} of the {segment.memsz:#x} bytes at {segment.paddr:#x}"
            )
    return np.array(rows, np.int64).reshape(-1, 3), tuple(remarks)


def machine_notes(notes: list[Note]) -> tuple[tuple[int, ...], CrashInfo | None, str]:
    """Return the noted page table frames, Xen's crash note, and who made the dump, as a phrase."""
    roots: list[int] = []
    crash: CrashInfo | None = None
    made_by = "core"
    for note in notes:
        if note.name == "QEMU" and len(note.data) >= layout.QEMU_NOTE_CR3 + 8:
            (cr3,) = struct.unpack_from("<Q", note.data, layout.QEMU_NOTE_CR3)
            roots.append((cr3 & layout.FRAME_MASK) >> PAGE_SHIFT)
            made_by = "dump-guest-memory (QEMU)"
        elif note.name == "Xen" and note.kind == layout.NOTE_CRASH_REGS and len(note.data) >= 32:
            (cr3,) = struct.unpack_from("<Q", note.data, 16)
            roots.append((cr3 & layout.FRAME_MASK) >> PAGE_SHIFT)
        elif note.name == "Xen" and note.kind == layout.NOTE_CRASH_INFO:
            crash = _crash_info(note.data)
            made_by = "vmcore (Xen notes)"
    return tuple(dict.fromkeys(roots)), crash, made_by


def _crash_info(data: bytes) -> CrashInfo | None:
    """Read the crash note; its size tells which words it has (halved for a 32-bit Xen)."""
    wide = len(data) in (80, 72, 64)
    word = struct.Struct("<Q" if wide else "<I")
    words = [value for (value,) in word.iter_unpack(data[: len(data) // word.size * word.size])]
    if len(words) < 2:
        return None
    count = len(words)
    root = words[9] if count == 10 else words[8] if count == 9 else None
    if root in (0, (1 << (8 * word.size)) - 1):
        root = None
    return CrashInfo((words[0], words[1]), root)
