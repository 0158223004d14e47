"""Bytes of members and of compressed streams, read forward, a bounded piece at a time."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Protocol

import zstandard

from xenp2m.capture.bundle.limits import CHUNK, Budget
from xenp2m.errors import FormatError
from xenp2m.units import KIB, MIB

_MEMORY = 256 * MIB
"""What a decompressor's window may take; xz -9 and zstd --ultra need at most 128 MiB."""
_ZSTD_PIECE = KIB  # so small because one zstd call may return 32,768 times what it was given


class CutError(FormatError):
    """The data ends before its end: what stands before it can be used."""


class Source(Protocol):
    """What can be read forward: ``read(size)`` gives at most ``size`` bytes, and none only at the end."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes."""


class Reader:
    """A source read in large pieces; ``name`` is for messages, ``at`` the offset of the next byte."""

    def __init__(self, source: Source, name: str) -> None:
        self.name = name
        self.at = 0
        self._source = source
        self._piece = b""
        self._used = 0

    def peek(self, size: int) -> bytes:
        """Return the next ``size`` bytes and stay where they are; fewer at the end, be it early or not."""
        while (missing := size - (len(self._piece) - self._used)) > 0:
            try:
                more = self._source.read(missing)
            except CutError:
                break
            if not more:
                break
            self._piece, self._used = self._piece[self._used :] + more, 0
        return self._piece[self._used : self._used + size]

    def read(self, size: int) -> bytes:
        """Return at most ``size`` bytes, and none only at the end."""
        if self._used == len(self._piece):
            self._piece, self._used = self._source.read(CHUNK), 0
        data = self._piece[self._used : self._used + size]
        self._used += len(data)
        self.at += len(data)
        return data

    def upto(self, size: int) -> bytes:
        """Return the next ``size`` bytes, fewer only at the end."""
        pieces, missing = [], size
        while missing and (piece := self.read(min(missing, CHUNK))):
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def exactly(self, size: int) -> bytes:
        """Return the next ``size`` bytes; raises CutError when there are fewer."""
        data = self.upto(size)
        if len(data) < size:
            raise self.cut("the archive")
        return data

    def skip(self, size: int) -> None:
        """Pass over ``size`` bytes; raises CutError when there are fewer."""
        missing = size
        while missing:
            piece = self.read(min(missing, CHUNK))
            if not piece:
                raise self.cut("the archive")
            missing -= len(piece)

    def cut(self, what: str) -> CutError:
        """Return the error that ``what`` ends here, before its end."""
        return CutError(f"{what} ends early", where=f"{self.name}, offset {self.at:#x}")


class Part:
    """The next ``size`` bytes of a reader as a source of their own."""

    def __init__(self, reader: Reader, size: int) -> None:
        self._reader = reader
        self.left = size

    def read(self, size: int) -> bytes:
        """Return at most ``size`` bytes; raises CutError when the reader ends before the part."""
        if not self.left or not size:
            return b""
        data = self._reader.read(min(size, self.left))
        if not data:
            raise self._reader.cut("the archive")
        self.left -= len(data)
        return data


class _Unpacker(Protocol):
    """What the decompressors have in common, once zlib and zstd are wrapped."""

    @property
    def eof(self) -> bool:
        """Whether the end of the stream was reached."""

    @property
    def unused_data(self) -> bytes:
        """What followed the end."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes of what was given."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Unpack some more, at most ``max_length`` bytes."""


class _Zlib:
    def __init__(self, window: int) -> None:
        self._inner = zlib.decompressobj(window)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


class _Zstd:
    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor(max_window_size=_MEMORY // 2).decompressobj()
        self._given = b""
        self._made = memoryview(b"")

    @property
    def eof(self) -> bool:
        return self._inner.eof and not self._made

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data + self._given

    @property
    def needs_input(self) -> bool:
        return not self._given and not self._made

    def decompress(self, data: bytes, max_length: int) -> bytes:
        self._given += data
        if not self._made and self._given:
            piece, self._given = self._given[:_ZSTD_PIECE], self._given[_ZSTD_PIECE:]
            self._made = memoryview(self._inner.decompress(piece))
        made, self._made = bytes(self._made[:max_length]), self._made[max_length:]
        return made


DEFLATE = "deflate"
_METHODS: dict[str, tuple[bytes, Callable[[], _Unpacker]]] = {
    "gzip": (b"\x1f\x8b\x08", lambda: _Zlib(31)),
    "bzip2": (b"BZh", bz2.BZ2Decompressor),
    "xz": (b"\xfd7zXZ\0", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)),
    "zstd": (b"\x28\xb5\x2f\xfd", _Zstd),
    DEFLATE: (b"", lambda: _Zlib(-15)),
}
_DAMAGE = (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, MemoryError)


def compression(head: bytes) -> str | None:
    """Return the method by which a stream that starts like this is compressed, or None."""
    return next((name for name, (magic, _) in _METHODS.items() if magic and head.startswith(magic)), None)


class Unpacked:
    """What comes of a compressed source; streams that follow one another are one."""

    def __init__(self, reader: Reader, method: str, budget: Budget) -> None:
        self._reader = reader
        self._method = method
        self._budget = budget
        self._unpacker = _METHODS[method][1]()
        self._done = False
        self._damage: FormatError | None = None

    def read(self, size: int) -> bytes:
        """Return at most ``size`` bytes; raises FormatError for damage, CutError for an early end.

        After damage every read fails: who reads a member in it is not the one who reads on.
        """
        if self._damage is not None:
            raise self._damage
        while not self._done and size:
            data = self._step(min(size, CHUNK))
            if data:
                self._budget.unpack(len(data))
                return data
        return b""

    def _step(self, size: int) -> bytes:
        unpacker = self._unpacker
        given, at_end = b"", False
        if unpacker.eof:
            given = unpacker.unused_data or self._reader.read(CHUNK)
            magic = _METHODS[self._method][0]
            if len(given) < len(magic):
                given += self._reader.upto(len(magic) - len(given))
            if not magic or not given.startswith(magic):
                self._done = True
                return b""
            unpacker = self._unpacker = _METHODS[self._method][1]()
        elif unpacker.needs_input:
            given = self._reader.read(CHUNK)
            at_end = not given
        try:
            data = unpacker.decompress(given, size)
        except _DAMAGE as error:
            self._damage = FormatError(
                f"damaged {self._method} data",
                where=f"{self._reader.name}, offset {self._reader.at:#x} or shortly before",
                found=str(error) or type(error).__name__,
            )
            raise self._damage from error
        if at_end and not data and not unpacker.eof:
            raise self._reader.cut(f"the {self._method} data")
        return data
