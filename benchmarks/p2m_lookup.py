"""Bulk lookup in a 64 GiB guest against a bare numpy.take of the same size."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from xenp2m.arch import X86_64
from xenp2m.p2m.list import LinearList
from xenp2m.p2m.tree import Tree
from xenp2m.rules import rules_for

PAGES = 64 << 18
HOLE = (3 << 18, 4 << 18)
PASSES = 5


def best(work: Callable[[], object]) -> float:
    """Return the shortest of some runs, in seconds."""
    times = []
    for _ in range(PASSES):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def guests() -> dict[str, Tree | LinearList]:
    made: dict[str, Tree | LinearList] = {}
    for hole in (False, True):
        tree = Tree.build(rules_for("3.16"), X86_64, PAGES, [(0, PAGES, 1 << 28)])
        linear = LinearList.build(rules_for("6.1"), X86_64, PAGES, [(0, PAGES, 1 << 28)])
        if hole:
            tree.set_phys_range_identity(*HOLE)
            linear.set_phys_range_identity(*HOLE)
        linear.vmalloc_tree(hotplug_limit_gib=512)
        name = "with a 1:1 GiB" if hole else "all RAM"
        made |= {f"tree, {name}": tree, f"list, {name}": linear}
    return made


def main() -> None:
    words = np.arange(1 << 28, (1 << 28) + PAGES, dtype=np.uint64)
    sequential = np.arange(PAGES, dtype=np.uint64)
    shuffled = np.random.default_rng(1).integers(0, PAGES, PAGES, dtype=np.uint64)
    print(f"{PAGES} frames, shortest of {PASSES} passes")
    for order, pfns in (("sequential", sequential), ("random", shuffled)):
        index = pfns.view(np.int64)
        bare = best(partial(words.take, index))
        print(f"{order:12} numpy.take            {bare * 1e3:8.1f} ms  {bare / PAGES * 1e9:6.2f} ns/frame")
        for name, p2m in guests().items():
            p2m.get_array(pfns[:1])
            taken = best(partial(p2m.get_array, pfns))
            print(
                f"{order:12} {name:21} {taken * 1e3:8.1f} ms  {taken / PAGES * 1e9:6.2f} ns/frame"
                f"  {taken / bare:5.2f} x"
            )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory {peak // 1024} MiB (this benchmark's own arrays take {3 * PAGES * 8 >> 20} MiB)")


if __name__ == "__main__":
    main()
