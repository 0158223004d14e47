"""inspect(): everything that a dump says about the p2m of its domains, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xenp2m.arch import PTE_FRAMES, Arch
from xenp2m.dump.containers.base import CoreInfo, Dump
from xenp2m.dump.find import Found, find_domains, find_root, find_start_info
from xenp2m.dump.leaves import Confidence, P2m
from xenp2m.dump.linear import read_builder_list, read_linear
from xenp2m.dump.m2p import CoreM2p, M2p, host_m2p
from xenp2m.dump.memory import Memory
from xenp2m.dump.pagetable import PageTables
from xenp2m.dump.shared_info import SharedInfo, parse_shared_info
from xenp2m.dump.symbols import Symbols
from xenp2m.dump.tree import read_tree
from xenp2m.entry import NO_MFN, Kind
from xenp2m.errors import InputError
from xenp2m.mapfile import INSPECTION_FORMAT
from xenp2m.runs import END_OF_FRAMES, Ambiguous, RunMap, ambiguous_to_json


@dataclass(frozen=True, slots=True, eq=False)
class Domain:
    """One domain of a dump.

    ``domid`` is None where the dump does not tell it.  ``p2m`` is None where there is none to read; ``notes``
    then say why.  ``roots`` are machine frames of its top-level page tables, as far as they are known.
    """

    domid: int | None
    arch: Arch
    found_by: str
    confidence: Confidence
    p2m: P2m | None
    info: SharedInfo | None = None
    pages: int | None = None
    roots: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the domain as an element of ``domains`` of the ``xenp2m.inspection/1`` object."""
        p2m = self.p2m
        result: dict[str, Any] = {
            "id": self.domid,
            "arch": self.arch.name,
            "found_by": self.found_by,
            "confidence": self.confidence.value,
            "pages": self.pages,
            "max_pfn": None if self.info is None else self.info.max_pfn,
            "generation": None if self.info is None else self.info.generation,
            "p2m": None,
            "map": None,
            "counts": None,
            "ambiguous": [],
            "notes": [*self.notes, *(() if p2m is None else p2m.notes)],
        }
        if p2m is not None:
            result["p2m"] = {
                "source": p2m.source,
                "evidence": list(p2m.evidence),
                "confidence": p2m.confidence.value,
            }
            result["map"] = p2m.map.to_json()
            result["counts"] = {kind.label: count for kind, count in p2m.map.counts().items()}
            result["ambiguous"] = ambiguous_to_json(p2m.ambiguous)
        return result


@dataclass(frozen=True, slots=True, eq=False)
class Inspection:
    """What a dump holds.

    ``m2p`` is None where no table was found; ``root`` is the frame of a page table that maps Xen, or None.
    ``damage`` are those of the ``notes`` that tell of an incomplete or contradictory file.
    """

    name: str
    container: str
    domains: tuple[Domain, ...]
    memory: Memory
    m2p: M2p | None = None
    root: int | None = None
    notes: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the ``xenp2m.inspection/1`` object."""
        return {
            "format": INSPECTION_FORMAT,
            "container": self.container,
            "domains": [domain.to_json() for domain in self.domains],
            "m2p": None if self.m2p is None else {"found_by": self.m2p.found_by, "frames": self.m2p.count},
            "notes": list(self.notes),
        }


def inspect(dump: Dump, symbols: Symbols | None = None) -> Inspection:
    """Find the domains of a dump and read the p2m of each.

    ``symbols`` makes the answers more certain and is not needed.  Raises InputError for a damaged dump; a
    domain whose p2m cannot be read is listed without one.
    """
    if dump.core is not None:
        return _inspect_core(dump, dump.core, symbols)
    root = find_root(dump)
    found = find_domains(dump, root, symbols)
    notes = list(dump.remarks)
    if root is None:
        notes.append("no page table maps Xen's M2P: it cannot be read")
    if not found:
        notes.append("no PV domain was found")
    return Inspection(
        dump.name,
        dump.container,
        tuple(_domain(dump, each, symbols) for each in found),
        dump.memory,
        None if root is None else host_m2p(dump.memory, root),
        root,
        tuple(notes),
        dump.remarks,
    )


def _domain(dump: Dump, found: Found, symbols: Symbols | None) -> Domain:
    notes: tuple[str, ...] = ()
    p2m = None
    if found.info is None:
        notes = ("its shared_info shows no PV p2m: an HVM or PVH domain, or one that has not started",)
    else:
        p2m, notes = _read(dump.memory, found.info, symbols)
    roots = found.roots
    if not roots and found.info is not None and found.info.p2m_root is not None:
        roots = (found.info.p2m_root,)
    return Domain(
        found.domid, found.arch, found.found_by, found.confidence, p2m, found.info, found.pages, roots, notes
    )


def _read(memory: Memory, info: SharedInfo, symbols: Symbols | None) -> tuple[P2m | None, tuple[str, ...]]:
    """Read a p2m through the linear list, else through the tree; return it and what failed."""
    notes: list[str] = []
    if info.p2m_root is not None:
        try:
            return read_linear(memory, info, symbols), ()
        except InputError as error:
            notes.append(f"linear list: {error}")
    try:
        return read_tree(memory, info, symbols), tuple(notes)
    except InputError as error:
        notes.append(f"frame list list: {error}")
    return None, tuple(notes)


def _inspect_core(dump: Dump, core: CoreInfo, symbols: Symbols | None) -> Inspection:
    notes: list[str] = list(dump.remarks)
    info = None
    p2m = None
    m2p = None
    if core.hvm or core.mfns is None:
        p2m = _hvm(core)
    else:
        m2p = CoreM2p(core.pfns, core.mfns)
        if core.shared_info is not None:
            info = parse_shared_info(core.shared_info, core.arch)
            p2m, failed = _read(dump.memory, info, symbols)
            notes += failed
        p2m = p2m or _builder(dump, core, notes) or _listed(core)
        _compare(core, p2m, notes)
    domain = Domain(
        None,
        core.arch,
        "the dump is of one guest" + (f", of Xen {core.xen_version}" if core.xen_version else ""),
        Confidence.CERTAIN,
        p2m,
        info,
        len(core.pfns),
        core.cr3,
        tuple(notes),
    )
    return Inspection(
        dump.name, dump.container, (domain,), dump.memory, m2p, None, dump.remarks, dump.remarks
    )


def _builder(dump: Dump, core: CoreInfo, notes: list[str]) -> P2m | None:
    """Read the domain builder's list of a guest that has not published a p2m yet."""
    start = find_start_info(dump.memory, core.arch) if core.cr3 else None
    if start is None:
        return None
    tables = PageTables(dump.memory, core.cr3[0], core.arch)
    p2m = read_builder_list(dump.memory, tables, start.mfn_list, start.nr_pages)
    if p2m.map.end_pfn == 0 or not p2m.map.counts()[Kind.RAM]:
        return None
    notes.append("the guest has published no p2m: the domain builder's list was read")
    return p2m


def _columns(core: CoreInfo) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the listed frames in order of pfn, and the first pfn past them."""
    listed = core.pfns < np.uint64(PTE_FRAMES)
    pfns = core.pfns[listed]
    mfns = np.full(len(pfns), np.uint64(NO_MFN)) if core.mfns is None else core.mfns[listed]
    if len(pfns) and bool((pfns[1:] > pfns[:-1]).all()):
        return pfns, mfns, int(pfns[-1]) + 1
    unique, first = np.unique(pfns, return_index=True)
    return unique, mfns[first], int(unique[-1]) + 1 if len(unique) else 0


def _hvm(core: CoreInfo) -> P2m:
    pfns, mfns, end = _columns(core)
    kinds = np.full(len(pfns), Kind.RAM, np.uint8)
    return P2m(
        RunMap.from_arrays(pfns, kinds, mfns, core.arch, end, Kind.MISSING),
        "page list of the dump (.xen_pfn)",
        notes=("an HVM guest has no p2m of its own; the pages in the dump are its RAM",),
    )


def _listed(core: CoreInfo) -> P2m:
    """Make a map of the toolstack's page list alone: what is not in it can be anything but RAM."""
    pfns, mfns, end = _columns(core)
    kinds = np.full(len(pfns), Kind.RAM, np.uint8)
    found = RunMap.from_arrays(pfns, kinds, mfns, core.arch, end, Kind.MISSING)
    others = (Kind.IDENTITY, Kind.FOREIGN, Kind.MISSING)
    reason = "not in the toolstack's page list"
    ambiguous = [Ambiguous(run.pfn, run.end, others, reason) for run in found if run.kind is Kind.MISSING]
    ambiguous.append(Ambiguous(end, END_OF_FRAMES, others, reason))
    return P2m(
        found,
        "page list of the dump (.xen_p2m)",
        tuple(ambiguous),
        confidence=Confidence.UNKNOWN,
        notes=("the guest's own p2m could not be read",),
    )


def _compare(core: CoreInfo, p2m: P2m, notes: list[str]) -> None:
    """Note where the guest's p2m and the toolstack's page list differ."""
    if core.mfns is None:
        return
    pfns, mfns, _ = _columns(core)
    if len(pfns) == 0 or p2m.source.startswith("page list"):
        return
    kinds, own = p2m.map.lookup(pfns)
    differing = int(((kinds != Kind.RAM) | (own != mfns)).sum())
    if differing:
        notes.append(f"{differing} of {len(pfns)} frames in the toolstack's page list are not so in the p2m")
