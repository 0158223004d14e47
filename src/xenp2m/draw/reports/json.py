"""``xenp2m.findings/1``: the findings as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Sequence

from xenp2m.check.findings import Finding, Severity
from xenp2m.draw.json import by_row

FORMAT = "xenp2m.findings/1"


def to_json(findings: Sequence[Finding], kernels: Sequence[str]) -> str:
    """Return ``format``, ``kernels``, ``counts`` by severity, and ``findings`` with a row each."""
    counts = {
        severity.value: sum(finding.severity is severity for finding in findings) for severity in Severity
    }
    rows = [finding.to_json() for finding in findings]
    value = {"format": FORMAT, "kernels": list(kernels), "counts": counts, "findings": rows}
    return by_row(value) if rows else json.dumps(value) + "\n"
