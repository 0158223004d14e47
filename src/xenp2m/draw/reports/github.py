"""Workflow commands of GitHub Actions: a line a finding, shown as annotations."""

from __future__ import annotations

from collections.abc import Sequence

from xenp2m.check.findings import Finding, Severity
from xenp2m.printable import printable

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def to_github(findings: Sequence[Finding]) -> str:
    """Return ``::error file=...,title=...::message`` and its like."""
    return "".join(_line(finding) for finding in findings)


def _line(finding: Finding) -> str:
    kernel = f"Linux {finding.kernel}: " if finding.kernel else ""
    message = f"{kernel}{finding.where}: {finding.message}. {finding.remedy}"
    properties = f"title={_property(f'{finding.code} {finding.title}')}"
    if finding.capture:
        properties = f"file={_property(finding.capture)},{properties}"
    return f"::{_COMMANDS[finding.severity]} {properties}::{_data(message)}\n"


def _data(text: str) -> str:
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return printable(escaped)


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
