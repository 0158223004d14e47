"""The p2m as a guest's own kernel shows it: the linear list, read through the guest's /proc/kcore.

Linux 4.0 and later keep the list in virtual memory, mapped by page tables in which whole pages of "identity"
and of "missing" are shared.  Both hold the same words, so that the page tables must be walked to tell them
apart.

The walk here shares nothing with the one of ``xenp2m.dump`` on purpose: the lab holds the two against each
other, and a mistake would have to be made twice to stay unseen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from xenp2m.arch import X86_64
from xenp2m.dump.kcore import Kcore, Read
from xenp2m.dump.layout import MOST_PFNS
from xenp2m.entry import Kind, decode_array
from xenp2m.errors import MissingFactError
from xenp2m.lab.console import Talk
from xenp2m.runs import Run, RunMap
from xenp2m.units import PAGE_SHIFT, PAGE_SIZE

_KCORE = "/proc/kcore"
_WORDS = 512
_TABLE_SPAN = _WORDS * _WORDS
_PIECE = 1 << 18
_FRAME = np.uint64(0x000F_FFFF_FFFF_F000)
_PRESENT = 1


def reader(talk: Talk) -> Read:
    """Return what reads a guest's /proc/kcore; pages that were read singly are kept."""
    kept: dict[int, bytes] = {}

    def pages(first: int, count: int) -> bytes:
        if count == 1 and first in kept:
            return kept[first]
        data = talk.ask(f"dd if={_KCORE} bs={PAGE_SIZE} skip={first} count={count} 2>/dev/null").output
        if count == 1:
            kept[first] = data
        return data

    def read(offset: int, size: int) -> bytes:
        first, skip = divmod(offset, PAGE_SIZE)
        return pages(first, -(-(skip + size) // PAGE_SIZE))[skip : skip + size]

    return read


class _Kernel:
    """The kernel's memory by virtual address and its symbols by name; what it lacks is an error."""

    def __init__(self, read: Read, symbols: Mapping[str, int]) -> None:
        self._kcore = Kcore(read, _KCORE)
        self._symbols = symbols

    def symbol(self, name: str) -> int:
        if name not in self._symbols:
            raise MissingFactError("the kernel has no such symbol", where="/proc/kallsyms", expected=name)
        return self._symbols[name]

    def variable(self, name: str) -> int:
        return int(self.words(self.symbol(name), 1)[0])

    def words(self, address: int, count: int) -> NDArray[np.uint64]:
        words = self._kcore.words(address, count)
        if words is None:
            raise MissingFactError("no such memory", where=_KCORE, found=f"{count} words at {address:#x}")
        return words


class _List:
    """The kernel's list, and the way back from machine frames to the guest's frames."""

    def __init__(self, kernel: _Kernel) -> None:
        self.kernel = kernel
        self.address = kernel.variable("xen_p2m_addr")
        self.frames = kernel.variable("xen_p2m_size")
        self.last = kernel.variable("xen_p2m_last_pfn")
        self.direct = kernel.variable("page_offset_base")
        if not self.address or not 0 < self.last <= self.frames <= MOST_PFNS:
            raise MissingFactError("no linear p2m list", where=_KCORE)
        self._pieces: dict[int, NDArray[np.uint64]] = {}

    def words(self, start: int, end: int) -> NDArray[np.uint64]:
        """Return the words of the frames ``[start, end)``."""
        pieces = [self._piece(number) for number in range(start // _PIECE, -(-end // _PIECE))]
        first = start // _PIECE * _PIECE
        return np.concatenate(pieces)[start - first : end - first]

    def _piece(self, number: int) -> NDArray[np.uint64]:
        if number not in self._pieces:
            start = number * _PIECE
            count = min(_PIECE, -(-max(self.last, start + _WORDS) // _WORDS) * _WORDS - start)
            self._pieces[number] = self.kernel.words(self.address + start * 8, count)
        return self._pieces[number]

    def frame_of(self, name: str) -> int:
        """Return the machine frame of the page that a kernel variable points to."""
        pfn = (self.kernel.variable(name) - self.direct) >> PAGE_SHIFT
        return int(self.kernel.words(self.address + pfn * 8, 1)[0])

    def table(self, entry: int) -> NDArray[np.uint64]:
        """Return the page table that a page table entry points to."""
        mfn = np.uint64((entry & int(_FRAME)) >> PAGE_SHIFT)
        for number in range(-(-self.last // _PIECE)):
            found = np.flatnonzero(self._piece(number) == mfn)
            if len(found):
                pfn = number * _PIECE + int(found[0])
                return self.kernel.words(self.direct + pfn * PAGE_SIZE, _WORDS)
        raise MissingFactError(
            "a page table of the p2m is not in the guest's memory", where=_KCORE, found=f"{int(mfn):#x}"
        )


def read_live(read: Read, symbols: Mapping[str, int]) -> RunMap:
    """Read a guest's p2m through ``read``, its /proc/kcore; ``symbols`` are its kernel's addresses by name.

    What lies past the list is not in memory: the kernel's code takes it as identity.  Raises MissingFactError
    where the kernel has no linear list.
    """
    found = _List(_Kernel(read, symbols))
    runs = list(_runs(found))
    return RunMap(X86_64, found.frames, Kind.IDENTITY, runs)


def _runs(listed: _List) -> Iterator[Run]:
    shared_tables = {
        listed.frame_of("p2m_identity_pte"): Kind.IDENTITY,
        listed.frame_of("p2m_missing_pte"): Kind.MISSING,
    }
    shared_leaves = {
        listed.frame_of("p2m_identity"): Kind.IDENTITY,
        listed.frame_of("p2m_missing"): Kind.MISSING,
    }
    top = listed.kernel.words(listed.kernel.symbol("init_top_pgt"), _WORDS)
    uppers: dict[int, NDArray[np.uint64]] = {}
    for pfn in range(0, listed.frames, _TABLE_SPAN):
        address = listed.address + pfn * 8
        upper = address >> 30
        if upper not in uppers:
            third = listed.table(int(top[address >> 39 & 511]))
            uppers[upper] = listed.table(int(third[address >> 30 & 511]))
        entry = int(uppers[upper][address >> 21 & 511])
        kind = shared_tables.get(_frame(entry))
        end = min(pfn + _TABLE_SPAN, listed.frames)
        if kind is not None:
            yield Run(pfn, end - pfn, kind, None)
        elif not entry & _PRESENT:
            raise MissingFactError("the p2m has a hole", where=_KCORE, found=f"frame {pfn:#x}")
        else:
            yield from _leaves(listed, listed.table(entry), pfn, end, shared_leaves)


def _leaves(
    listed: _List, table: NDArray[np.uint64], start: int, end: int, shared: dict[int, Kind]
) -> Iterator[Run]:
    """Yield the runs of the frames ``[start, end)`` that one lowest page table covers."""
    own_from: int | None = None
    for number, pfn in enumerate(range(start, end, _WORDS)):
        kind = shared.get(_frame(int(table[number])))
        if kind is None:
            own_from = pfn if own_from is None else own_from
            continue
        if own_from is not None:
            yield from _own(listed, own_from, pfn)
            own_from = None
        yield Run(pfn, min(_WORDS, end - pfn), kind, None)
    if own_from is not None:
        yield from _own(listed, own_from, end)


def _own(listed: _List, start: int, end: int) -> list[Run]:
    kinds, mfns = decode_array(listed.words(start, end), X86_64)
    pfns = np.arange(start, end, dtype=np.uint64)
    return RunMap.from_arrays(pfns, kinds, mfns, X86_64, end, Kind.MISSING).within(start, end)


def _frame(entry: int) -> int:
    return (entry & int(_FRAME)) >> PAGE_SHIFT
