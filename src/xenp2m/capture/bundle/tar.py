"""tar (POSIX ustar and pax, GNU, V7), read forward.

The tarfile module is not used: it reads an extended header of any claimed size into memory.
"""

from __future__ import annotations

from collections.abc import Iterator

from xenp2m.capture.bundle.entry import Entry, clean_name
from xenp2m.capture.bundle.streams import Part, Reader
from xenp2m.errors import FormatError, LimitError
from xenp2m.units import MIB

BLOCK = 512
"""What headers and data are padded to, in bytes."""
_CHECKSUM = slice(148, 156)
_FILES, _WITHOUT_DATA = (b"0", b"\0", b"7"), (b"1", b"2", b"3", b"4", b"5", b"6")
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL, _SPARSE = b"L", b"K", b"x", b"g", b"S"
_MAX_EXTENDED = MIB


def is_tar(head: bytes) -> bool:
    """Whether ``head`` starts with a tar header: it holds the sum over itself."""
    if len(head) < BLOCK or not head[0]:
        return False
    stored = _octal(head[_CHECKSUM])
    return stored is not None and stored == sum(head[:148]) + 8 * 0x20 + sum(head[156:BLOCK])


def read_tar(reader: Reader) -> Iterator[Entry]:
    """Yield every member; the source of one must be read before the next is asked for.

    Raises FormatError for a damaged header, LimitError for an endless one, CutError for an early end.
    """
    name, size = "", None
    while (header := reader.upto(BLOCK)).strip(b"\0"):
        if len(header) < BLOCK:
            reader.exactly(BLOCK - len(header))
        if not is_tar(header):
            raise FormatError("damaged tar header", where=f"{reader.name}, offset {reader.at - BLOCK:#x}")
        kind, length = header[156:157], _size(header[124:136], reader)
        if kind == _LONG_NAME:
            name = clean_name(_extended(reader, length).rstrip(b"\0"))
        elif kind == _PAX:
            name, size = _pax(_extended(reader, length), name)
        elif kind in {_LONG_LINK, _PAX_GLOBAL}:
            reader.skip(_padded(length))
        else:
            if kind in _WITHOUT_DATA:
                length = 0
            elif size is not None:
                length = size
            if kind == _SPARSE:
                _skip_sparse_map(reader, header)
            part = Part(reader, length)
            yield Entry(name or _ustar_name(header), part if kind in _FILES else None)
            reader.skip(part.left + _padded(length) - length)
            name, size = "", None


def _padded(length: int) -> int:
    return -(-length // BLOCK) * BLOCK


def _octal(field: bytes) -> int | None:
    digits = field.replace(b"\0", b" ").strip()
    return int(digits, 8) if digits and not digits.translate(None, b"01234567") else None


def _size(field: bytes, reader: Reader) -> int:
    """Read a size: octal digits, or GNU's base 256 with the top bit set."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    value = 0 if not field.strip(b"\0 ") else _octal(field)
    if value is None:
        raise FormatError(
            "damaged size in a tar header",
            where=f"{reader.name}, offset {reader.at - BLOCK:#x}",
            found=repr(field)[1:],
        )
    return value


def _extended(reader: Reader, length: int) -> bytes:
    if length > _MAX_EXTENDED:
        raise LimitError(
            "endless extended tar header",
            where=f"{reader.name}, offset {reader.at:#x}",
            expected=f"at most {_MAX_EXTENDED} bytes",
            found=str(length),
        )
    data = reader.exactly(length)
    reader.skip(_padded(length) - length)
    return data


def _pax(records: bytes, name: str) -> tuple[str, int | None]:
    """Return the name and size that pax records (``length key=value``) give; others do not matter here."""
    size = None
    at = 0
    while at < len(records):
        digits, blank, _ = records[at : at + 12].partition(b" ")
        length = int(digits) if blank and digits.isdigit() else 0
        if length <= len(digits) + 1:
            break
        key, _, value = records[at + len(digits) + 1 : at + length].rstrip(b"\n").partition(b"=")
        if key == b"path":
            name = clean_name(value)
        elif key == b"size" and value.isdigit() and len(value) < 20:
            size = int(value)
        at += length
    return name, size


def _ustar_name(header: bytes) -> str:
    name = header[:100].partition(b"\0")[0]
    prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return clean_name(prefix + b"/" + name if prefix else name)


def _skip_sparse_map(reader: Reader, header: bytes) -> None:
    """Pass over the rest of GNU's list of holes, which goes on in blocks of its own."""
    goes_on = header[482]
    while goes_on:
        goes_on = reader.exactly(BLOCK)[504]
