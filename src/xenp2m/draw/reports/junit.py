"""JUnit XML: a test suite a kernel, a test case a rule; rules that found an error or a warning fail."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from xenp2m.check.findings import Finding, FindingRule, Severity
from xenp2m.printable import printable

_CAPTURES = "captures"


def to_junit(findings: Sequence[Finding], kernels: Sequence[str], rules: Sequence[FindingRule]) -> str:
    """Return the report; rules that look at the captures alone have a suite of their own."""
    root = ElementTree.Element("testsuites", name="xenp2m check")
    suites = [(_CAPTURES, "", [rule for rule in rules if not rule.per_kernel])]
    suites += [(f"Linux {name}", name, [rule for rule in rules if rule.per_kernel]) for name in kernels]
    for name, kernel, looked in suites:
        if looked:
            root.append(_suite(name, looked, [found for found in findings if found.kernel == kernel]))
    for total in ("tests", "failures"):
        root.set(total, str(sum(int(suite.get(total, "0")) for suite in root)))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite(name: str, rules: Sequence[FindingRule], findings: Sequence[Finding]) -> ElementTree.Element:
    suite = ElementTree.Element("testsuite", name=name, tests=str(len(rules)), errors="0")
    failures = 0
    for rule in rules:
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"xenp2m.{name}", name=f"{rule.code} {rule.title}"
        )
        found = [finding for finding in findings if finding.code == rule.code]
        bad = [finding for finding in found if finding.severity.reaches(Severity.WARNING)]
        notes = [finding for finding in found if not finding.severity.reaches(Severity.WARNING)]
        if bad:
            failures += 1
            kind = "error" if any(finding.severity is Severity.ERROR for finding in bad) else "warning"
            failure = ElementTree.SubElement(case, "failure", type=kind, message=_clean(_line(bad[0])))
            remedies = dict.fromkeys(finding.remedy for finding in bad)
            failure.text = _clean("\n".join([*map(_line, bad), *remedies]))
        if notes:
            ElementTree.SubElement(case, "system-out").text = _clean("\n".join(map(_line, notes)))
    suite.set("failures", str(failures))
    return suite


def _line(finding: Finding) -> str:
    return f"{finding.where}: {finding.message}"


def _clean(text: str) -> str:
    """XML cannot hold control characters, which names of files can."""
    return printable(text, keep="\n")
