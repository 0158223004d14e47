"""The M2P (machine frame to guest frame), and the helpers that read p2m and M2P together.

Sources: asm/xen/page.h of Linux 3.15 to 7.0 and xen_setup_machphys_mapping() in arch/x86/xen/mmu.c;
Xen's arch/x86/mm.c (4.2 and later) for the size of the table and for what unused parts of it read as.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xenp2m.arch import Arch
from xenp2m.entry import Kind
from xenp2m.p2m.pieces import Piece, Pieces
from xenp2m.p2m.protocol import P2m
from xenp2m.runs import RunMap
from xenp2m.units import MIB


@dataclass(frozen=True, slots=True)
class M2pWindow:
    """Where a guest sees the M2P: virtual addresses ``[start, end)`` and the entry size, in bytes."""

    start: int
    end: int
    entry_size: int


M2P_WINDOW_64 = M2pWindow(0xFFFF_8000_0000_0000, 0xFFFF_8040_0000_0000, 8)
M2P_WINDOW_32 = M2pWindow(0xF580_0000, 0xF680_0000, 4)
COMPAT_M2P_END = 0xFFE0_0000
"""End of the M2P that a 64-bit Xen shows to a 32-bit guest, as a virtual address."""


def machine_to_phys_nr(
    arch: Arch, *, dom0_max_page: int | None = None, compat_start: int = M2P_WINDOW_32.start
) -> int:
    """Return the number of M2P entries that Xen tells a domain of (machine_to_phys_nr).

    ``dom0_max_page`` is the host's end of RAM in frames, for a 64-bit dom0 on a Xen without memory hotplug;
    every other 64-bit domain sees the whole window.  ``compat_start`` is the domain's M2P address (32-bit).
    """
    if arch.bits == 32:
        return (COMPAT_M2P_END - compat_start) // M2P_WINDOW_32.entry_size
    if dom0_max_page is not None:
        return dom0_max_page
    return (M2P_WINDOW_64.end - M2P_WINDOW_64.start) // M2P_WINDOW_64.entry_size


class M2pRun(NamedTuple):
    """Words of consecutive machine frames: ``word`` at ``mfn``, then counting up if ``counts``.

    ``word`` None is a hole: reading it faults.
    """

    mfn: int
    pages: int
    word: int | None
    counts: bool = True


class M2p:
    """The machine-to-phys table: one word per machine frame below ``nr``, as runs.

    Words are guest frames of this or another domain, all ones, or whatever Xen left there.  ``edges`` are the
    frames, sorted, at which a new stretch of words or a hole may begin; between two of them all is alike.
    """

    __slots__ = ("_pieces", "_readable", "_readable_array", "arch", "edges", "nr")

    def __init__(self, arch: Arch, nr: int, runs: Iterable[M2pRun] = (), fill: int | None = None) -> None:
        """Make a table of ``nr`` entries; later runs overwrite earlier ones.

        ``fill`` is the word of frames in no run; None makes them holes.
        """
        self.arch = arch
        self.nr = nr
        given = [run for run in runs if run.pages > 0]
        edges = sorted({0, *(run.mfn for run in given), *(run.mfn + run.pages for run in given)})
        self.edges = tuple(sorted({*edges, nr}))
        pieces = [Piece(edge, arch.invalid if fill is None else fill, False) for edge in edges]
        readable = [fill is not None] * len(edges)
        at = {edge: index for index, edge in enumerate(edges)}
        for run in given:
            for index in range(at[run.mfn], at[run.mfn + run.pages]):
                readable[index] = run.word is not None
                if run.word is None:
                    pieces[index] = Piece(edges[index], arch.invalid, False)
                else:
                    passed = edges[index] - run.mfn if run.counts else 0
                    pieces[index] = Piece(edges[index], run.word + passed, run.counts)
        self._pieces = Pieces(pieces)
        self._readable = readable
        self._readable_array = np.array(readable, np.bool_)

    @classmethod
    def of_host(
        cls,
        arch: Arch,
        nr: int,
        ram: Iterable[tuple[int, int]],
        p2m: RunMap | None = None,
        fill: int | None = None,
    ) -> M2p:
        """Make the table of a host with RAM at the machine frames ``[start, end)`` of ``ram``.

        Xen maps 2 MiB pieces of the table that cover at least one RAM frame; the others are holes.  Mapped
        words hold the guest frames of ``p2m``'s RAM where it knows the machine frames, else ``fill``
        (default: all ones, as since Xen 4.13).
        """
        step = 2 * MIB // (arch.bits // 8)
        word = arch.invalid if fill is None else fill
        runs = [
            M2pRun(start // step * step, -(-end // step) * step - start // step * step, word, False)
            for start, end in ram
        ]
        runs += [
            M2pRun(run.mfn, run.pages, run.pfn)
            for run in p2m or ()
            if run.kind is Kind.RAM and run.mfn is not None
        ]
        return cls(arch, nr, runs)

    def read(self, mfn: int) -> int | None:
        """Return the word of one machine frame; None where the access faults or the table has ended."""
        if mfn >= self.nr or not self._readable[self._pieces.index(mfn)]:
            return None
        return self._pieces.word(mfn)

    def read_array(self, mfns: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        """Return the words (uint64) of many machine frames (uint64), and which of them could be read.

        Both answers have the shape of ``mfns``; a word that could not be read is all ones.
        """
        numbers = np.empty(mfns.size, np.intp)
        words = self._pieces.words(mfns, numbers)
        readable = self._readable_array[numbers].reshape(mfns.shape)
        readable &= mfns < np.uint64(self.nr)
        words[~readable] = self.arch.invalid
        return words, readable


def mfn_to_pfn_no_overrides(m2p: M2p, mfn: int) -> int:
    """Return the M2P's word of a machine frame, unchecked; all ones where there is none.

    The guest is not auto-translated: kernels up to 4.4 answer ``mfn`` itself for one that is.
    """
    word = m2p.read(mfn)
    return m2p.arch.invalid if word is None else word


def mfn_to_pfn(p2m: P2m, m2p: M2p, mfn: int, overrides: Mapping[int, int] | None = None) -> int:
    """Return the guest frame of a machine frame; all ones if it has none.

    The M2P is not trusted: its answer counts only if the p2m maps it back to exactly ``mfn``.  Otherwise
    the override table (``overrides``: machine frame to guest frame; up to 3.19) may know it, and last a
    frame that is 1:1 is its own guest frame.
    """
    if p2m.auto_translated:
        return mfn
    pfn = mfn_to_pfn_no_overrides(m2p, mfn)
    if p2m.get(pfn) != mfn:
        pfn = overrides.get(mfn, p2m.arch.invalid) if overrides else p2m.arch.invalid
    if pfn == p2m.arch.invalid and p2m.get(mfn) == mfn | p2m.arch.identity_bit:
        return mfn
    return pfn


def mfn_to_pfn_array(
    p2m: P2m, m2p: M2p, mfns: NDArray[np.uint64], overrides: Mapping[int, int] | None = None
) -> NDArray[np.uint64]:
    """Return the guest frames (uint64) of many machine frames (uint64, any shape), in their shape."""
    if p2m.auto_translated:
        return mfns.copy()
    none = np.uint64(p2m.arch.invalid)
    pfns, _ = m2p.read_array(mfns)
    pfns[p2m.get_array(pfns) != mfns] = none
    open_ = pfns == none
    if overrides and open_.any():
        known = np.array(sorted(overrides), np.uint64)
        values = np.array([overrides[mfn] for mfn in known.tolist()], np.uint64)
        wanted = mfns[open_]
        at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        pfns[open_] = np.where(known[at] == wanted, values[at], none)
        open_ = pfns == none
    if open_.any():
        wanted = mfns[open_]
        own = p2m.get_array(wanted) == wanted | np.uint64(p2m.arch.identity_bit)
        pfns[open_] = np.where(own, wanted, none)
    return pfns


def mfn_to_local_pfn(p2m: P2m, m2p: M2p, mfn: int, overrides: Mapping[int, int] | None = None) -> int:
    """Return the guest frame of a machine frame that is the guest's own RAM; all ones for any other.

    (bfn_to_local_pfn since 4.13 at the latest.)
    """
    if p2m.auto_translated:
        return mfn
    pfn = mfn_to_pfn(p2m, m2p, mfn, overrides)
    return pfn if p2m.get(pfn) == mfn else p2m.arch.invalid


def pfn_to_mfn(p2m: P2m, pfn: int) -> int:
    """Return the machine frame of a guest frame without marker bits; all ones (INVALID) if it is missing."""
    if p2m.auto_translated:
        return pfn
    word = p2m.get(pfn)
    return word if word == p2m.arch.invalid else word & p2m.arch.frame_mask


def phys_to_machine_mapping_valid(p2m: P2m, pfn: int) -> bool:
    """Return whether a guest frame is not missing; foreign and 1:1 frames are valid too."""
    return p2m.auto_translated or p2m.get(pfn) != p2m.arch.invalid
