"""The address spaces of one domain: its kernel's part, which all share, and the user part of each process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from xenp2m.dump import layout
from xenp2m.dump.inspection import Domain, Inspection
from xenp2m.dump.layout import FRAME_MASK, PRESENT
from xenp2m.dump.m2p import HostM2p
from xenp2m.dump.mappings import Classifier, Span, Target, spans_of
from xenp2m.dump.memory import Memory
from xenp2m.dump.pagetable import Mappings, PageTables, WalkReport
from xenp2m.progress import track

_USER_END = {64: 1 << 47, 32: 0xC000_0000}
_KERNEL = {64: (layout.XEN_END, 1 << 64), 32: (0xC000_0000, layout.XEN_START_32)}
_MAX_ROOTS = 1 << 16


class Part(NamedTuple):
    """One half of an address space: the machine frame of its top-level table, and ``[start, end)``."""

    root: int
    start: int
    end: int

    @property
    def label(self) -> str:
        """What a person calls it."""
        return f"{'user' if self.start == 0 else 'kernel'} part of the page table {self.root:#x}"


@dataclass(slots=True)
class Summary:
    """What the page tables of a domain map.

    ``kernel`` and ``user`` count pages of 4 KiB by target; a page that several processes map counts for
    each.  ``spans`` are those that map neither the guest's RAM nor Xen, each with the part that it is in, at
    most as many as were asked for; ``left_out`` counts the others.
    """

    kernel: dict[Target, int] = field(default_factory=dict)
    user: dict[Target, int] = field(default_factory=dict)
    spans: list[tuple[Part, Span]] = field(default_factory=list)
    left_out: int = 0
    report: WalkReport = field(default_factory=WalkReport)


class AddressSpaces:
    """Every distinct part of the address spaces of a domain.

    ``kernel`` is None where no table maps the kernel's half.  Tables of one process (a 64-bit one has two)
    and threads share their user part and count once.
    """

    def __init__(self, memory: Memory, domain: Domain) -> None:
        self.memory = memory
        self.arch = domain.arch
        own = () if domain.info is None or domain.info.p2m_root is None else (domain.info.p2m_root,)
        roots = list(dict.fromkeys((*own, *domain.roots)))[:_MAX_ROOTS]
        self.kernel: Part | None = None
        self.users: tuple[Part, ...] = ()
        seen: set[bytes] = set()
        half = 256 if self.arch.bits == 64 else 3
        count = 512 if self.arch.bits == 64 else 4
        pages = memory.read_pages(np.array(roots, np.uint64))
        for root, words, present in zip(roots, pages.words, pages.present.tolist(), strict=True):
            if not present:
                continue
            entries = words & np.uint64(FRAME_MASK | PRESENT)
            entries[(words & np.uint64(PRESENT)) == 0] = 0
            user = entries[:half]
            if self.kernel is None and self._maps_kernel(entries[half:count]):
                self.kernel = Part(root, *_KERNEL[self.arch.bits])
            if bool(user.any()) and user.tobytes() not in seen:
                seen.add(user.tobytes())
                self.users = (*self.users, Part(root, 0, _USER_END[self.arch.bits]))

    def _maps_kernel(self, entries: np.ndarray) -> bool:
        if self.arch.bits == 32:
            return bool(entries.any())
        own = [slot - 256 for slot in range(256, 512) if slot not in layout.XEN_SLOTS]
        return bool(entries[own].any())

    def parts(self) -> tuple[Part, ...]:
        """Return all parts, the kernel's first."""
        return (*((self.kernel,) if self.kernel else ()), *self.users)

    def parts_of(self, va: int) -> tuple[Part, ...]:
        """Return the parts in which a virtual address lies; Xen's own range counts as the kernel's."""
        if va < _USER_END[self.arch.bits]:
            return self.users
        return () if self.kernel is None else (self.kernel,)

    def tables(self, part: Part) -> PageTables:
        """Return the page tables of a part."""
        return PageTables(self.memory, part.root, self.arch)

    def blocks(self, part: Part, report: WalkReport | None = None) -> Iterator[Mappings]:
        """Yield the present leaf entries of a part."""
        yield from self.tables(part).blocks(part.start, part.end, report=report)

    def find(
        self, ranges: Sequence[tuple[int, int]], classifier: Classifier | None, most: int
    ) -> list[tuple[list[tuple[Part, Span]], int]]:
        """Find every mapping of the machine frames of some ranges ``[start, end)``, in one walk.

        Returns, a range, up to ``most`` spans with the part that each is in, and the number of the others.
        Large pages that only partly lie in a range are included.
        """
        found: list[tuple[list[tuple[Part, Span]], int]] = [([], 0) for _ in ranges]
        for part in track("walking page tables", self.parts(), len(self.parts())):
            for block in self.blocks(part):
                for index, (start, end) in enumerate(ranges):
                    inside = (block.mfn < np.uint64(end)) & (block.mfn + block.pages > np.uint64(start))
                    if not bool(inside.any()):
                        continue
                    chosen = block.only(inside)
                    unknown = np.full(len(chosen.va), Target.UNKNOWN, np.uint8)
                    targets = unknown if classifier is None else classifier.targets(chosen)
                    spans, left_out = found[index]
                    for span in spans_of(chosen, targets):
                        if len(spans) < most:
                            spans.append((part, span))
                        else:
                            left_out += 1
                    found[index] = spans, left_out
        return found

    def summary(self, classifier: Classifier, most: int) -> Summary:
        """Count what is mapped, and list up to ``most`` spans of what is not RAM of the guest."""
        result = Summary()
        for part in track("walking page tables", self.parts(), len(self.parts())):
            counts = result.user if part.start == 0 else result.kernel
            for block in self.blocks(part, result.report):
                targets = classifier.targets(block)
                pages = np.bincount(targets, weights=block.pages.astype(np.float64), minlength=len(Target))
                for target in Target:
                    if pages[target]:
                        counts[target] = counts.get(target, 0) + int(pages[target])
                listed = np.isin(targets, (Target.IDENTITY, Target.FOREIGN, Target.UNKNOWN))
                for span in spans_of(block.only(listed), targets[listed]):
                    if len(result.spans) < most:
                        result.spans.append((part, span))
                    else:
                        result.left_out += 1
        return result


def classifier_of(found: Inspection, domain: Domain) -> Classifier | None:
    """Return what judges the mappings of a domain; None without a p2m."""
    if domain.p2m is None:
        return None
    return Classifier(domain.p2m.map, found.m2p if isinstance(found.m2p, HostM2p) else None)
