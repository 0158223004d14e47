"""Findings: what a person should know of a machine under a kernel, each with a code, a reason and a remedy.

A rule is one function in a module of this package; ``registry.finding`` gives it its code and its page.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xenp2m.capture import Capture
from xenp2m.check.findings import (
    bars,
    conflicts,
    cost,
    domu,
    maps,
    memory,
    narrow,
    observed,
    stops,
    translation,
)
from xenp2m.check.findings.model import Case, Finding, FindingRule, Findings, Hit, Severity
from xenp2m.check.findings.registry import FAMILIES, all_rules, chosen_rules
from xenp2m.prediction import WhatIf, predict
from xenp2m.rules import Rules

__all__ = [
    "FAMILIES",
    "Case",
    "Finding",
    "FindingRule",
    "Findings",
    "Severity",
    "all_rules",
    "check_capture",
    "chosen_rules",
    "findings_of",
]

_RULES_OF = (bars, conflicts, cost, domu, maps, memory, narrow, observed, stops, translation)
"""The modules whose functions are the rules; importing one registers them."""


def check_capture(
    capture: Capture,
    kernels: Iterable[str | Rules],
    what_if: WhatIf | None = None,
    rules: Sequence[FindingRule] | None = None,
) -> Findings:
    """Look for everything that ``rules`` (all by default) find in a capture under each kernel.

    Findings come by kernel in the order given, then by code; those that hold under every kernel come first
    and once.  Raises what ``predict`` raises.
    """
    asked = what_if or WhatIf()
    cases = [
        Case(capture=capture, prediction=predict(capture, kernel, asked), what_if=asked) for kernel in kernels
    ]
    chosen = all_rules() if rules is None else rules
    of_capture = [found for found in chosen if not found.per_kernel]
    of_kernel = [found for found in chosen if found.per_kernel]
    found = [item for case in cases[:1] for item in findings_of(case, of_capture)]
    found += [item for case in cases for item in findings_of(case, of_kernel)]
    return Findings(found)


def findings_of(case: Case, rules: Iterable[FindingRule]) -> tuple[Finding, ...]:
    """Return what the rules find in one case, by code."""
    return tuple(
        _finding(case, looked, hit)
        for looked in sorted(rules, key=lambda found: found.code)
        for hit in looked.look(case)
    )


def _finding(case: Case, found: FindingRule, hit: Hit) -> Finding:
    sources = case.capture.sources
    capture = sources[0].name if sources else case.prediction.machine.name
    return Finding(
        code=found.code,
        title=found.title,
        severity=hit.severity or found.severity,
        message=hit.message,
        where=hit.where or capture,
        kernel=case.rules.name if found.per_kernel else "",
        remedy=hit.remedy or found.remedy,
        source=found.source,
        capture=capture,
        start=hit.start,
        end=hit.end,
    )
