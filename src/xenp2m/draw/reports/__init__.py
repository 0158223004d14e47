"""Findings as files for other programs, all from the same values: JSON, SARIF, GitHub annotations, JUnit."""

from xenp2m.draw.reports.github import to_github
from xenp2m.draw.reports.json import to_json
from xenp2m.draw.reports.junit import to_junit
from xenp2m.draw.reports.sarif import to_sarif

__all__ = ["to_github", "to_json", "to_junit", "to_sarif"]
