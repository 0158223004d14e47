"""Whether a dump agrees with itself, and what it leaves open."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from xenp2m.check.audit.model import CODES, Case, Finding, places
from xenp2m.dump import Inspection
from xenp2m.dump.leaves import MapBuilder, SharedLeaves
from xenp2m.dump.tree import frame_list
from xenp2m.entry import NO_MFN, Kind
from xenp2m.errors import InputError
from xenp2m.runs import END_OF_FRAMES, Ambiguous, RunMap

_MOST_NOTES = 8


def look_at_dump(found: Inspection) -> Iterator[Finding]:
    """Report what opening the file showed."""
    for note in found.notes[:_MOST_NOTES]:
        code = "XA402" if note in found.damage else "XA403"
        yield Finding(code=code, message=note, severity=CODES[code].severity)


def look_at_domain(case: Case) -> Iterator[Finding]:
    """Report what reading the domain's p2m showed."""
    domain, p2m = case.domain, case.domain.p2m
    notes = [note for note in domain.notes if note not in case.found.notes]
    if p2m is None:
        if domain.info is not None:
            yield case.finding("XA405", "; ".join(notes) or "its p2m cannot be read")
        return
    if domain.info is not None and domain.info.generation & 1:
        yield case.finding("XA401", f"the generation is {domain.info.generation}")
    for note in [*notes, *p2m.notes][:_MOST_NOTES]:
        yield case.finding("XA403", note)
    if p2m.ambiguous:
        first = p2m.ambiguous[0]
        count = sum(each.end - each.start for each in p2m.ambiguous if each.end < END_OF_FRAMES)
        where = f"frames [{first.start:#x}, {first.end:#x}): {_kinds(first)}: {first.reason}"
        yield case.finding(
            "XA404", f"{len(p2m.ambiguous)} ranges of frames cannot be told", where=where, count=count
        )
    yield from _published(case)


def _kinds(each: Ambiguous) -> str:
    return " or ".join(kind.label for kind in each.among)


def _published(case: Case) -> Iterator[Finding]:
    """Compare the RAM of the frame list that the toolstack goes by with the kernel's own p2m."""
    info = case.domain.info
    if info is None or info.frame_list_list is None or case.map is None:
        return
    try:
        listed = frame_list(case.found.memory, info)
        builder = MapBuilder(case.found.memory, info.arch, SharedLeaves())
        runs = builder.runs(listed)
    except InputError:
        return
    end = listed.end * info.arch.pfns_per_leaf
    published = RunMap(info.arch, end, Kind.MISSING, runs)
    edges = np.unique(
        np.concatenate(
            [
                published.starts,
                case.map.starts,
                np.array([edge for each in builder.ambiguous for edge in each[:2]], np.uint64),
            ]
        )
    )
    edges = edges[edges < np.uint64(min(end, info.max_pfn))]
    sizes = np.diff(edges, append=np.uint64(min(end, info.max_pfn)))
    told = np.ones(len(edges), np.bool_)
    for each in builder.ambiguous:
        told &= (edges < np.uint64(each.start)) | (edges >= np.uint64(each.end))
    kinds, mfns = published.lookup(edges)
    own_kinds, own_mfns = case.map.lookup(edges)
    ram, own_ram = kinds == Kind.RAM, own_kinds == Kind.RAM
    differing = told & ((ram != own_ram) | (ram & (mfns != own_mfns)))
    count = int(sizes[differing].sum())
    if count:
        shown = np.where(own_mfns == np.uint64(NO_MFN), mfns, own_mfns)[differing]
        yield case.finding(
            "XA406",
            f"{count} frames below max_pfn are RAM in one and not so in the other",
            where=places(edges[differing], shown),
            count=count,
        )
