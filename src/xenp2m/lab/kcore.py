"""The virtual memory of a running kernel, read through /proc/kcore by whoever can read that file."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from xenp2m.errors import FormatError, MissingFactError
from xenp2m.lab.console import Conversation
from xenp2m.units import PAGE_SIZE

Pages = Callable[[int, int], bytes]
"""Reads ``count`` pages of the file from page ``first`` on."""

_WHERE = "/proc/kcore"
_ELF = b"\x7fELF\x02\x01"
_LOAD = 1
_HEADER = struct.Struct("<32xQ14xHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_HEADER_PAGES = 4


def pages_of(talk: Conversation) -> Pages:
    """Return a reader of the kcore file of a dom0."""

    def read(first: int, count: int) -> bytes:
        return talk.ask(f"dd if=/proc/kcore bs={PAGE_SIZE} skip={first} count={count} 2>/dev/null").output

    return read


def parse_symbols(text: str) -> dict[str, int]:
    """Return the addresses in lines of /proc/kallsyms by name; the first of a name counts."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        parts = line.split()
        if len(parts) >= 3:
            found.setdefault(parts[2], int(parts[0], 16))
    return found


class Kcore:
    """Kernel memory by virtual address; ``symbols`` are addresses by name."""

    def __init__(self, pages: Pages, symbols: Mapping[str, int]) -> None:
        """Read the file's headers.  Raises FormatError when it is no ELF core of a 64-bit kernel."""
        self._pages = pages
        self._symbols = symbols
        self._kept: dict[int, bytes] = {}
        head = pages(0, _HEADER_PAGES)
        if not head.startswith(_ELF) or len(head) < 64:
            raise FormatError("not the memory of a 64-bit kernel", where=_WHERE)
        table, size, count = _HEADER.unpack_from(head)
        if size != _SEGMENT.size or table + size * count > len(head):
            raise FormatError("damaged header", where=_WHERE)
        rows = [_SEGMENT.unpack_from(head, table + number * size) for number in range(count)]
        self._segments = [(row[3], row[6], row[2]) for row in rows if row[0] == _LOAD]

    def symbol(self, name: str) -> int:
        """Return a symbol's address; raises MissingFactError when the kernel has no such symbol."""
        if name not in self._symbols:
            raise MissingFactError("the kernel has no such symbol", where="/proc/kallsyms", expected=name)
        return self._symbols[name]

    def variable(self, name: str) -> int:
        """Return the 64-bit variable of this name."""
        return int(self.words(self.symbol(name), 1)[0])

    def words(self, address: int, count: int) -> NDArray[np.uint64]:
        """Return ``count`` words from an address on; raises MissingFactError where kcore lacks them."""
        first, offset = address & -PAGE_SIZE, address % PAGE_SIZE
        pages = -(-(offset + 8 * count) // PAGE_SIZE)
        if pages == 1:
            if first not in self._kept:
                self._kept[first] = self._read(first, 1)
            data = self._kept[first]
        else:
            data = self._read(first, pages)
        return np.frombuffer(data, "<u8", count, offset).astype(np.uint64)

    def _read(self, address: int, pages: int) -> bytes:
        for start, size, offset in self._segments:
            if start <= address and address + pages * PAGE_SIZE <= start + size:
                place = offset + address - start
                data = self._pages(place // PAGE_SIZE, pages)
                if place % PAGE_SIZE or len(data) != pages * PAGE_SIZE:
                    break
                return data
        raise MissingFactError("no such memory", where=_WHERE, found=f"{pages} pages at {address:#x}")
