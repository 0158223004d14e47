"""Audits on the terminal: by domain, the worst first, with places and remedies."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from xenp2m.check.audit import Audit, Finding
from xenp2m.check.findings.model import Severity
from xenp2m.draw.console import supports_unicode
from xenp2m.draw.palette import BAD, DIM, GOOD

_STYLES = {Severity.ERROR: BAD, Severity.WARNING: "yellow", Severity.INFO: "cyan"}
_SIGNS = {Severity.ERROR: "✗ ", Severity.WARNING: "! ", Severity.INFO: "· "}
_ORDER = (Severity.ERROR, Severity.WARNING, Severity.INFO)


def print_audit(result: Audit, console: Console) -> None:
    """Print what was compared, and what was found."""
    unicode = supports_unicode(console)
    console.print(Text.assemble((result.name, "bold"), f"  {result.container}"))
    _print_findings([each for each in result.findings if not each.domain], console, unicode)
    for name, parts in result.scope:
        console.print()
        console.print(Text.assemble((f"domain {name}", "bold"), (f"  {' · '.join(parts)}", DIM)))
        own = [each for each in result.findings if each.domain == name]
        _print_findings(own, console, unicode)
        if all(each.severity is Severity.INFO for each in own):
            console.print(Text(f"  {'✓ ' if unicode else ''}nothing wrong was found", style=GOOD))


def _print_findings(findings: list[Finding], console: Console, unicode: bool) -> None:
    for severity in _ORDER:
        for each in findings:
            if each.severity is not severity:
                continue
            sign = _SIGNS[severity] if unicode else f"{severity.value}: "
            console.print(Text(f"  {sign}{each.code} {each.title}", style=_STYLES[severity]))
            details = [each.message, each.where, each.remedy and f"remedy: {each.remedy}"]
            for detail in filter(None, details):
                console.print(Padding(Text(detail), (0, 0, 0, 6)))
