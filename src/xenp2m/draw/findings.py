"""Findings on the terminal: by kernel, then by rule, the worst first, with the places and the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from xenp2m.check.findings import Finding, Severity
from xenp2m.draw.console import plain, supports_unicode
from xenp2m.draw.palette import BAD, DIM, GOOD

PLACES = 6
"""Places of one rule that are printed; files and JSON have them all."""

_FILE_WIDTH = 100

STYLES = {Severity.ERROR: BAD, Severity.WARNING: "yellow", Severity.INFO: "cyan"}
_SIGNS = {Severity.ERROR: "✗ ", Severity.WARNING: "! ", Severity.INFO: "· "}
_WORDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_ORDER = (Severity.ERROR, Severity.WARNING, Severity.INFO)


def print_findings(
    findings: Sequence[Finding], console: Console, *, kernels: Sequence[str], hidden: int = 0
) -> None:
    """Print what was found under each of ``kernels``; ``hidden`` findings were too slight to be asked for."""
    unicode = supports_unicode(console)
    of_capture = [finding for finding in findings if not finding.kernel]
    if of_capture:
        console.print(_heading("captures", of_capture))
        _print_groups(of_capture, console, unicode)
    for kernel in kernels:
        of_kernel = [finding for finding in findings if finding.kernel == kernel]
        if not of_kernel:
            console.print(Text(f"{'✓ ' if unicode else ''}{kernel}: nothing found", style=GOOD))
            continue
        console.print(_heading(kernel, of_kernel))
        _print_groups(of_kernel, console, unicode)
    if findings:
        console.print(Text("xenp2m rule CODE tells more of a rule", style=DIM))
    if hidden:
        console.print(Text(f"not shown: {_number(hidden, 'note')} (--severity info)", style=DIM))


def findings_text(findings: Sequence[Finding], *, kernels: Sequence[str], hidden: int = 0) -> str:
    """Return what ``print_findings`` prints, without colour, for a file."""
    text = StringIO()
    print_findings(findings, plain(_FILE_WIDTH, text), kernels=kernels, hidden=hidden)
    return text.getvalue()


def _heading(name: str, findings: Sequence[Finding]) -> Text:
    counts = [
        _number(count, _WORDS[severity])
        for severity in _ORDER
        if (count := sum(finding.severity is severity for finding in findings))
    ]
    return Text(f"{name}: {', '.join(counts)}", style="bold")


def _number(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _print_groups(findings: Sequence[Finding], console: Console, unicode: bool) -> None:
    groups: dict[tuple[Severity, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.severity, finding.code), []).append(finding)
    for severity, code in sorted(groups, key=lambda key: (_ORDER.index(key[0]), key[1])):
        group = groups[severity, code]
        line = Text("  ")
        line.append(f"{_SIGNS[severity] if unicode else ''}{code} ", style=STYLES[severity])
        line.append(group[0].title, style="bold")
        line.append(f"  {_WORDS[severity]}" + (f", {len(group)} places" if len(group) > 1 else ""), style=DIM)
        console.print(line)
        for finding in group[:PLACES]:
            _print_indented(Text.assemble((finding.where, "bold"), f"  {finding.message}"), console)
        if len(group) > PLACES:
            more = f"and {len(group) - PLACES} more (--format json has them all)"
            _print_indented(Text(more, style=DIM), console)
        for remedy in dict.fromkeys(finding.remedy for finding in group):
            _print_indented(Text(f"remedy: {remedy}", style=GOOD), console)


def _print_indented(text: Text, console: Console) -> None:
    console.print(Padding(text, (0, 0, 0, 6), expand=False))
