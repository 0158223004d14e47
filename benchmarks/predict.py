"""Predictions a second in one process: facts to map, log and BAR verdicts, over the catalogue's machines."""

from __future__ import annotations

import time

from xenp2m import catalogue
from xenp2m.machine import Machine
from xenp2m.prediction import predict
from xenp2m.rules import rules_for

KERNELS = ("3.15", "series", "3.18", "4.4", "6.1", "6.12")
SECONDS = 1.0


def rate(known: list[Machine], kernel: str) -> float:
    """Return the predictions a second under one kernel; the best of several passes counts."""
    rules = rules_for(kernel)
    best = float("inf")
    until = time.perf_counter() + SECONDS
    while time.perf_counter() < until:
        start = time.perf_counter()
        for machine in known:
            predict(machine, rules)
        best = min(best, time.perf_counter() - start)
    return len(known) / best


def main() -> None:
    """Measure and print."""
    known = [entry.machine for entry in catalogue.entries() if not entry.lack and entry.record["bars"]]
    bars = sum(len(machine.bars) for machine in known) / len(known)
    entries = sum(len(machine.e820) for machine in known) / len(known)
    print(f"{len(known)} machines, on average {entries:.0f} E820 entries and {bars:.0f} BARs")
    for kernel in KERNELS:
        print(f"{kernel:>8}  {rate(known, kernel):7.0f} predictions a second")


if __name__ == "__main__":
    main()
