"""PTE conversion of whole arrays, element for element what Converter does with one entry.

Arrays are uint64 and of any shape; results are new arrays of that shape.  The work is done in blocks that
stay in the processor's cache, so memory beside the result does not grow with the input.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from xenp2m.mmu.convert import ISA_END_ADDRESS, Converter
from xenp2m.mmu.pte import IOMAP, PRESENT
from xenp2m.p2m.m2p import mfn_to_pfn_array
from xenp2m.p2m.pieces import BLOCK
from xenp2m.units import PAGE_SHIFT

Words = NDArray[np.uint64]

_SHIFT = np.uint64(PAGE_SHIFT)
_PRESENT = np.uint64(PRESENT)
_IOMAP = np.uint64(IOMAP)
_ZERO = np.uint64(0)


def _blockwise(function: Callable[[Words], Words], values: Words) -> Words:
    flat = values.reshape(-1)
    out = np.empty_like(flat)
    for start in range(0, len(flat), BLOCK):
        out[start : start + BLOCK] = function(flat[start : start + BLOCK])
    return out.reshape(values.shape)


def _frames(converter: Converter, values: Words, mask: int) -> Words:
    """Cut the frame numbers out of entries, in the width of the architecture."""
    frames = values & np.uint64(mask)
    frames >>= _SHIFT
    if converter.arch.bits == 32:
        frames &= np.uint64(converter.arch.word_mask)
    return frames


def _down(converter: Converter, values: Words) -> Words:
    arch = converter.arch
    frames = _frames(converter, values, converter.layout.pfn_mask)
    words = frames if converter.p2m.auto_translated else converter.p2m.get_array(frames)
    dropped = words == np.uint64(arch.invalid)
    result = words & np.uint64(arch.frame_mask)
    result <<= _SHIFT
    result |= values & np.uint64(converter.layout.flag_mask)
    if converter.rules.pte_iomap:
        marked = words & np.uint64(arch.identity_bit)
        marked >>= np.uint64(arch.identity_bit.bit_length() - IOMAP.bit_length())
        result |= marked
    np.copyto(result, _ZERO, where=dropped)
    np.copyto(result, values, where=(values & _PRESENT) == _ZERO)
    return result


def _up(converter: Converter, entries: Words) -> Words:
    mfns = _frames(converter, entries, converter.layout.mfn_mask)
    pfns = mfn_to_pfn_array(converter.p2m, converter.m2p, mfns, converter.overrides)
    unknown = pfns == np.uint64(converter.arch.invalid)
    flags = entries & np.uint64(converter.layout.flag_mask)
    result = pfns << _SHIFT
    result |= flags
    np.copyto(result, flags & ~_PRESENT, where=unknown)
    np.copyto(result, entries, where=(entries & _PRESENT) == _ZERO)
    return result


def _make(converter: Converter, values: Words) -> Words:
    if not converter.rules.pte_iomap:
        return _down(converter, values)
    machine = (values & _IOMAP) != _ZERO
    if not converter.initial_domain:
        machine &= (values & np.uint64(converter.layout.pfn_mask)) >= np.uint64(ISA_END_ADDRESS)
    result = _down(converter, values & ~_IOMAP)
    np.copyto(result, values, where=machine)
    return result


def _val(converter: Converter, entries: Words) -> Words:
    result = _up(converter, entries)
    if converter.rules.pte_iomap and converter.initial_domain:
        np.copyto(result, entries, where=(entries & _IOMAP) != _ZERO)
    return result


def make_pte_array(converter: Converter, values: Words) -> Words:
    """Return the machine entries of kernel PTEs (Converter.make_pte)."""
    return _blockwise(lambda block: _make(converter, block), values)


def pte_val_array(converter: Converter, entries: Words) -> Words:
    """Return the kernel's values of machine PTEs (Converter.pte_val)."""
    return _blockwise(lambda block: _val(converter, block), entries)


def make_pmd_array(converter: Converter, values: Words) -> Words:
    """Return the machine entries of kernel PMDs, PUDs or PGDs (Converter.make_pmd)."""
    return _blockwise(lambda block: _down(converter, block), values)


def pmd_val_array(converter: Converter, entries: Words) -> Words:
    """Return the kernel's values of machine PMDs, PUDs or PGDs (Converter.pmd_val)."""
    return _blockwise(lambda block: _up(converter, block), entries)


def pfn_pte_array(converter: Converter, pfns: Words, prot: int) -> Words:
    """Return the machine entries for guest frames under one protection (Converter.pfn_pte)."""
    masks = converter.layout
    flags = np.uint64(converter.massage_pgprot(prot))
    inverted = converter.rules.inverts_non_present and prot != 0 and not prot & PRESENT

    def block(frames: Words) -> Words:
        values = frames & np.uint64(converter.arch.word_mask)
        values <<= _SHIFT
        if converter.rules.inverts_non_present:
            values ^= np.uint64(masks.pfn_mask if inverted else 0)
            values &= np.uint64(masks.pfn_mask)
        values |= flags
        return _make(converter, values)

    return _blockwise(block, pfns)


def mfn_pte_array(converter: Converter, mfns: Words, prot: int) -> Words:
    """Return the machine entries for machine frames under one protection (Converter.mfn_pte)."""
    entries = mfns & np.uint64(converter.arch.word_mask)
    entries <<= _SHIFT
    entries |= np.uint64(converter.massage_pgprot(prot))
    return entries


def _inversion(converter: Converter, values: Words) -> Words:
    """The bits to turn over in each value where non-present entries are kept inverted."""
    needed = (values != _ZERO) & ((values & _PRESENT) == _ZERO)
    return np.where(needed, np.uint64(converter.layout.pfn_mask), _ZERO)


def pte_pfn_array(converter: Converter, entries: Words) -> Words:
    """Return the guest frames of machine entries (Converter.pte_pfn)."""

    def block(some: Words) -> Words:
        values = _val(converter, some)
        if converter.rules.inverts_non_present:
            values ^= _inversion(converter, values)
        return _frames(converter, values, converter.layout.pfn_mask)

    return _blockwise(block, entries)


def pte_mfn_array(converter: Converter, entries: Words) -> Words:
    """Return the frames of entries as they stand in memory (Converter.pte_mfn)."""
    return _frames(converter, entries, converter.layout.mfn_mask)


def pte_modify_array(converter: Converter, entries: Words, prot: int) -> Words:
    """Return the entries with another protection, as mprotect rebuilds them (Converter.pte_modify)."""
    masks = converter.layout
    flags = np.uint64(converter.massage_pgprot(prot) & ~masks.chg_mask)

    def block(some: Words) -> Words:
        old = _val(converter, some)
        values = old & np.uint64(masks.chg_mask)
        values |= flags
        if converter.rules.inverts_non_present:
            values ^= _inversion(converter, old) ^ _inversion(converter, values)
        return _make(converter, values)

    return _blockwise(block, entries)
