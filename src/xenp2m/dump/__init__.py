"""Dumps: readable memory from many kinds of file, the p2m found in it, page tables walked.

::

    dump = open_dump("host.elf")                 # recognised by its magic, mapped, nothing read
    found = inspect(dump, symbols.load("System.map"))   # symbols are optional
    for domain in found.domains:
        print(domain.domid, domain.found_by, domain.p2m.map, domain.p2m.ambiguous)

Nothing heavy is imported before it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xenp2m.dump import symbols
    from xenp2m.dump.containers import Dump, is_dump, open_dump
    from xenp2m.dump.inspection import Domain, Inspection, inspect
    from xenp2m.dump.leaves import Confidence, P2m
    from xenp2m.dump.m2p import NO_PFN, DenseLookup, HostM2p, M2p, dense_p2m
    from xenp2m.dump.mappings import Classifier, Target, find_frames, list_mappings
    from xenp2m.dump.memory import Memory, PageAbsent, Pages
    from xenp2m.dump.pagetable import Mappings, PageTables, Step, Translation, WalkReport
    from xenp2m.dump.symbols import Symbols
    from xenp2m.runs import Ambiguous

__all__ = [
    "NO_PFN",
    "Ambiguous",
    "Classifier",
    "Confidence",
    "DenseLookup",
    "Domain",
    "Dump",
    "HostM2p",
    "Inspection",
    "M2p",
    "Mappings",
    "Memory",
    "P2m",
    "PageAbsent",
    "PageTables",
    "Pages",
    "Step",
    "Symbols",
    "Target",
    "Translation",
    "WalkReport",
    "dense_p2m",
    "find_frames",
    "inspect",
    "is_dump",
    "list_mappings",
    "open_dump",
    "symbols",
]

_HOMES = {
    "containers": ("Dump", "is_dump", "open_dump"),
    "inspection": ("Domain", "Inspection", "inspect"),
    "leaves": ("Ambiguous", "Confidence", "P2m"),
    "m2p": ("NO_PFN", "DenseLookup", "HostM2p", "M2p", "dense_p2m"),
    "mappings": ("Classifier", "Target", "find_frames", "list_mappings"),
    "memory": ("Memory", "PageAbsent", "Pages"),
    "pagetable": ("Mappings", "PageTables", "Step", "Translation", "WalkReport"),
    "symbols": ("Symbols",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "symbols":
        return importlib.import_module("xenp2m.dump.symbols")
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"xenp2m.dump.{home}"), name)
