"""The files that hold memory: one function a format, each returning the file's bytes."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterable
from typing import BinaryIO

import numpy as np
import zstandard

from writers.guest import Guest, Page, fold_cr3
from xenp2m.dump import layout
from xenp2m.entry import Kind

Pages = dict[int, Page]
_ZERO = bytes(4096)


def note(name: bytes, kind: int, data: bytes) -> bytes:
    owner = name + b"\0"
    return (
        struct.pack("<3I", len(owner), len(data), kind)
        + owner.ljust((len(owner) + 3) // 4 * 4, b"\0")
        + data.ljust((len(data) + 3) // 4 * 4, b"\0")
    )


def qemu_notes(cr3: int) -> bytes:
    state = bytearray(0x1B8)
    struct.pack_into("<II", state, 0, 1, len(state))
    struct.pack_into("<Q", state, layout.QEMU_NOTE_CR3, cr3 << 12)
    return note(b"CORE", 1, bytes(336)) + note(b"QEMU", 0, bytes(state))


def xen_notes(cr3: int, frame_list_list: int) -> bytes:
    info = struct.pack("<10Q", 4, 17, 0, 0, 0, 0, 0, 0, 0, frame_list_list)
    return (
        note(b"CORE", 1, bytes(336))
        + note(b"Xen", layout.NOTE_CRASH_REGS, struct.pack("<4Q", 0x8005_0033, 0, cr3 << 12, 0x26F0))
        + note(b"Xen", layout.NOTE_CRASH_INFO, info)
    )


def _runs(mfns: Iterable[int]) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    for mfn in sorted(mfns):
        if runs and runs[-1][1] == mfn:
            runs[-1] = (runs[-1][0], mfn + 1)
        else:
            runs.append((mfn, mfn + 1))
    return runs


def elf_dump(pages: Pages, notes: bytes, *, misalign: int = 8) -> bytes:
    """A host dump as ELF; like QEMU's, its segments do not start at a multiple of the page size."""
    runs = _runs(pages)
    note_at = 64 + 56 * (1 + len(runs))
    at = note_at + len(notes) + misalign
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 1 + len(runs), 0, 0, 0
    )
    headers = [struct.pack("<IIQQQQQQ", 4, 0, note_at, 0, 0, len(notes), len(notes), 0)]
    body = []
    for start, end in runs:
        size = (end - start) << 12
        headers.append(struct.pack("<IIQQQQQQ", 1, 0, at, start << 12, start << 12, size, size, 0))
        body += [pages[mfn].tobytes() for mfn in range(start, end)]
        at += size
    return b"".join([head, *headers, notes, bytes(misalign), *body])


def raw_image(pages: Pages) -> bytes:
    return b"".join(pages[mfn].tobytes() if mfn in pages else _ZERO for mfn in range(max(pages) + 1))


def core_dump(guest: Guest, *, hvm: bool = False, shared_info: bool = True) -> bytes:
    """An ``xl dump-core`` of a guest, as bytes."""
    stream = io.BytesIO()
    write_core(stream, guest, hvm=hvm, shared_info=shared_info)
    return stream.getvalue()


def write_core(stream: BinaryIO, guest: Guest, *, hvm: bool = False, shared_info: bool = True) -> None:
    """Write an ``xl dump-core`` of a guest: all its RAM, in order of guest frame; empty pages are holes."""
    arch = guest.arch
    entries = [
        (run.pfn + index, (run.mfn or 0) + index)
        for run in guest.map
        if run.kind is Kind.RAM
        for index in range(run.pages)
    ]
    magic = layout.CORE_MAGIC_HVM if hvm else layout.CORE_MAGIC_PV
    notes = (
        note(b"Xen", 0x200_0000, b"")
        + note(b"Xen", layout.NOTE_CORE_HEADER, struct.pack("<4Q", magic, 1, len(entries), 4096))
        + note(b"Xen", layout.NOTE_CORE_VERSION, struct.pack("<QQ16s", 4, 17, b".7").ljust(1280, b"\0"))
        + note(b"Xen", layout.NOTE_CORE_FORMAT, struct.pack("<Q", 1))
    )
    context = bytearray(layout.VCPU_CONTEXT_SIZE)
    cr3 = fold_cr3(guest.cr3, arch)
    struct.pack_into("<Q" if arch.bits == 64 else "<I", context, layout.VCPU_CONTEXT_CR3[arch.bits], cr3)
    columns = np.array(entries, "<u8")
    sections: list[tuple[str, int, bytes | None]] = [
        (".note.Xen", 0, notes),
        (".xen_prstatus", len(context), bytes(context)),
        (".xen_shared_info", 4096, guest.shared_info()),
        (".xen_pages", 4096, None),
        (".xen_pfn", 8, columns[:, 0].tobytes()) if hvm else (".xen_p2m", 16, columns.tobytes()),
    ]
    if hvm or not shared_info:
        del sections[2]
    names = b"\0.shstrtab\0" + b"".join(name.encode() + b"\0" for name, _, _ in sections)
    at = 64 + 64 * (2 + len(sections)) + len(names)
    headers = [bytes(64), struct.pack("<IIQQQQIIQQ", 1, 3, 0, 0, at - len(names), len(names), 0, 0, 0, 0)]
    places = []
    for name, entsize, data in sections:
        size = 4096 * len(entries) if data is None else len(data)
        at += -at % 4096 if data is None else 0
        kind = 7 if name == ".note.Xen" else 1
        where = names.index(name.encode() + b"\0")
        headers.append(struct.pack("<IIQQQQIIQQ", where, kind, 0, 0, at, size, 0, 0, 0, entsize))
        places.append(at)
        at += size
    machine = 62 if arch.bits == 64 else 3
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 4, machine, 1, 0, 0, 64, 0, 64, 0, 0, 64, 2 + len(sections), 1
    )
    stream.write(head + b"".join(headers) + names)
    for (_, _, data), place in zip(sections, places, strict=True):
        if data is not None:
            stream.seek(place)
            stream.write(data)
            continue
        for index, (_, mfn) in enumerate(entries):
            if mfn in guest.pages:
                stream.seek(place + 4096 * index)
                stream.write(guest.pages[mfn].tobytes())


def _zlib(data: bytes) -> bytes:
    return zlib.compress(data)


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def _lzo(data: bytes) -> bytes:
    from lzallright import LZOCompressor

    return bytes(LZOCompressor().compress(data))


def _snappy(data: bytes) -> bytes:
    from cramjam import snappy

    return bytes(snappy.compress_raw(data))


METHODS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "zlib": (1, _zlib),
    "lzo": (2, _lzo),
    "snappy": (4, _snappy),
    "zstd": (0x20, _zstd),
    "none": (0, bytes),
}


def kdump(
    pages: Pages, notes: bytes, *, method: str = "zlib", part: tuple[int, int] | None = None, version: int = 6
) -> bytes:
    """A host dump as kdump-compressed; ``part`` is the frames of one part of a split dump."""
    flag, pack = METHODS[method]
    end = max(pages) + 1
    half = -(-end // 8 // 4096) * 4096 or 4096
    bits = np.zeros(half * 8, np.uint8)
    bits[list(pages)] = 1
    bitmap = np.packbits(bits, bitorder="little").tobytes()
    sub_blocks = 1 + -(-len(notes) // 4096)
    head = bytearray(4096)
    head[:8] = b"KDUMP   "
    struct.pack_into("<i", head, 8, version)
    struct.pack_into(
        "<iiII", head, 428, 4096, sub_blocks, 2 * half // 4096, end if version < 6 else 0xFFFF_FFFF
    )
    first, last = part or (0, end)
    sub = bytearray(sub_blocks * 4096)
    struct.pack_into("<iQQ", sub, 12, int(part is not None), first, last)
    struct.pack_into("<QQ", sub, 48, 4096 + 104, len(notes))
    struct.pack_into("<QQQ", sub, 80, first, last, end)
    sub[104 : 104 + len(notes)] = notes
    held = sorted(mfn for mfn in pages if first <= mfn < last)
    at = 4096 + len(sub) + 2 * half + 24 * len(held)
    descriptors, data, zero = [], [], b""
    for mfn in held:
        page = pages[mfn].tobytes()
        if page == _ZERO and zero:
            descriptors.append(zero)
            continue
        packed, flags = pack(page), flag
        if len(packed) >= 4096:
            packed, flags = page, 0
        descriptors.append(struct.pack("<qIIQ", at, len(packed), flags, 0))
        if page == _ZERO:
            zero = descriptors[-1]
        data.append(packed)
        at += len(packed)
    return b"".join([bytes(head), bytes(sub), bitmap, bitmap, *descriptors, *data])


def flatten(data: bytes, *, step: int = 5000, twice: bool = False) -> bytes:
    """A file as makedumpfile -F writes it; ``twice`` first writes the start as zeros, then again."""
    out = [b"makedumpfile".ljust(16, b"\0").ljust(4096, b"\0")]
    out[0] = out[0][:16] + struct.pack(">qq", 1, 1) + out[0][32:]
    if twice:
        out.append(struct.pack(">qq", 0, min(len(data), 9000)) + bytes(min(len(data), 9000)))
    for at in range(0, len(data), step):
        chunk = data[at : at + step]
        out.append(struct.pack(">qq", at, len(chunk)) + chunk)
    out.append(struct.pack(">qq", -1, -1))
    return b"".join(out)
