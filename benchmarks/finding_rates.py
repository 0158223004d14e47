"""How often each finding is raised over the catalogue's machines, and what it says of a few of them.

``python benchmarks/finding_rates.py [CODE]``.  Prints the share of machines that raise each code under 3.15,
the series and 6.1; with a code, ten of its findings under each kernel.
"""

from __future__ import annotations

import sys
import time
from collections import Counter

from xenp2m import catalogue
from xenp2m.check.findings import Finding, all_rules, check_capture

KERNELS = ("3.15", "series", "6.1")
SHOWN = 10


def main() -> None:
    wanted = sys.argv[1:]
    machines = 0
    raised: Counter[tuple[str, str]] = Counter()
    shown: dict[tuple[str, str], list[Finding]] = {}
    started = time.perf_counter()
    for entry in catalogue.entries():
        if entry.lack:
            continue
        capture = entry.capture
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
