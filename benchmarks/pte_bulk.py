"""Time of bulk PTE conversion: 16 Mi entries, make and val, beside a bare numpy pass over the same memory.

The p2m is the kernel's own structure ("tree") and the same map as runs ("runs"); the M2P is runs.

Run with ``python benchmarks/pte_bulk.py``; writes one JSON object to standard output.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from xenp2m.arch import X86_64
from xenp2m.entry import Kind
from xenp2m.mmu.bulk import make_pte_array, pte_val_array
from xenp2m.mmu.convert import Converter
from xenp2m.p2m.flat import FlatP2m
from xenp2m.p2m.m2p import M2p, M2pRun
from xenp2m.p2m.protocol import P2m
from xenp2m.p2m.tree import Tree
from xenp2m.rules import Structure, rules_for
from xenp2m.runs import Run, RunMap

ENTRIES = 16 << 20
RAM_RUNS = 64
FLAGS = np.uint64(0x8000_0000_0000_0067)

Words = NDArray[np.uint64]


def converters(kernel: str) -> dict[str, Converter]:
    """A guest whose RAM is cut into runs, with a hole after each and past the end."""
    rules = rules_for(kernel)
    pages = ENTRIES // RAM_RUNS
    runs = [Run(i * pages, pages - 512, Kind.RAM, 0x2000_0000 + i * 2 * pages) for i in range(RAM_RUNS)]
    beyond = Kind.IDENTITY if rules.high_identity else Kind.MISSING
    runmap = RunMap(X86_64, ENTRIES, beyond, runs)
    m2p = M2p(X86_64, 1 << 35, [M2pRun(run.mfn or 0, run.pages, run.pfn) for run in runs], X86_64.invalid)
    shapes: dict[str, P2m] = {"runs": FlatP2m(runmap)}
    if rules.structure is Structure.TREE:
        shapes["tree"] = Tree.from_runs(rules, runmap)
    return {name: Converter(rules, p2m, m2p) for name, p2m in shapes.items()}


def nanoseconds(function: Callable[[], object], repeat: int = 3) -> float:
    """Best time of an element, in nanoseconds."""
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return round(best / ENTRIES * 1e9, 2)


def main() -> None:
    """Measure and write the figures."""
    rng = np.random.default_rng(20140415)
    sequential = (np.arange(ENTRIES, dtype=np.uint64) << np.uint64(12)) | FLAGS
    orders = {"sequential": sequential, "random": sequential[rng.permutation(ENTRIES)]}
    figures: dict[str, object] = {"entries": ENTRIES, "unit": "ns per entry"}
    for order, values in orders.items():
        figures[f"copy {order}"] = nanoseconds(partial(np.add, values, np.uint64(1)))
        for kernel in ("3.15", "3.18", "6.4"):
            for shape, convert in converters(kernel).items():
                name = f"{kernel} {shape} {order}"
                machine = make_pte_array(convert, values)
                figures[f"make_pte {name}"] = nanoseconds(partial(make_pte_array, convert, values))
                figures[f"pte_val {name}"] = nanoseconds(partial(pte_val_array, convert, machine))
    figures["peak MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    json.dump(figures, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
