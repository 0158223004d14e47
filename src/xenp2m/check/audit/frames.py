"""The p2m against the M2P, against itself, and against who owns the frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from xenp2m.check.audit.model import CHUNK, CODES, Case, Finding, places
from xenp2m.check.findings.model import Severity
from xenp2m.check.spans import common, length
from xenp2m.dump import NO_PFN, HostM2p
from xenp2m.dump.m2p import SHARED_PFN
from xenp2m.dump.memory import Frames
from xenp2m.entry import Kind
from xenp2m.progress import track


class _Tally:
    """Frames that a rule hits: how many, and the first places."""

    def __init__(self) -> None:
        self.count = 0
        self.where = ""

    def add(self, pfns: Frames, mfns: Frames) -> None:
        """Add some frames."""
        if len(pfns) and not self.count:
            self.where = places(pfns, mfns)
        self.count += len(pfns)


def against_m2p(case: Case) -> Iterator[Finding]:
    """Compare every RAM frame with the M2P, the other RAM frames, and Xen's frame table."""
    yield from _duplicates(case)
    table, owners = case.found.m2p, case.owners
    elsewhere, nowhere, disowned = _Tally(), _Tally(), _Tally()
    ram = track("comparing with the M2P", case.ram(), case.ram_frames, lambda pair: len(pair[0]))
    for pfns, mfns in ram:
        if table is not None:
            back = table.lookup(mfns)
            none = back >= np.uint64(SHARED_PFN)
            wrong = ~none & (back != pfns)
            nowhere.add(pfns[none], mfns[none])
            elsewhere.add(pfns[wrong], mfns[wrong])
        if owners is not None:
            given = owners.table.owner(mfns)
            others = (given != 0) & (given != np.uint64(owners.own))
            disowned.add(pfns[others], mfns[others])
    # the inverse of the toolstack's page list is of another moment than the p2m of a running guest
    severity = None if isinstance(table, HostM2p) else Severity.WARNING
    name = "the M2P" if isinstance(table, HostM2p) else "the toolstack's page list"
    if elsewhere.count:
        text = f"{elsewhere.count} RAM frames are at another guest frame in {name}"
        yield case.finding("XA101", text, where=elsewhere.where, count=elsewhere.count, severity=severity)
    if nowhere.count:
        text = f"{nowhere.count} RAM frames have no entry in {name}"
        yield case.finding("XA102", text, where=nowhere.where, count=nowhere.count, severity=severity)
    if disowned.count:
        text = f"{disowned.count} RAM frames belong to another owner in Xen's frame table"
        yield case.finding("XA105", text, where=disowned.where, count=disowned.count)


def _duplicates(case: Case) -> Iterator[Finding]:
    """Find machine frames that are RAM at several guest frames: runs that overlap in machine frames."""
    runs = sorted(case.runs(Kind.RAM), key=lambda run: run.mfn or 0)
    count = 0
    where: list[str] = []
    furthest = runs[0] if runs else None
    for _, run in pairwise(runs):
        assert furthest is not None
        end = (furthest.mfn or 0) + furthest.pages
        start = run.mfn or 0
        if start < end:
            count += min(end, start + run.pages) - start
            where.append(
                f"mfn {start:#x} at pfn {furthest.pfn + start - (furthest.mfn or 0):#x} and {run.pfn:#x}"
            )
        if start + run.pages > end:
            furthest = run
    if count:
        text = f"{count} machine frames are RAM at more than one guest frame"
        yield case.finding("XA103", text, where="; ".join(where[:3]), count=count)


def between_domains(cases: Sequence[Case]) -> Iterator[Finding]:
    """Find machine frames that are RAM of more than one domain."""
    runs = sorted(
        (run.mfn or 0, run.pages, run.pfn, case.name) for case in cases for run in case.runs(Kind.RAM)
    )
    count = 0
    where: list[str] = []
    end, owner = 0, ""
    for mfn, pages, pfn, name in runs:
        if mfn < end and name != owner:
            count += min(end, mfn + pages) - mfn
            where.append(f"mfn {mfn:#x}: domain {owner}, and pfn {pfn:#x} of domain {name}")
        if mfn + pages > end:
            end, owner = mfn + pages, name
    if count:
        yield Finding(
            code="XA104",
            message=f"{count} machine frames are RAM of more than one domain",
            where="; ".join(where[:3]),
            count=count,
            severity=CODES["XA104"].severity,
        )


def identity_over_ram(case: Case) -> Iterator[Finding]:
    """Count 1:1 frames whose number is host RAM: normal in a PV guest, and worth knowing."""
    own = [(run.mfn or 0, (run.mfn or 0) + run.pages) for run in case.runs(Kind.RAM)]
    identity = [(run.pfn, run.end) for run in case.runs(Kind.IDENTITY) if run.mfn is None]
    covered = common(identity, own)
    total = length(covered)
    if total:
        start = covered[0][0]
        text = f"{total:,} 1:1 frames have the number of a machine frame of the domain's own RAM"
        yield case.finding("XA201", text, where=f"frame {start:#x} and on", count=total)
    table = case.found.m2p
    if case.map is None or not isinstance(table, HostM2p):
        return
    others, first = 0, 0
    for start, stop in identity:
        for at in range(start, min(stop, table.count), CHUNK):
            frames = np.arange(at, min(at + CHUNK, stop, table.count), dtype=np.uint64)
            back = table.lookup(frames)
            used = back < np.uint64(SHARED_PFN)
            kinds, mfns = case.map.lookup(np.where(used, back, 0))
            used &= (kinds != Kind.RAM) | (mfns != frames)
            if not others and bool(used.any()):
                first = int(frames[used][0])
            others += int(used.sum())
    if others:
        text = f"{others:,} 1:1 frames have the number of host RAM that another domain has"
        yield case.finding("XA202", text, where=f"from frame {first:#x} on", count=others)


def foreign_numbers(case: Case) -> Iterator[Finding]:
    """Find foreign frames that read back as 1:1 frames: nobody's guest frame, and 1:1 at their own number."""
    if case.map is None:
        return
    hit: list[tuple[int, int]] = []
    count = 0
    for run in case.runs(Kind.FOREIGN):
        assert run.mfn is not None
        frames = np.arange(run.mfn, run.mfn + run.pages, dtype=np.uint64)
        kinds, own = case.map.lookup(frames)
        false = (kinds == Kind.IDENTITY) & (own == frames)
        table = case.found.m2p
        if isinstance(table, HostM2p):
            back = table.lookup(frames)
            known = back < np.uint64(NO_PFN)
            own_kinds, own_mfns = case.map.lookup(np.where(known, back, 0))
            false &= ~(known & (own_kinds == Kind.RAM) & (own_mfns == frames))
        count += int(false.sum())
        hit += [(run.pfn + index, int(frames[index])) for index in np.flatnonzero(false)[:3].tolist()]
    if count:
        where = ", ".join(f"pfn {pfn:#x} (mfn {mfn:#x})" for pfn, mfn in hit[:3])
        text = f"{count} foreign frames have a number that is 1:1 in the p2m: pte_pfn takes them for I/O"
        yield case.finding("XA203", text, where=where, count=count)
