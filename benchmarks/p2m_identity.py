"""The identity call of the series on growing ranges, before and after, and flattening of what it leaves."""

from __future__ import annotations

import time
import tracemalloc

from xenp2m.arch import X86_64
from xenp2m.p2m.accounting import tree_pages
from xenp2m.p2m.tree import Tree
from xenp2m.rules import rules_for

START = 4 << 18
PASSES = 7
KERNEL_MS = {"before": 219.0, "after": 0.0158}
"""Medians of the kernel's own code for [4 GiB, 512 GiB - 1 page) on a 4 GiB guest, in user space, in ms."""


def measure(kernel: str, end: int) -> tuple[float, int, int, int]:
    """Return the shortest time in seconds, new mids, new leaves and loop steps of identity(4 GiB, end)."""
    times = []
    for _ in range(PASSES):
        tree = Tree.build(rules_for(kernel), X86_64, START, [(0, START, 1 << 28)])
        before = tree_pages(tree)
        start = time.perf_counter()
        tree.set_phys_range_identity(START, end)
        times.append(time.perf_counter() - start)
    after = tree_pages(tree)
    return (
        min(times),
        after.mid_pages - before.mid_pages,
        after.leaf_pages - before.leaf_pages,
        tree.identity_steps,
    )


def main() -> None:
    print("identity(4 GiB, end - 1 page) on a 4 GiB guest, shortest of", PASSES)
    print("end GiB   before ms  mids leaves       steps    after ms  mids leaves  steps    ratio")
    for gib in (8, 16, 32, 64, 128, 256, 512):
        end = (gib << 18) - 1
        before, after = measure("3.15", end), measure("3.16", end)
        print(
            f"{gib:7} {before[0] * 1e3:11.3f} {before[1]:5} {before[2]:6} {before[3]:11}"
            f" {after[0] * 1e3:11.3f} {after[1]:5} {after[2]:6} {after[3]:6} {before[0] / after[0]:8.1f}"
        )
    kernel = KERNEL_MS["before"] / KERNEL_MS["after"]
    print(f"the kernel's own ratio for the last row is {kernel:.0f}; the ratio of the steps is", end=" ")
    print(f"{before[3] / after[3]:.0f}")
    tree = Tree.build(rules_for("3.16"), X86_64, START, [(0, START, 1 << 28)])
    tree.set_phys_range_identity(START, X86_64.invalid)
    start = time.perf_counter()
    runs = tree.to_runs()
    print(f"2^27 frames to {len(runs)} runs: {(time.perf_counter() - start) * 1e3:.1f} ms")
    tracemalloc.start()
    tree = Tree.build(rules_for("3.16"), X86_64, START, [(0, START, 1 << 28)])
    tree.set_phys_range_identity(START, X86_64.invalid)
    tree.to_runs()
    print(f"peak memory {tracemalloc.get_traced_memory()[1] / (1 << 20):.1f} MiB, most of it reserved only")


if __name__ == "__main__":
    main()
