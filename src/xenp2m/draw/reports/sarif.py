"""SARIF 2.1.0: findings for code scanning."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from xenp2m.check.findings import Finding, FindingRule, Severity

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


def to_sarif(findings: Sequence[Finding], rules: Sequence[FindingRule]) -> str:
    """Return one run with the rules that were asked for and a result a finding."""
    index = {rule.code: number for number, rule in enumerate(rules)}
    driver = {"name": "xenp2m", "version": version("xenp2m"), "rules": [_rule(rule) for rule in rules]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, index[finding.code]) for finding in findings],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def _rule(rule: FindingRule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": f"{rule.what} {rule.why}"},
        "help": {"text": f"Kernels: {rule.kernels}. Example: {rule.example} Remedy: {rule.remedy}"},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"source": rule.source},
    }


def _result(finding: Finding, index: int) -> dict[str, Any]:
    kernel = f"Linux {finding.kernel}: " if finding.kernel else ""
    location: dict[str, Any] = {"logicalLocations": [{"name": finding.where, "kind": "resource"}]}
    if finding.capture:
        location["physicalLocation"] = {"artifactLocation": {"uri": _uri(finding.capture)}}
    return {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{kernel}{finding.where}: {finding.message}. {finding.remedy}"},
        "locations": [location],
        "properties": {
            "kernel": finding.kernel or None,
            "start": None if finding.start is None else f"{finding.start:#x}",
            "end": None if finding.end is None else f"{finding.end:#x}",
        },
    }


def _uri(name: str) -> str:
    return quote(PurePath(name).as_posix(), errors="replace")
