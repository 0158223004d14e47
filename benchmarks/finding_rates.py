"""How often each finding is raised over many machines, and what it says of a few of them.

``python benchmarks/finding_rates.py MACHINES.ndjson.gz [CODE]``: a record of machine facts a line.  Prints
the share of machines that raise each code under 3.15, the series and 6.1; with a code, ten of its findings
under each kernel.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from xenp2m.capture import Capture, read_record, require_map
from xenp2m.check.findings import Finding, all_rules, check_capture
from xenp2m.errors import MissingFactError

KERNELS = ("3.15", "series", "6.1")
SHOWN = 10


def captures(path: Path) -> Iterator[Capture]:
    """Yield the machines of a file that have a map."""
    with gzip.open(path, "rt") as file:
        for line in file:
            record = json.loads(line)
            try:
                yield require_map(read_record(record, str(record["id"])))
            except MissingFactError:
                continue


def main() -> None:
    if len(sys.argv) < 2:
        print("finding_rates: no machines named, nothing to do")
        return
    path, wanted = Path(sys.argv[1]), sys.argv[2:]
    machines = 0
    raised: Counter[tuple[str, str]] = Counter()
    shown: dict[tuple[str, str], list[Finding]] = {}
    started = time.perf_counter()
    for capture in captures(path):
        machines += 1
        for kernel in KERNELS:
            found = check_capture(capture, [kernel])
            for code in {finding.code for finding in found}:
                raised[code, kernel] += 1
            for finding in found:
                if finding.code in wanted:
                    shown.setdefault((finding.code, kernel), []).append(finding)
    spent = time.perf_counter() - started
    print(f"{machines} machines, {1000 * spent / machines / len(KERNELS):.1f} ms a machine and kernel")
    print("| code | severity | " + " | ".join(KERNELS) + " | title |")
    print("|---|---|" + "---|" * len(KERNELS) + "---|")
    for rule in all_rules():
        shares = " | ".join(f"{100 * raised[rule.code, kernel] / machines:.1f} %" for kernel in KERNELS)
        print(f"| {rule.code} | {rule.severity.value} | {shares} | {rule.title} |")
    for (code, kernel), found_ in shown.items():
        step = max(1, len(found_) // SHOWN)
        print(f"\n{code} under {kernel}: {len(found_)} findings")
        for finding in found_[::step][:SHOWN]:
            print(f"  {finding.severity.value} {finding.capture} {finding.where}: {finding.message}")


if __name__ == "__main__":
    main()
