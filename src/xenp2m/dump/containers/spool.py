"""Compressed dumps: unpacked once, into an unlinked temporary file with holes where the memory is zero."""

from __future__ import annotations

import lzma
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Protocol

import zstandard

from xenp2m.dump.memory import Image
from xenp2m.errors import FormatError, LimitError
from xenp2m.progress import reporter
from xenp2m.units import MIB, TIB

Progress = Callable[[int, int], None]
"""Called with the compressed bytes read so far and their total."""

_MAGIC = {b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\0": "xz", b"\x1f\x8b": "gzip"}
_CHUNK = 4096  # so small because one zstd call may return 32,768 times what it was given
_BLOCK = 1 << 16
_RESERVE = 64 * MIB
_LIMIT = 64 * TIB


class _Unpacker(Protocol):
    """What the three decompressors have in common."""

    @property
    def eof(self) -> bool:
        """True after the end of a frame or stream."""

    @property
    def unused_data(self) -> bytes:
        """What followed the end."""

    def decompress(self, data: bytes, /) -> bytes:
        """Unpack some more."""


def compression(magic: bytes) -> str | None:
    """Name the compression that a file's first bytes announce, or None."""
    return next((name for start, name in _MAGIC.items() if magic.startswith(start)), None)


def peek(stream: IO[bytes], method: str, size: int) -> bytes:
    """Return the first bytes of compressed data, at most ``size``; fewer where it is damaged or short."""
    stream.seek(0)
    unpacker = _unpacker(method)
    found = b""
    try:
        while len(found) < size and not unpacker.eof and (chunk := stream.read(_CHUNK)):
            found += unpacker.decompress(chunk)
    except (zlib.error, lzma.LZMAError, zstandard.ZstdError, MemoryError):
        pass
    return found[:size]


def spool(stream: IO[bytes], method: str, name: str, progress: Progress | None = None) -> Image:
    """Unpack ``stream`` into a temporary file and map it.

    Raises FormatError when the data is damaged or ends early, LimitError when the disk is too small.
    """
    total = stream.seek(0, 2)
    stream.seek(0)
    with tempfile.TemporaryFile(prefix="xenp2m-") as out:
        room = shutil.disk_usage(tempfile.gettempdir()).free - _RESERVE
        size = stored = 0
        for block in _unpack(stream, method, name, total, progress or reporter(f"unpacking {name}")):
            size += len(block)
            if block.count(0) == len(block):
                continue
            stored += len(block)
            if stored > room or size > _LIMIT:
                raise LimitError(
                    "no room to unpack the dump",
                    where=name,
                    expected=f"at most {room:#x} bytes in {tempfile.gettempdir()}",
                    found=f"more than {stored:#x}",
                )
            out.seek(size - len(block))
            out.write(block)
        out.truncate(size)
        out.flush()
        return Image.of(out.fileno(), name)


def _unpack(
    stream: IO[bytes], method: str, name: str, total: int, progress: Progress | None
) -> Iterator[bytes]:
    unpacker = _unpacker(method)
    pending = bytearray()
    done = 0
    while chunk := stream.read(_CHUNK):
        done += len(chunk)
        if progress is not None and done % MIB < _CHUNK:
            progress(done, total)
        data = chunk
        while data:
            if unpacker.eof:
                if not data.strip(b"\0"):
                    break
                unpacker = _unpacker(method)
            try:
                pending += unpacker.decompress(data)
            except (zlib.error, lzma.LZMAError, zstandard.ZstdError, MemoryError) as error:
                raise FormatError(
                    f"damaged {method} data",
                    where=f"{name}, offset {done - len(data):#x} or shortly after",
                    found=str(error),
                ) from error
            data = unpacker.unused_data if unpacker.eof else b""
            cut = len(pending) // _BLOCK * _BLOCK
            for at in range(0, cut, _BLOCK):
                yield bytes(pending[at : at + _BLOCK])
            del pending[:cut]
    if not unpacker.eof:
        raise FormatError(f"the {method} data ends early", where=f"{name}, offset {total:#x}")
    if progress is not None:
        progress(total, total)
    if pending:
        yield bytes(pending)


def _unpacker(method: str) -> _Unpacker:
    if method == "zstd":
        return zstandard.ZstdDecompressor().decompressobj()
    if method == "xz":
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=256 * MIB)
    return zlib.decompressobj(31)
