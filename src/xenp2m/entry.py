"""What one p2m word says, one at a time and in arrays.

A word is INVALID (missing), a machine frame (RAM), a machine frame with the foreign bit, or a frame with
the identity bit.  INVALID has both bits set, so it is tested first, here and in the kernel (asm/xen/page.h).
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xenp2m.arch import Arch

NO_MFN = 0xFFFF_FFFF_FFFF_FFFF
"""Stands for "no machine frame to name" in arrays of frames (dtype uint64)."""


class Kind(IntEnum):
    """What a guest frame is."""

    RAM = 0
    """Backed by a machine frame of the guest's own."""
    IDENTITY = 1
    """1:1: the machine frame has the same number (I/O)."""
    FOREIGN = 2
    """Backed by a machine frame of another domain."""
    MISSING = 3
    """Backed by nothing: ballooned out, or never populated.  Never an address."""

    @property
    def label(self) -> str:
        """The kind as it is written in JSON and in texts."""
        return self.name.lower()


KIND_BY_LABEL = {kind.label: kind for kind in Kind}


class Entry(NamedTuple):
    """One frame's answer.

    ``mfn`` is the machine frame without marker bits; None for a missing frame, and for a RAM frame of a
    prediction whose machine frame only the hypervisor knows.  For an identity frame it is the frame itself.
    """

    kind: Kind
    mfn: int | None


def decode(word: int, arch: Arch) -> Entry:
    """Say what one raw p2m word means."""
    if word == arch.invalid:
        return Entry(Kind.MISSING, None)
    frame = word & arch.frame_mask
    if word & arch.identity_bit:
        return Entry(Kind.IDENTITY, frame)
    if word & arch.foreign_bit:
        return Entry(Kind.FOREIGN, frame)
    return Entry(Kind.RAM, frame)


def encode(kind: Kind, mfn: int | None, arch: Arch) -> int:
    """Return the raw word of an entry; a missing entry and one without a machine frame are INVALID."""
    if kind is Kind.MISSING or mfn is None:
        return arch.invalid
    if kind is Kind.IDENTITY:
        return (mfn | arch.identity_bit) & arch.word_mask
    if kind is Kind.FOREIGN:
        return (mfn | arch.foreign_bit) & arch.word_mask
    return mfn & arch.word_mask


def decode_array(words: NDArray[np.uint64], arch: Arch) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
    """Decode raw words (uint64, any shape): kinds (uint8) and machine frames (uint64, NO_MFN if missing)."""
    missing = words == np.uint64(arch.invalid)
    kinds = np.zeros(words.shape, np.uint8)
    kinds[(words & np.uint64(arch.foreign_bit)) != 0] = Kind.FOREIGN
    kinds[(words & np.uint64(arch.identity_bit)) != 0] = Kind.IDENTITY
    kinds[missing] = Kind.MISSING
    frames = words & np.uint64(arch.frame_mask)
    frames[missing] = NO_MFN
    return kinds, frames


def encode_array(kinds: NDArray[np.uint8], mfns: NDArray[np.uint64], arch: Arch) -> NDArray[np.uint64]:
    """Encode kinds and machine frames of one shape as raw words (uint64); NO_MFN becomes INVALID."""
    words = mfns & np.uint64(arch.word_mask)
    words |= np.where(kinds == Kind.IDENTITY, np.uint64(arch.identity_bit), np.uint64(0))
    words |= np.where(kinds == Kind.FOREIGN, np.uint64(arch.foreign_bit), np.uint64(0))
    words[(kinds == Kind.MISSING) | (mfns == np.uint64(NO_MFN))] = arch.invalid
    return words
