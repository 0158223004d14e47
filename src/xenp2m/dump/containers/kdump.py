"""kdump-compressed (diskdump) files of a whole host: zlib, lzo, snappy or zstd; flattened, split.

Read here and not through libkdumpfile because that is a C library without a package in the Python index,
and answers one page a call; this reader gives arrays.  Sources: makedumpfile's IMPLEMENTATION and
diskdump_mod.h (header versions 1 to 6), QEMU's include/sysemu/dump.h.  64-bit headers only: a machine that
runs Xen is a 64-bit machine.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import zstandard
from numpy.typing import NDArray

from xenp2m.dump.containers.base import Dump
from xenp2m.dump.containers.elf import machine_notes
from xenp2m.dump.containers.flat import FLAT_MAGIC, FlatBytes, PlainBytes
from xenp2m.dump.elffile import Note, notes_of
from xenp2m.dump.layout import ENTRIES
from xenp2m.dump.memory import Frames, Image, Pages, absent
from xenp2m.errors import FormatError, LimitError, MissingFactError, UsageError
from xenp2m.units import PAGE_SIZE

KDUMP_MAGIC = b"KDUMP   "
_MAX_FRAMES = 1 << 36
_MAX_NOTES = 1 << 26
_DESCRIPTOR = np.dtype([("offset", "<i8"), ("size", "<u4"), ("flags", "<u4"), ("page_flags", "<u8")])
_ZLIB, _LZO, _SNAPPY, _ZSTD = 0x1, 0x2, 0x4, 0x20
_METHODS = _ZLIB | _LZO | _SNAPPY | _ZSTD
_RANK_BYTES = 512  # bitmap bytes between two stored counts
_MAX_MEMO = 4096


@dataclass(frozen=True, slots=True)
class _Header:
    """What the disk dump header and the sub header say: offsets in bytes, frames in units of 4 KiB."""

    bitmap: int
    bitmap_size: int
    descriptors: int
    max_frame: int
    first: int
    end: int
    split: bool
    notes: tuple[int, int]


class _Part:
    """One file: the whole dump, or one part of a split one."""

    def __init__(self, image: Image) -> None:
        flat = image.bytes(0, min(13, image.size)).startswith(FLAT_MAGIC)
        self.file = FlatBytes(image) if flat else PlainBytes(image)
        self.flat = flat
        self.header = _header(self.file)
        self._ranks: NDArray[np.int64] | None = None
        self._bitmap: NDArray[np.uint8] | None = None
        self._memo: dict[int, bytes] = {}

    @property
    def bitmap(self) -> NDArray[np.uint8]:
        """The bitmap of dumped frames, one bit a frame (the second of the file's two)."""
        if self._bitmap is None:
            header = self.header
            size = header.bitmap_size // 2
            data = self.file.read(header.bitmap + size, size, "the bitmap")
            self._bitmap = np.frombuffer(data, np.uint8)
        return self._bitmap

    def ranges(self) -> Frames:
        """Return the frames present, as shape (n, 2)."""
        header = self.header
        first, end = header.first, min(header.end, len(self.bitmap) * 8)
        found: list[Frames] = []
        step = 1 << 22  # bits looked at in one go
        for at in range(first // 8 * 8, end, step):
            block = self.bitmap[at // 8 : (at + step) // 8]
            if not block.any():
                continue
            bits = np.unpackbits(block, bitorder="little").astype(np.int8)
            frames = at + np.arange(len(bits))
            bits[(frames < first) | (frames >= end)] = 0
            edges = np.diff(bits, prepend=np.int8(0), append=np.int8(0))
            starts, ends = np.flatnonzero(edges == 1) + at, np.flatnonzero(edges == -1) + at
            found.append(np.stack([starts, ends], axis=1).astype(np.uint64))
        return np.concatenate(found) if found else np.empty((0, 2), np.uint64)

    def _rank(self, frames: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count the dumped frames below each frame."""
        if self._ranks is None:
            bitmap = self.bitmap
            sums = np.add.reduceat(_BITS[bitmap], np.arange(0, len(bitmap), _RANK_BYTES), dtype=np.int64)
            self._ranks = np.concatenate(([0], np.cumsum(sums)))
        blocks = frames // (8 * _RANK_BYTES)
        counts = self._ranks[blocks]
        for row, (block, frame) in enumerate(zip(blocks.tolist(), frames.tolist(), strict=True)):
            start = block * _RANK_BYTES
            whole = frame // 8
            counts[row] += int(_BITS[self.bitmap[start:whole]].sum(dtype=np.int64))
            if frame % 8:
                counts[row] += int(_BITS[self.bitmap[whole] & ((1 << frame % 8) - 1)])
        return counts

    def rows(self, frames: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the descriptor number of each frame, and whether the frame was dumped."""
        header = self.header
        inside = (frames >= header.first) & (frames < min(header.end, len(self.bitmap) * 8))
        safe = np.where(inside, frames, 0)
        present = inside & ((self.bitmap[safe >> 3] >> (safe & 7).astype(np.uint8)) & 1).astype(np.bool_)
        rows = np.zeros(len(frames), np.int64)
        if bool(present.any()):
            kept = frames[present]
            unique, back = np.unique(kept, return_inverse=True)
            ranks = self._rank(unique)
            if header.split:
                ranks -= int(self._rank(np.array([header.first]))[0])
            rows[present] = ranks[back]
        return rows, present

    def page(self, row: int) -> bytes:
        """Unpack the page of one descriptor.  Raises FormatError, MissingFactError (no decompressor)."""
        at = self.header.descriptors + row * _DESCRIPTOR.itemsize
        descriptor = self.file.read(at, _DESCRIPTOR.itemsize, "a page descriptor")
        offset, size, flags, _ = struct.unpack("<qIIQ", descriptor)
        known = self._memo.get(offset)
        if known is not None:
            return known
        where = f"{self.file.name}, page descriptor at offset {at:#x}"
        if size > PAGE_SIZE:
            raise FormatError(
                "damaged page descriptor", where=where, expected="at most 4096 bytes", found=str(size)
            )
        data = self.file.read(offset, size, "a page")
        method = flags & _METHODS
        if method:
            data = _unpack(method, data, where)
        if len(data) != PAGE_SIZE:
            raise FormatError(
                "a page has the wrong size", where=where, expected="4096 bytes", found=str(len(data))
            )
        if len(self._memo) < _MAX_MEMO:
            self._memo[offset] = data
        return data


class KdumpMemory:
    """Machine frames of a kdump-compressed dump, in one file or several."""

    def __init__(self, parts: Sequence[_Part]) -> None:
        """Take the parts, sorted by their first frame."""
        self._parts = parts
        self._ranges: Frames | None = None

    @property
    def held(self) -> int:
        """Machine frames present, at most: as many as pages fit into the files."""
        return sum(
            min(part.header.end - part.header.first, part.file.size // _DESCRIPTOR.itemsize)
            for part in self._parts
        )

    def ranges(self) -> Frames:
        """Return the frames present."""
        if self._ranges is None:
            self._ranges = np.concatenate([part.ranges() for part in self._parts])
        return self._ranges

    def read_pages(self, mfns: Frames) -> Pages:
        """Read pages by machine frame."""
        pages = absent(len(mfns))
        frames = np.where(mfns < np.uint64(_MAX_FRAMES), mfns, np.uint64(_MAX_FRAMES)).astype(np.int64)
        for part in self._parts:
            rows, present = part.rows(frames)
            for index in np.flatnonzero(present & ~pages.present).tolist():
                pages.words[index] = np.frombuffer(part.page(int(rows[index])), "<u8", ENTRIES)
            pages.present[present] = True
        return pages

    def read_guest_pages(self, pfns: Frames) -> Pages:
        """Refuse: a whole host has many guests."""
        raise MissingFactError("this dump has no guest frames of its own", where=self._parts[0].file.name)


def open_kdump(images: Sequence[Image]) -> Dump:
    """Open a kdump file, or all parts of a split one in any order.  Raises FormatError, UsageError."""
    parts = sorted((_Part(image) for image in images), key=lambda part: part.header.first)
    if len(parts) > 1 and not all(part.header.split for part in parts):
        raise UsageError("not parts of one split dump", found=", ".join(part.file.name for part in parts))
    remarks = []
    at = 0
    for part in parts:
        header = part.header
        if header.first < at:
            raise FormatError(
                "parts of the dump overlap",
                where=part.file.name,
                expected=f"a first frame at or after {at:#x}",
                found=f"{header.first:#x}",
            )
        if header.first > at:
            remarks.append(f"frames {at:#x} to {header.first:#x} belong to a part that was not given")
        at = header.end
    if at < parts[-1].header.max_frame:
        remarks.append(f"frames {at:#x} and above belong to a part that was not given")
    notes: list[Note] = []
    for part in parts:
        offset, size = part.header.notes
        if size and not notes:
            notes = notes_of(part.file.read(offset, size, "the notes"), part.file.name, offset)
    roots, crash, made_by = machine_notes(notes)
    shape = ("flattened " if parts[0].flat else "") + ("split " if parts[0].header.split else "")
    return Dump(
        parts[0].file.name,
        f"{shape}kdump-compressed {made_by}",
        KdumpMemory(parts),
        roots=roots,
        crash=crash,
        remarks=tuple(remarks),
    )


def _header(file: PlainBytes | FlatBytes) -> _Header:
    head = file.read(0, 464, "the kdump header")
    where = f"{file.name}, offset 0"
    if not head.startswith(KDUMP_MAGIC):
        raise FormatError("not a kdump file", where=where, expected=repr(KDUMP_MAGIC), found=repr(head[:8]))
    (version,) = struct.unpack_from("<i", head, 8)
    block_size, sub_blocks, bitmap_blocks, max_frame = struct.unpack_from("<iiII", head, 428)
    if block_size != PAGE_SIZE:
        raise FormatError(
            "unknown block size",
            where=f"{file.name}, offset {428:#x}",
            expected="4096 (a 64-bit header)",
            found=str(block_size),
        )
    if not 1 <= version <= 64 or not 1 <= sub_blocks <= 1 << 16:
        raise FormatError(
            "damaged header",
            where=where,
            expected="version 1 or later and a sub header",
            found=f"version {version}, {sub_blocks} blocks",
        )
    sub = file.read(block_size, 104, "the sub header")
    split, first, end = 0, 0, 0
    notes = (0, 0)
    if version >= 2:
        (split,) = struct.unpack_from("<i", sub, 12)
        first, end = struct.unpack_from("<QQ", sub, 16)
    if version >= 4:
        notes = struct.unpack_from("<QQ", sub, 48)
    if version >= 6:
        first, end, max_frame = struct.unpack_from("<QQQ", sub, 80)
    bitmap = block_size * (1 + sub_blocks)
    bitmap_size = bitmap_blocks * block_size
    if max_frame > _MAX_FRAMES or notes[1] > _MAX_NOTES:
        raise LimitError(
            "the header claims too much",
            where=where,
            expected=f"at most {_MAX_FRAMES:#x} frames and {_MAX_NOTES:#x} bytes of notes",
            found=f"{max_frame:#x} and {notes[1]:#x}",
        )
    if bitmap + bitmap_size > file.size or bitmap_size // 2 * 8 < max_frame or bitmap_size == 0:
        raise FormatError(
            "the bitmap does not fit",
            where=f"{file.name}, offset {bitmap:#x}",
            expected=f"two bitmaps of {max_frame} bits in a file of {file.size:#x} bytes",
            found=f"{bitmap_size:#x} bytes",
        )
    if split and not first < end <= max_frame:
        raise FormatError(
            "damaged part of a split dump",
            where=f"{file.name}, offset {block_size:#x}",
            expected=f"frames below {max_frame:#x}",
            found=f"[{first:#x}, {end:#x})",
        )
    if not split:
        first, end = 0, max_frame
    return _Header(
        bitmap, bitmap_size, bitmap + bitmap_size, max_frame, first, end, bool(split), (notes[0], notes[1])
    )


def _unzlib(data: bytes) -> bytes:
    return zlib.decompressobj().decompress(data, PAGE_SIZE + 1)


def _unzstd(data: bytes) -> bytes:
    if zstandard.frame_content_size(data) > PAGE_SIZE:
        raise ValueError("the frame is larger than a page")
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=PAGE_SIZE)


def _unlzo(data: bytes) -> bytes:
    from lzallright import LZOCompressor  # noqa: PLC0415  optional: few dumps need it

    return LZOCompressor.decompress(data, PAGE_SIZE)


def _unsnappy(data: bytes) -> bytes:
    from cramjam import snappy  # noqa: PLC0415  optional: few dumps need it

    out = bytearray(PAGE_SIZE)
    if snappy.decompress_raw_len(data) != PAGE_SIZE:
        raise ValueError("the page does not unpack to 4096 bytes")
    snappy.decompress_raw_into(data, out)
    return bytes(out)


_UNPACKERS: dict[int, tuple[str, str, Callable[[bytes], bytes]]] = {
    _ZLIB: ("zlib", "", _unzlib),
    _LZO: ("lzo", "lzallright", _unlzo),
    _SNAPPY: ("snappy", "cramjam", _unsnappy),
    _ZSTD: ("zstd", "", _unzstd),
}


def _unpack(method: int, data: bytes, where: str) -> bytes:
    if method not in _UNPACKERS:
        raise FormatError(
            "unknown compression", where=where, expected="one method", found=f"flags {method:#x}"
        )
    name, package, unpack = _UNPACKERS[method]
    try:
        return unpack(data)
    except ImportError as error:
        raise MissingFactError(
            f"pages are compressed with {name}",
            where=where,
            expected=f"the package {package} to be installed",
        ) from error
    except Exception as error:
        # each of the four libraries has its own exceptions, and all mean the same here
        raise FormatError(f"damaged {name} page", where=where, found=str(error)) from error


_BITS = np.array([bin(value).count("1") for value in range(256)], np.uint8)
