"""cpio archives: newc (``cpio -H newc``), the portable one in octal (odc), and the old binary one."""

from __future__ import annotations

import stat
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from xenp2m.capture.bundle.entry import Entry, clean_name
from xenp2m.capture.bundle.limits import MAX_NAME
from xenp2m.capture.bundle.streams import Part, Reader
from xenp2m.errors import FormatError

_END = b"TRAILER!!!"


class _Header(NamedTuple):
    mode: int
    name_size: int
    size: int


class _Layout(NamedTuple):
    """One kind of header: its length in bytes, what name and data are padded to, and how to read it."""

    length: int
    align: int
    read: Callable[[bytes], _Header]


def _digits(header: bytes, at: int, width: int, base: int) -> int:
    field = header[at : at + width]
    if not field.isalnum():
        raise ValueError(f"{field!r} is no number")
    return int(field, base)


def _newc(header: bytes) -> _Header:
    return _Header(*(_digits(header, at, 8, 16) for at in (14, 94, 54)))


def _odc(header: bytes) -> _Header:
    return _Header(_digits(header, 18, 6, 8), _digits(header, 59, 6, 8), _digits(header, 65, 11, 8))


def _binary(order: str) -> Callable[[bytes], _Header]:
    def read(header: bytes) -> _Header:
        words = struct.unpack(f"{order}13H", header)
        return _Header(words[3], words[10], words[11] << 16 | words[12])

    return read


_LAYOUTS = {
    b"070701": _Layout(110, 4, _newc),
    b"070702": _Layout(110, 4, _newc),
    b"070707": _Layout(76, 1, _odc),
    b"\xc7\x71": _Layout(26, 2, _binary("<")),
    b"\x71\xc7": _Layout(26, 2, _binary(">")),
}


def is_cpio(head: bytes) -> bool:
    """Whether ``head`` starts with a cpio header."""
    layout = _layout(head)
    if layout is None or len(head) < layout.length:
        return False
    if layout.length > 26:
        return True
    # Two bytes are little to know it by: the header must also make sense.
    header = layout.read(head[: layout.length])
    return 1 < header.name_size <= MAX_NAME and stat.S_IFMT(header.mode) != 0


def read_cpio(reader: Reader) -> Iterator[Entry]:
    """Yield every member; the source of one must be read before the next is asked for.

    Raises FormatError for a damaged header, CutError for an early end.
    """
    while True:
        where = f"{reader.name}, offset {reader.at:#x}"
        layout = _layout(reader.peek(6))
        if layout is None:
            raise FormatError("damaged cpio header", where=where)
        try:
            header = layout.read(reader.exactly(layout.length))
        except ValueError as error:
            raise FormatError("damaged cpio header", where=where, found=str(error)) from error
        if not 0 < header.name_size <= MAX_NAME:
            raise FormatError("damaged cpio header", where=where, found=f"a name of {header.name_size} bytes")
        name = reader.exactly(header.name_size).rstrip(b"\0")
        reader.skip(-(layout.length + header.name_size) % layout.align)
        if name == _END:
            return
        part = Part(reader, header.size)
        yield Entry(clean_name(name), part if stat.S_ISREG(header.mode) else None)
        reader.skip(part.left + -header.size % layout.align)


def _layout(head: bytes) -> _Layout | None:
    return _LAYOUTS.get(head[:6]) or _LAYOUTS.get(head[:2])
