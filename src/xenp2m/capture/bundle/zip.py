"""zip archives: the central directory, and members that are stored, deflated, or packed by bzip2, xz or zstd.

The zipfile module is not used: it unpacks bzip2 and xz members without a bound, and a damaged directory makes
it fail in a dozen ways.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator
from typing import IO, NamedTuple

from xenp2m.capture.bundle.entry import Entry, clean_name
from xenp2m.capture.bundle.limits import MAX_MEMBERS, Budget
from xenp2m.capture.bundle.streams import DEFLATE, CutError, Part, Reader, Source, Unpacked
from xenp2m.errors import FormatError, LimitError
from xenp2m.units import MIB

MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
"""How a zip archive starts; the second one is empty."""

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_SIZE = 20
_ITEM = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_MAX_COMMENT = 0xFFFF
_MAX_DIRECTORY = 64 * MIB
_METHODS = {0: "", 8: DEFLATE, 12: "bzip2", 93: "zstd", 95: "xz"}
_UNIX = 3


class _Item(NamedTuple):
    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    mode: int


class _Checked:
    """A member's bytes, whose sum is compared with the directory's when the last one is read."""

    def __init__(self, source: Source, item: _Item, where: str) -> None:
        self._source = source
        self._left = item.size
        self._crc = 0
        self._item = item
        self._where = where

    def read(self, size: int) -> bytes:
        """Return at most ``size`` bytes; raises FormatError when they are not those that were packed."""
        data = self._source.read(min(size, self._left + 1)) if size else b""
        self._left -= len(data)
        self._crc = zlib.crc32(data, self._crc)
        if self._left < 0 or (size and not data and (self._left or self._crc != self._item.crc)):
            raise FormatError("damaged zip member: its length or sum (CRC) is wrong", where=self._where)
        return data


def read_zip(file: IO[bytes], name: str, budget: Budget) -> Iterator[Entry]:
    """Yield every member; the source of one must be read before the next is asked for.

    Raises FormatError for a damaged directory, CutError where it is missing, LimitError for an endless one.
    """
    directory, shift = _directory(file, name)
    at = 0
    while at + _ITEM.size <= len(directory):
        if directory[at : at + 4] != b"PK\x01\x02":
            raise FormatError("damaged zip directory", where=f"{name}, entry at {at:#x} of it")
        item, at = _item(directory, at)
        if stat.S_IFMT(item.mode) not in {0, stat.S_IFREG}:
            yield Entry(item.name, None)
        elif item.flags & 1:
            yield Entry(item.name, None, "it is encrypted")
        elif item.method not in _METHODS:
            yield Entry(item.name, None, f"it is packed by zip's method {item.method}")
        else:
            yield Entry(item.name, _open(file, item, shift, name, budget))


def _directory(file: IO[bytes], name: str) -> tuple[bytes, int]:
    """Return the directory, and what its offsets must be corrected by (something stands before the zip)."""
    size = file.seek(0, 2)
    start = max(size - _END.size - _MAX_COMMENT, 0)
    file.seek(start)
    tail = file.read(size - start)
    found = tail.rfind(b"PK\x05\x06")
    if found < 0 or found + _END.size > len(tail):
        raise CutError("the zip archive has no directory: its end is missing", where=name)
    end = start + found
    _, _, _, _, count, length, offset, _ = _END.unpack_from(tail, found)
    end64 = end - _LOCATOR_SIZE - _END64.size
    if end64 >= 0:
        file.seek(end64)
        record = file.read(_END64.size)
        if record.startswith(b"PK\x06\x06"):
            *_, count, length, offset = _END64.unpack(record)
            end = end64
    if length > _MAX_DIRECTORY or count > MAX_MEMBERS:
        raise LimitError("too many members", where=name, expected=f"at most {MAX_MEMBERS}", found=str(count))
    if length > end:
        raise FormatError(
            "damaged zip directory", where=name, found=f"a length of {length} in a file of {end}"
        )
    file.seek(end - length)
    return file.read(length), end - length - offset


def _item(directory: bytes, at: int) -> tuple[_Item, int]:
    """Read one entry of the directory, and return where the next one starts."""
    fields = _ITEM.unpack_from(directory, at)
    maker, flags, method = fields[1] >> 8, fields[3], fields[4]
    crc, packed, size, name_size, extra_size, comment_size = fields[7:13]
    attributes, offset = fields[15], fields[16]
    name_at = at + _ITEM.size
    extra_at = name_at + name_size
    raw = directory[name_at:extra_at]
    extra = directory[extra_at : extra_at + extra_size]
    size, packed, offset = _zip64(extra, size, packed, offset)
    mode = attributes >> 16 if maker == _UNIX else 0
    item = _Item(
        clean_name(raw),
        flags,
        method,
        crc,
        packed,
        size,
        offset,
        stat.S_IFDIR if raw.endswith(b"/") else mode,
    )
    return item, extra_at + extra_size + comment_size


def _zip64(extra: bytes, *values: int) -> tuple[int, ...]:
    """Replace each value that is all ones by the next of the 64-bit extra field."""
    at = 0
    wide: list[int] = []
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<2H", extra, at)
        if tag == 1:
            body = extra[at + 4 : at + 4 + length]
            wide = [int.from_bytes(body[i : i + 8], "little") for i in range(0, len(body) - 7, 8)]
        at += 4 + length
    return tuple(wide.pop(0) if value == 0xFFFFFFFF and wide else value for value in values)


def _open(file: IO[bytes], item: _Item, shift: int, name: str, budget: Budget) -> Source:
    where = f"{name}: {item.name}"
    at = item.offset + shift
    if at < 0 or at >> 62:
        raise FormatError("damaged zip directory", where=where, found=f"a place at {at:#x}")
    file.seek(at)
    header = file.read(_LOCAL.size)
    if len(header) < _LOCAL.size or not header.startswith(MAGIC[0]):
        raise FormatError("damaged zip member: no header at its place", where=where)
    *_, name_size, extra_size = _LOCAL.unpack(header)
    file.seek(name_size + extra_size, 1)
    part = Part(Reader(file, where), item.packed)
    method = _METHODS[item.method]
    return _Checked(Unpacked(Reader(part, where), method, budget) if method else part, item, where)
