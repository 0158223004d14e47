"""``xl dump-core``: an ELF file without program headers, whose sections hold one guest.

Source: docs/misc/dump-core-format.txt and tools/libs/guest/xg_core*.c of Xen (format version 0.1).  Page i
of .xen_pages belongs to entry i of .xen_p2m (PV: guest frame and machine frame) or .xen_pfn (HVM).
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from xenp2m.arch import PTE_FRAMES, X86_32, X86_64
from xenp2m.dump import layout
from xenp2m.dump.containers.base import CoreInfo, Dump
from xenp2m.dump.elffile import Elf, Section, parse_notes
from xenp2m.dump.memory import Frames, Image, Pages, absent, masked_gather, merged
from xenp2m.errors import FormatError, MissingFactError
from xenp2m.units import PAGE_SHIFT, PAGE_SIZE

_MACHINES = {"EM_X86_64": X86_64, "EM_386": X86_32}
_MAX_VCPUS = 8192


class _Index:
    """Where a frame is in a list of frames: a table for dense frames, else a sorted copy."""

    def __init__(self, frames: Frames) -> None:
        self._listed = frames < np.uint64(PTE_FRAMES)
        rows = np.flatnonzero(self._listed)
        kept = frames[rows]
        top = int(kept.max()) + 1 if len(kept) else 0
        self._table: NDArray[np.int32] | None = None
        if top <= 64 * len(frames) + (1 << 20) and len(frames) < 1 << 31:
            self._table = np.full(top, -1, np.int32)
            self._table[kept.astype(np.int64)] = rows.astype(np.int32)
        else:
            order = np.argsort(kept, kind="stable")
            self._sorted, self._rows = kept[order], rows[order]

    def rows(self, frames: Frames) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the row of each frame, and whether it is listed."""
        if self._table is not None:
            present = frames < np.uint64(len(self._table))
            found = np.full(len(frames), -1, np.int64)
            found[present] = self._table[frames[present].astype(np.int64)]
            return found, found >= 0
        at = np.minimum(np.searchsorted(self._sorted, frames), max(len(self._sorted) - 1, 0))
        if len(self._sorted) == 0:
            return np.zeros(len(frames), np.int64), np.zeros(len(frames), np.bool_)
        return self._rows[at], self._sorted[at] == frames


class CoreMemory:
    """The pages of one guest, by machine frame and by guest frame."""

    def __init__(self, image: Image, offset: int, pfns: Frames, mfns: Frames | None) -> None:
        """Take the file offset of page 0 and the two columns (``mfns`` None: HVM, known by guest frame)."""
        self._image = image
        self._offset = offset
        self._pfns = pfns
        self._mfns = pfns if mfns is None else mfns
        self._by_pfn: _Index | None = None
        self._by_mfn: _Index | None = None
        self._ranges: Frames | None = None

    @property
    def held(self) -> int:
        """Machine frames present, at most."""
        return len(self._mfns)

    def ranges(self) -> Frames:
        """Return the machine frames present."""
        if self._ranges is None:
            frames = np.unique(self._mfns[self._mfns < np.uint64(PTE_FRAMES)])
            self._ranges = merged(np.stack([frames, frames + np.uint64(1)], axis=1))
        return self._ranges

    def read_pages(self, mfns: Frames) -> Pages:
        """Read pages by machine frame."""
        if self._by_mfn is None:
            self._by_mfn = _Index(self._mfns)
        return self._read(self._by_mfn, mfns)

    def read_guest_pages(self, pfns: Frames) -> Pages:
        """Read pages by guest frame."""
        if self._by_pfn is None:
            self._by_pfn = _Index(self._pfns)
        return self._read(self._by_pfn, pfns)

    def _read(self, index: _Index, frames: Frames) -> Pages:
        rows, present = index.rows(frames)
        if not bool(present.any()):
            return absent(len(frames))
        return masked_gather(self._image, self._offset + (rows << PAGE_SHIFT), present)


def open_dumpcore(elf: Elf, sections: dict[str, Section]) -> Dump:
    """Open an ``xl dump-core`` file.  Raises FormatError, and MissingFactError when it lists no pages."""
    image = elf.image
    arch = _MACHINES.get(elf.machine)
    if arch is None:
        raise FormatError(
            "not an x86 guest", where=image.name, expected="EM_X86_64 or EM_386", found=elf.machine
        )
    header, version = _notes(elf, sections)
    hvm = header is not None and header[0] == layout.CORE_MAGIC_HVM
    pages = _section(image, sections, ".xen_pages", PAGE_SIZE)
    column = _section(image, sections, ".xen_pfn" if hvm else ".xen_p2m", 8 if hvm else 16)
    count = pages.size // PAGE_SIZE
    listed = column.size // (8 if hvm else 16)
    if count != listed:
        raise FormatError(
            "the pages and their list differ in length",
            where=f"{image.name}, section {column.name}, offset {column.offset:#x}",
            expected=f"{count} entries",
            found=str(listed),
        )
    words = image.array(column.offset, column.size // 8, f"section {column.name}")
    pfns, mfns = (words, None) if hvm else (words[0::2], words[1::2])
    remarks = []
    if header is not None and header[2] != count:
        remarks.append(f"the header counts {header[2]} pages, the file holds {count}")
    if header is not None and header[3] != PAGE_SIZE:
        raise FormatError("unknown page size", where=image.name, expected="4096", found=str(header[3]))
    shared = sections.get(".xen_shared_info")
    contexts = sections.get(".xen_prstatus")
    core = CoreInfo(
        arch,
        hvm,
        pfns,
        mfns,
        _roots(image, contexts, arch.bits) if contexts and not hvm else (),
        image.bytes(shared.offset, PAGE_SIZE, "section .xen_shared_info") if shared else None,
        version,
    )
    return Dump(
        image.name,
        f"xl dump-core ({'HVM' if hvm else 'PV'}, {arch.bits}-bit guest)",
        CoreMemory(image, pages.offset, pfns, mfns),
        roots=core.cr3,
        core=core,
        remarks=tuple(remarks),
    )


def _section(image: Image, sections: dict[str, Section], name: str, entsize: int) -> Section:
    section = sections.get(name)
    if section is None:
        raise MissingFactError(f"the dump has no section {name}", where=image.name)
    where = f"{image.name}, section {name}, offset {section.offset:#x}"
    if section.size % entsize:
        raise FormatError(
            "damaged section",
            where=where,
            expected=f"a multiple of {entsize} bytes",
            found=f"{section.size:#x}",
        )
    if section.offset + section.size > image.size:
        raise FormatError(
            "a section lies outside the file",
            where=where,
            expected=f"an end at or below offset {image.size:#x}",
            found=f"{section.offset + section.size:#x}",
        )
    return section


def _notes(elf: Elf, sections: dict[str, Section]) -> tuple[tuple[int, int, int, int] | None, str]:
    """Return the header note (magic, virtual CPUs, pages, page size) and the version that Xen reported."""
    section = sections.get(".note.Xen")
    header: tuple[int, int, int, int] | None = None
    version = ""
    if section is None:
        return header, version
    for note in parse_notes(elf.image, section.offset, section.size):
        if note.kind == layout.NOTE_CORE_HEADER and len(note.data) >= 32:
            magic, vcpus, pages, page_size = struct.unpack_from("<4Q", note.data)
            if magic not in (layout.CORE_MAGIC_PV, layout.CORE_MAGIC_HVM):
                raise FormatError(
                    "unknown kind of guest",
                    where=f"{elf.image.name}, offset {note.offset:#x}",
                    expected=f"{layout.CORE_MAGIC_PV:#x} (PV) or {layout.CORE_MAGIC_HVM:#x} (HVM)",
                    found=f"{magic:#x}",
                )
            header = (magic, vcpus, pages, page_size)
        elif note.kind == layout.NOTE_CORE_VERSION and len(note.data) >= 32:
            major, minor = struct.unpack_from("<2Q", note.data)
            extra = note.data[16:32].split(b"\0", 1)[0].decode("ascii", "replace")
            version = f"{major}.{minor}{''.join(filter(str.isprintable, extra))}"
    return header, version


def _roots(image: Image, section: Section, bits: int) -> tuple[int, ...]:
    arch = X86_64 if bits == 64 else X86_32
    entsize = section.entsize or layout.VCPU_CONTEXT_SIZE
    offset = layout.VCPU_CONTEXT_CR3[bits]
    width = bits // 8
    if entsize < offset + width:
        return ()
    roots = []
    for index in range(min(section.size // entsize, _MAX_VCPUS)):
        data = image.bytes(section.offset + index * entsize + offset, width, "section .xen_prstatus")
        value = int.from_bytes(data, "little")
        if value:
            roots.append(layout.unfold_cr3(value, arch))
    return tuple(dict.fromkeys(roots))
