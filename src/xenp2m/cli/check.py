"""``xenp2m check``: what a person should know of a machine under a kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from xenp2m.cli.options import captures_argument, html_option, kernel_option, what_if_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xenp2m.check.findings import Finding, FindingRule

_FORMATS = ("text", "json", "sarif", "github", "junit")


@click.command(name="check")
@captures_argument
@kernel_option
@what_if_options
@click.option("--select", multiple=True, metavar="CODES", help="Only these rules (XP101,XP2), notes too.")
@click.option("--ignore", multiple=True, metavar="CODES", help="Not these rules.")
@click.option(
    "--severity",
    type=click.Choice(["error", "warning", "info"]),
    help="The least severity to show. Default: warning.",
)
@click.option("--format", "form", type=click.Choice(_FORMATS), default="text", show_default=True)
@html_option
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write to a file, whole or not at all.")
def command(
    captures: tuple[str, ...],
    kernels: tuple[str, ...],
    boot: int | None,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    severity: str | None,
    form: str,
    html: str | None,
    output: str | None,
    **options: Any,
) -> int:
    """What goes wrong on a machine under a kernel: a code, a place, a reason, a remedy.

    CAPTURES are texts of one machine, as for predict. Without --kernel the capture's own kernel is checked
    if its rules are known, else the newest.

    \b
      xenp2m check dmesg.txt
      xenp2m check xen.txt lspci.txt --kernel 3.15 --kernel 6.1 --severity info
      xenp2m check dmesg.txt --select XP1 --ignore XP102 --format sarif -o findings.sarif
      xenp2m check dmesg.txt --severity info --html report.html
      xenp2m rule XP101

    Exit status 1: an error or a warning was found.
    """
    from xenp2m.check.findings import Severity, check_capture, chosen_rules
    from xenp2m.cli.options import kernel_names, read_machine, what_if
    from xenp2m.rules import rules_for

    rules = chosen_rules(_codes(select), _codes(ignore))
    least = Severity(severity or ("info" if select else "warning"))
    chosen = what_if(**options)
    capture = read_machine(captures, boot)
    names = tuple(dict.fromkeys(rules_for(name).name for name in kernel_names(kernels, capture)))
    found = check_capture(capture, names, chosen, rules)
    shown = [finding for finding in found if finding.severity.reaches(least)]
    hidden = len(found) - len(shown) if severity is None else 0
    if html is not None:
        from xenp2m.cli.options import write_page
        from xenp2m.draw.page import predictions_page
        from xenp2m.prediction import predict

        write_page(html, predictions_page([predict(capture, name, chosen) for name in names], shown))
    _write(shown, rules, names, form, output, hidden=hidden)
    return 1 if any(finding.severity.reaches(Severity.WARNING) for finding in shown) else 0


def _codes(options: Sequence[str]) -> tuple[str, ...]:
    return tuple(code for option in options for code in option.split(",") if code.strip())


def _write(
    findings: Sequence[Finding],
    rules: Sequence[FindingRule],
    kernels: Sequence[str],
    form: str,
    output: str | None,
    *,
    hidden: int,
) -> None:
    from xenp2m.draw import reports
    from xenp2m.draw.console import stdout
    from xenp2m.draw.findings import findings_text, print_findings
    from xenp2m.files import write_atomically

    if form == "text" and output is None:
        print_findings(findings, stdout(), kernels=kernels, hidden=hidden)
        return
    if form == "text":
        text = findings_text(findings, kernels=kernels, hidden=hidden)
    elif form == "json":
        text = reports.to_json(findings, kernels)
    elif form == "sarif":
        text = reports.to_sarif(findings, rules)
    elif form == "github":
        text = reports.to_github(findings)
    else:
        text = reports.to_junit(findings, kernels, rules)
    if output is None:
        click.echo(text, nl=False)
    else:
        write_atomically(output, text.encode())
