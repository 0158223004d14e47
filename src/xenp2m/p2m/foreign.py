"""Mapping granted frames of other domains, and what that does to the p2m.

Sources: set_foreign_p2m_mapping(), clear_foreign_p2m_mapping() and the M2P override in arch/x86/xen/p2m.c of
Linux 3.15 to 7.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from errno import EINVAL, ENOMEM
from typing import NamedTuple

from xenp2m.p2m.list import LinearList
from xenp2m.p2m.m2p import M2p, pfn_to_mfn
from xenp2m.p2m.tree import Tree

GNTST_GENERAL_ERROR = -1


class Grant(NamedTuple):
    """A granted frame to map: its machine frame, the ballooned guest frame to put it at, Xen's status.

    ``kernel`` says that the kernel maps it, too (for user space mappings).
    """

    pfn: int
    mfn: int
    status: int = 0
    kernel: bool = False


class M2pOverrides(Mapping[int, int]):
    """The override table (up to 3.19): machine frames of others to the guest frame that maps them last."""

    __slots__ = ("_pfns",)

    def __init__(self) -> None:
        self._pfns: dict[int, list[int]] = {}

    def __getitem__(self, mfn: int) -> int:
        return self._pfns[mfn][-1]

    def __iter__(self) -> Iterator[int]:
        return iter(self._pfns)

    def __len__(self) -> int:
        return len(self._pfns)

    def add(self, mfn: int, pfn: int) -> None:
        """Enter a guest frame for a machine frame; it is found before earlier ones."""
        self._pfns.setdefault(mfn, []).append(pfn)

    def remove(self, mfn: int, pfn: int) -> None:
        """Remove a guest frame of a machine frame, if it is there."""
        pfns = self._pfns.get(mfn, [])
        if pfn in pfns:
            pfns.remove(pfn)
        if not pfns:
            self._pfns.pop(mfn, None)


class _Page(NamedTuple):
    """struct page of a mapped frame: the Private flag, and the entry it had before (kept in its index)."""

    private: bool
    entry: int


class ForeignFrames:
    """The foreign mappings of one guest: changes its p2m as the kernel does.

    ``overrides`` is the M2P override table; it stays empty in kernels without one.
    """

    def __init__(self, p2m: Tree | LinearList, m2p: M2p | None = None) -> None:
        self._p2m = p2m
        self._m2p = m2p
        self._pages: dict[int, _Page] = {}
        self.overrides = M2pOverrides()

    def map(self, grants: Sequence[Grant]) -> tuple[int, tuple[int, ...]]:
        """Map frames (set_foreign_p2m_mapping): return the kernel's answer and each grant's final status.

        Grants with a status other than 0 are left alone.
        """
        statuses = [grant.status for grant in grants]
        if self._p2m.auto_translated:
            return 0, tuple(statuses)
        for at, grant in enumerate(grants):
            if grant.status != 0:
                continue
            self._note(grant)
            if not self._p2m.set(grant.pfn, grant.mfn | self._p2m.arch.foreign_bit):
                if not self._p2m.rules.foreign_undo_failed_map:
                    return -ENOMEM, tuple(statuses)
                statuses[at] = GNTST_GENERAL_ERROR
            elif grant.kernel and self._p2m.rules.m2p_override:
                self._add_override(grant)
        return 0, tuple(statuses)

    def unmap(self, pfns: Iterable[int], *, kernel: bool = False) -> int:
        """Unmap frames (clear_foreign_p2m_mapping): return 0, or -EINVAL if one is not foreign."""
        answer = 0
        for pfn in () if self._p2m.auto_translated else pfns:
            word = self._p2m.get(pfn)
            if word == self._p2m.arch.invalid or not word & self._p2m.arch.foreign_bit:
                answer = -EINVAL
                if self._p2m.rules.foreign_undo_failed_map:
                    continue
                break
            if not self._p2m.rules.m2p_override:
                self._p2m.set(pfn, self._p2m.arch.invalid)
                continue
            page = self._pages.pop(pfn, _Page(False, 0))
            if not page.private:
                self._p2m.warn("a foreign page is not Private")
            self._p2m.set(pfn, page.entry)
            if kernel:
                self._remove_override(pfn, word & ~self._p2m.arch.foreign_bit)
        return answer

    def _note(self, grant: Grant) -> None:
        """Keep the frame's entry without its marker bits; kernels that keep none warn if it has one."""
        before = pfn_to_mfn(self._p2m, grant.pfn)
        if not self._p2m.rules.m2p_override:
            if before != self._p2m.arch.invalid:
                self._p2m.warn("page must be ballooned")
            return
        if grant.pfn in self._pages:
            self._p2m.warn("a page to map is Private")
        self._pages[grant.pfn] = _Page(True, before)

    def _own_frame(self, mfn: int, word: int) -> int | None:
        """Return the guest frame that the M2P names for ``mfn`` if its p2m entry is ``word``."""
        pfn = self._m2p.read(mfn) if self._m2p is not None else None
        return pfn if pfn is not None and self._p2m.get(pfn) == word else None

    def _add_override(self, grant: Grant) -> None:
        self.overrides.add(grant.mfn, grant.pfn)
        own = self._own_frame(grant.mfn, grant.mfn)
        if own is not None:
            self._p2m.set(own, grant.mfn | self._p2m.arch.foreign_bit)

    def _remove_override(self, pfn: int, mfn: int) -> None:
        self.overrides.remove(mfn, pfn)
        own = self._own_frame(mfn, mfn | self._p2m.arch.foreign_bit)
        if own is not None and mfn not in self.overrides:
            self._p2m.set(own, mfn)
