"""/proc/kcore: a running kernel's virtual memory as an ELF core (fs/proc/kcore.c)."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from xenp2m.arch import X86_32, X86_64, Arch
from xenp2m.dump.elffile import ELF_MAGIC
from xenp2m.dump.memory import Frames
from xenp2m.errors import FormatError, MissingFactError

Read = Callable[[int, int], bytes]
"""Reads up to ``size`` bytes of the file from an offset on; fewer, or none, where it cannot."""

_MAX_HEADERS = 1 << 14
_CHUNK = 1 << 22


class _Load(NamedTuple):
    """A piece of the kernel's virtual memory: its address, its offset in the file, its size."""

    start: int
    offset: int
    size: int


class _File:
    """An open file that is closed with the last use of it."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    def read(self, offset: int, size: int) -> bytes:
        try:
            return os.pread(self._descriptor, size, offset)
        except (OSError, OverflowError):
            return b""


class Kcore:
    """The kernel's virtual memory: an ELF core whose segments are virtual addresses."""

    def __init__(self, read: Read, name: str) -> None:
        """Read the headers through ``read``, wherever the file is.

        Raises FormatError for another file; ``name`` is then said.
        """
        self.name = name
        self._bytes = read
        head = self._bytes(0, 64)
        if not head.startswith(ELF_MAGIC) or len(head) < 64 or head[4] not in (1, 2):
            raise FormatError("not a kernel core", where=self.name, expected="an ELF file")
        self.arch: Arch = X86_64 if head[4] == 2 else X86_32
        self._loads = self._headers(head)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file of this machine.  Raises MissingFactError without the right to."""
        try:
            return cls(_File(path).read, str(path))
        except OSError as error:
            raise MissingFactError(
                "cannot read the kernel's memory", where=str(path), found=error.strerror or ""
            ) from error

    def _headers(self, head: bytes) -> list[_Load]:
        wide = self.arch.bits == 64
        (at,) = struct.unpack_from("<Q" if wide else "<I", head, 32 if wide else 28)
        size, count = struct.unpack_from("<HH", head, 54 if wide else 42)
        layout_ = struct.Struct("<IIQQQQQQ" if wide else "<8I")
        if size < layout_.size or count > _MAX_HEADERS:
            raise FormatError("damaged program headers", where=self.name, found=f"{count} of {size} bytes")
        table = self._bytes(at, size * count)
        loads = []
        for index in range(len(table) // size):
            fields = layout_.unpack_from(table, index * size)
            kind, offset, start, length = (
                (fields[0], fields[2], fields[3], fields[5])
                if wide
                else (fields[0], fields[1], fields[2], fields[4])
            )
            if kind == 1 and length:
                loads.append(_Load(start, offset, length))
        return sorted(loads)

    def read(self, address: int, size: int) -> bytes | None:
        """Read virtual memory; None where the kernel does not offer all of it."""
        parts = []
        while size > 0:
            found = next((each for each in self._loads if 0 <= address - each.start < each.size), None)
            if found is None:
                return None
            count = min(size, found.start + found.size - address, _CHUNK)
            data = self._bytes(found.offset + address - found.start, count)
            if not data:
                return None
            parts.append(data)
            address, size = address + len(data), size - len(data)
        return b"".join(parts)

    def words(self, address: int, count: int) -> Frames | None:
        """Read ``unsigned long`` words as uint64; None where the kernel does not offer all of them."""
        width = self.arch.bits // 8
        data = self.read(address, count * width)
        return None if data is None else np.frombuffer(data, f"<u{width}").astype(np.uint64)

    def word(self, address: int) -> int | None:
        """Read one word."""
        words = self.words(address, 1)
        return None if words is None else int(words[0])

    def offers(self, address: int) -> bool:
        """Say whether some piece starts at or after an address, within 64 TiB."""
        return any(address <= each.start < address + (1 << 46) for each in self._loads)
