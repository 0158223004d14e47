"""The two guest architectures: word widths, marker bits and the limits that follow from them.

Source of the numbers: asm/xen/page.h and arch/x86/xen/p2m.c of Linux 3.15 to 3.18 (64-bit and 32-bit PAE).
"""

from __future__ import annotations

from dataclasses import dataclass

from xenp2m.errors import UsageError
from xenp2m.units import GIB, PAGE_SIZE

PTE_FRAMES = 1 << 40
"""Frames that hardware can address: 52 bits of physical address."""


@dataclass(frozen=True, slots=True)
class Arch:
    """One guest architecture.

    ``bits`` is the width of ``unsigned long``, that is of a p2m word and of a frame number.
    ``entries_per_page`` is the number of words in a p2m page, at each of the tree's three levels.
    ``max_domain_pages`` is the configured limit of a domain in frames (CONFIG_XEN_MAX_DOMAIN_MEMORY with
    its default of 500 GiB or 64 GiB; Linux before 4.3).
    """

    name: str
    bits: int
    entries_per_page: int
    max_domain_pages: int

    @property
    def word_mask(self) -> int:
        """All bits of a p2m word."""
        return (1 << self.bits) - 1

    @property
    def invalid(self) -> int:
        """INVALID_P2M_ENTRY: the word of a missing frame (all ones; test it before the marker bits)."""
        return self.word_mask

    @property
    def foreign_bit(self) -> int:
        """FOREIGN_FRAME_BIT, as a mask."""
        return 1 << (self.bits - 1)

    @property
    def identity_bit(self) -> int:
        """IDENTITY_FRAME_BIT, as a mask."""
        return 1 << (self.bits - 2)

    @property
    def frame_mask(self) -> int:
        """The bits of a p2m word that hold the frame number."""
        return self.identity_bit - 1

    @property
    def pfns_per_leaf(self) -> int:
        """Frames that one leaf page maps (2 MiB or 4 MiB of guest memory)."""
        return self.entries_per_page

    @property
    def pfns_per_mid(self) -> int:
        """Frames below one mid page (1 GiB or 4 GiB of guest memory)."""
        return self.entries_per_page**2

    @property
    def max_p2m_pfn(self) -> int:
        """MAX_P2M_PFN: the first frame that the three-level tree cannot hold (512 GiB or 4 TiB)."""
        return self.entries_per_page**3


X86_64 = Arch("x86_64", 64, 512, 500 * GIB // PAGE_SIZE)
X86_32 = Arch("x86_32", 32, 1024, 64 * GIB // PAGE_SIZE)

_BY_NAME = {arch.name: arch for arch in (X86_64, X86_32)}
_BY_BITS = {arch.bits: arch for arch in (X86_64, X86_32)}


def arch_of(key: int | str) -> Arch:
    """Return the architecture of a width (64, 32) or a name ("x86_64", "x86_32").

    Raises UsageError for any other key.
    """
    arch = _BY_BITS.get(key) if isinstance(key, int) else _BY_NAME.get(key)
    if arch is None:
        raise UsageError("unknown architecture", expected="64 (x86_64) or 32 (x86_32)", found=repr(key))
    return arch
