"""The page of each rule, on the terminal and as the documentation page of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from xenp2m.check.findings import FAMILIES, FindingRule
from xenp2m.draw.findings import STYLES

_INTRODUCTION = """\
# Rules of `xenp2m check`

Each rule has a code that does not change, and one page: what it finds, why that matters, under which kernels,
an example, the remedy, and the code in which the rule was read. `xenp2m rule XP101` prints the same text.

The severity is that of the usual case; a single finding can weigh less or more. Errors and warnings make
`xenp2m check` exit with status 1, notes of severity info do not. `--select` and `--ignore` take codes and
beginnings of codes (`XP1`, `XP20`).
"""


def _parts(rule: FindingRule) -> tuple[tuple[str, str], ...]:
    return (
        ("What", rule.what),
        ("Why", rule.why),
        ("Kernels", rule.kernels),
        ("Example", rule.example),
        ("Remedy", rule.remedy),
        ("Source", rule.source),
    )


def print_rule(rule: FindingRule, console: Console) -> None:
    """Print the page of one rule."""
    heading = Text.assemble((rule.code, STYLES[rule.severity]), f"  {rule.title}  ", style="bold")
    heading.append(rule.severity.value, style=STYLES[rule.severity])
    console.print(heading)
    for name, text in _parts(rule):
        console.print()
        console.print(Text(name, style="bold"))
        console.print(Padding(Text(text), (0, 0, 0, 2), expand=False))


def print_rules(rules: Iterable[FindingRule], console: Console) -> None:
    """Print the list of rules."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for rule in rules:
        style = STYLES[rule.severity]
        table.add_row(Text(rule.code, style="bold"), Text(rule.severity.value, style=style), rule.title)
    console.print(table)


def rules_page(rules: Sequence[FindingRule]) -> str:
    """Return the documentation page of all rules, in Markdown."""
    return "\n".join([_INTRODUCTION, *_table(rules), *_pages(rules)])


def _table(rules: Sequence[FindingRule]) -> Iterator[str]:
    yield "| code | severity | what |"
    yield "|---|---|---|"
    for rule in rules:
        yield f"| [{rule.code}](#{rule.code.lower()}) | {rule.severity.value} | {_escaped(rule.title)} |"
    yield ""


def _pages(rules: Sequence[FindingRule]) -> Iterator[str]:
    family = ""
    for rule in rules:
        if rule.code[:3] != family:
            family = rule.code[:3]
            yield f"## {FAMILIES[family]} ({family}xx)\n"
        yield f"### {rule.code}\n"
        yield f"**{_escaped(rule.title)}** ({rule.severity.value})\n"
        for name, text in _parts(rule):
            yield f"*{name}*: {_escaped(text)}\n"


def _escaped(text: str) -> str:
    return "".join(f"\\{sign}" if sign in "\\`*_<[]|" else sign for sign in text)
