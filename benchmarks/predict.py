"""Predictions a second in one process: facts to map, log and BAR verdicts.

Run with ``python benchmarks/predict.py MACHINES.ndjson.gz``: a line a machine.  Without a file the
example machines of the documentation are used.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from xenp2m.capture import read_files, read_record, require_map
from xenp2m.errors import InputError
from xenp2m.machine import Machine
from xenp2m.prediction import predict
from xenp2m.rules import rules_for

EXAMPLES = Path(__file__).resolve().parent.parent / "docs/examples"
KERNELS = ("3.15", "series", "3.18", "4.4", "6.1", "6.12")
SECONDS = 1.0


def machines(path: str | None) -> Iterator[Machine]:
    """Yield the machines that have a map and BARs."""
    if path is None:
        for example in sorted(EXAMPLES.glob("*.json")):
            yield read_files([example]).machine
        return
    with gzip.open(path, "rt") as lines:
        for line in lines:
            record = json.loads(line)
            try:
                machine = require_map(read_record(record, record["id"])).machine
            except InputError:
                continue
            if machine.bars:
                yield machine


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
    known = list(machines(sys.argv[1] if len(sys.argv) > 1 else None))
    bars = sum(len(machine.bars) for machine in known) / len(known)
    entries = sum(len(machine.e820) for machine in known) / len(known)
    print(f"{len(known)} machines, on average {entries:.0f} E820 entries and {bars:.0f} BARs")
    for kernel in KERNELS:
        print(f"{kernel:>8}  {rate(known, kernel):7.0f} predictions a second")


if __name__ == "__main__":
    main()
