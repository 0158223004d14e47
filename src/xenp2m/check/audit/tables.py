"""Page tables against the p2m: entries whose frame is wrong, lost, or not the guest's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from xenp2m.check.audit.model import Case, Finding
from xenp2m.check.findings.model import Severity
from xenp2m.dump import Mappings, Target
from xenp2m.dump.layout import ENTRIES, PSE
from xenp2m.dump.memory import Frames
from xenp2m.dump.spaces import Part, classifier_of
from xenp2m.mmu.pte import IOMAP, SPECIAL
from xenp2m.progress import track

_ALL_ONES = (1 << 40) - 1
"""The frame of an entry whose 40 frame bits are all ones: INVALID_P2M_ENTRY taken for a frame."""

_CHUNK = 1024
_ENTRIES = np.arange(ENTRIES, dtype=np.uint64)


class _Hits:
    """Entries that a rule hits: how many pages, and the first places."""

    def __init__(self) -> None:
        self.count = 0
        self.where: list[str] = []

    def add(self, part: Part, vas: Frames, mfns: Frames | None, pages: int | None = None) -> None:
        """Add some entries of a part."""
        for index in range(min(len(vas), 3 - len(self.where))):
            frame = "" if mfns is None else f" (mfn {int(mfns[index]):#x})"
            self.where.append(f"{int(vas[index]):#x}{frame} in the {part.label}")
        self.count += len(vas) if pages is None else pages


def look_at_tables(case: Case) -> Iterator[Finding]:
    """Look at every entry of every address space of a domain."""
    classifier = classifier_of(case.found, case.domain)
    if classifier is None:
        return
    absurd, lost, others, unnamed, iomapped = (_Hits() for _ in range(5))
    parts = case.spaces.parts()
    for part in track("checking page tables", parts, len(parts)):
        for block in case.spaces.blocks(part):
            top = block.mfn == np.uint64(_ALL_ONES)
            absurd.add(part, block.va[top], block.mfn[top])
            unknown = block.only((classifier.targets(block) == Target.UNKNOWN) & ~top)
            if len(unknown.va) == 0:
                continue
            own, foreign = _ownership(case, unknown)
            others.add(part, unknown.va[foreign], unknown.mfn[foreign])
            rest = unknown.only(~own & ~foreign)
            marked = (rest.entry & np.uint64(IOMAP)) != 0
            for hits, chosen in ((iomapped, rest.only(marked)), (unnamed, rest.only(~marked))):
                hits.add(part, chosen.va, chosen.mfn, int(chosen.pages.sum()))
        if part.start == 0:
            lost.add(part, _lost(case, part), None)
    if absurd.count:
        text = f"{absurd.count} entries hold a frame of all ones"
        yield case.finding("XA301", text, where="; ".join(absurd.where), count=absurd.count)
    if lost.count:
        text = f"{lost.count} entries of user space are {SPECIAL:#x}: not present, and not empty"
        yield case.finding("XA302", text, where="; ".join(lost.where), count=lost.count)
    if others.count:
        text = f"{others.count} entries hold frames of other domains that the p2m does not have as foreign"
        severity = Severity.INFO if case.domain.domid == 0 else None
        where = "; ".join(others.where)
        yield case.finding("XA303", text, where=where, count=others.count, severity=severity)
    if unnamed.count:
        text = f"{unnamed.count} mapped pages are frames that the p2m does not name"
        severity = None if case.owners is not None else Severity.INFO
        where = "; ".join(unnamed.where)
        yield case.finding("XA304", text, where=where, count=unnamed.count, severity=severity)
    if iomapped.count:
        text = f"{iomapped.count} pages of I/O are mapped that the p2m does not have as 1:1"
        yield case.finding("XA305", text, where="; ".join(iomapped.where), count=iomapped.count)


def _ownership(case: Case, mappings: Mappings) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Say which frames Xen gave to this domain (pages that it shares with it), and which to another."""
    if case.owners is None:
        none = np.zeros(len(mappings.va), np.bool_)
        return none, none
    given = case.owners.table.owner(mappings.mfn)
    foreign = np.isin(given, np.array(list(case.owners.names), np.uint64)) & (
        given != np.uint64(case.owners.own)
    )
    return given == np.uint64(case.owners.own), foreign


def _lost(case: Case, part: Part) -> Frames:
    """Return the addresses of user space whose entry has lost its frame and its flags."""
    found = [np.empty(0, np.uint64)]
    tables = case.spaces.tables(part).last_tables(part.start, part.end)
    lower = np.flatnonzero((tables.entry & np.uint64(PSE)) == 0)
    for at in range(0, len(lower), _CHUNK):
        rows = lower[at : at + _CHUNK]
        pages = case.found.memory.read_pages(tables.mfn[rows])
        hit, index = np.nonzero(pages.words == np.uint64(SPECIAL))
        found.append(tables.va[rows][hit] + (_ENTRIES[index] << np.uint64(12)))
    return np.concatenate(found)
