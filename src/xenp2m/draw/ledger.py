"""A ledger on the terminal, kernels side by side, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from xenp2m.check.ledger import Account, Agreement, Ledger, Line
from xenp2m.draw.console import supports_unicode
from xenp2m.draw.palette import BAD, DIM, GOOD
from xenp2m.draw.tables import FittedTable
from xenp2m.units import PAGE_SHIFT, format_frames

LEDGER_FORMAT = "xenp2m.ledger/1"

_LABEL = 34
_CELL = 12
_WIDE_CELL = 26
_LEAST = 20


def print_ledgers(name: str, ledgers: Sequence[Ledger], remarks: Sequence[str], console: Console) -> None:
    """Print the ledgers of one machine under one or more kernels; ``remarks`` say what was assumed."""
    unicode = supports_unicode(console)
    console.print(Text(name or "machine", style="bold"))
    for remark in remarks:
        console.print(remark, style=DIM)
    for ledger in ledgers:
        for text in _answer(ledger, unicode):
            console.print(text)
    for key in dict.fromkeys(account.key for ledger in ledgers for account in ledger.accounts):
        console.print()
        console.print(_table([ledger.account(key) for ledger in ledgers], ledgers, width=console.width))
    for ledger in ledgers:
        if ledger.comparisons:
            console.print()
            console.print(_comparisons(ledger, unicode))


def _answer(ledger: Ledger, unicode: bool) -> list[Text]:
    good, bad = ("✓ ", "✗ ") if unicode else ("", "")
    if ledger.balances:
        texts = [Text(f"{good}{ledger.kernel}: every view balances to the page", style=GOOD)]
    else:
        texts = [Text(f"{bad}{ledger.kernel}: the views do not balance", style=BAD)]
    texts += [Text(f"    {imbalance}", style=BAD) for imbalance in ledger.imbalances]
    return texts + [Text(f"    {finding}", style=BAD) for finding in ledger.findings]


def _table(accounts: Sequence[Account | None], ledgers: Sequence[Ledger], *, width: int) -> Table:
    """Return one view: pages and size in a line for one kernel, one above the other for several."""
    title = next(account.title for account in accounts if account is not None)
    several = len(ledgers) > 1
    cell = max(_CELL if several else _WIDE_CELL, *(len(ledger.kernel) for ledger in ledgers))
    label = min(_LABEL, max(width - (cell + 2) * len(ledgers) - 2, _LEAST))
    rest = width - label - 4 - (cell + 2) * len(ledgers)
    explained = rest >= _LEAST
    table = FittedTable()
    table.add_column(title, width=label, overflow="fold")
    for ledger in ledgers:
        table.add_column(ledger.kernel, justify="right", no_wrap=True, width=cell)
    if explained:
        table.add_column("", style=DIM, width=rest, overflow="fold")
    for part, style, indent in (("sources", "bold", ""), ("lines", "", "  "), ("remarks", DIM, "    ")):
        found = [{line.key: line for line in getattr(account, part, ())} for account in accounts]
        for key in dict.fromkeys(key for lines in found for key in lines):
            row = [lines.get(key) for lines in found]
            if all(line is None or line.pages == 0 for line in row):
                continue
            first = next(line for line in row if line is not None)
            cells = [Text(_cell(line, several=several), style=style) for line in row]
            why = "; ".join(dict.fromkeys(line.why for line in row if line is not None and line.why))
            table.add_row(Text(f"{indent}{first.label}", style=style), *cells, *([why] * explained))
    return table


def _cell(line: Line | None, *, several: bool) -> str:
    if line is None:
        return ""
    if line.pages is None:
        return "not known"
    if line.pages == 0:
        return "0"
    mark = "about " if line.estimated else ""
    size = format_frames(line.pages)
    return f"{mark}{line.pages}\n{size}" if several else f"{mark}{line.pages} ({size})"


def _comparisons(ledger: Ledger, unicode: bool) -> Table:
    table = FittedTable()
    table.add_column(f"{ledger.kernel}: recorded figures, in pages")
    table.add_column("ours", justify="right")
    table.add_column("recorded", justify="right")
    table.add_column("", overflow="fold")
    good, bad = ("✓ ", "✗ ") if unicode else ("", "")
    for found in ledger.comparisons:
        differs = f"differs by {found.difference:+d}"
        verdict = {
            Agreement.AGREES: Text(f"{good}agrees: {found.reason}", style=GOOD),
            Agreement.EXPLAINED: Text(f"{differs}: {found.reason}"),
            Agreement.DIFFERS: Text(f"{bad}{differs}; ours is {found.reason}", style=BAD),
        }[found.agreement]
        table.add_row(found.name, str(found.ours), str(found.recorded), verdict)
    return table


def ledger_to_json(ledger: Ledger) -> dict[str, Any]:
    """Return a ledger as a ``xenp2m.ledger/1`` object for ``json.dumps``."""
    return {
        "format": LEDGER_FORMAT,
        "kernel": ledger.kernel,
        "balances": ledger.balances,
        "accounts": [_account(account) for account in ledger.accounts],
        "imbalances": list(ledger.imbalances),
        "findings": list(ledger.findings),
        "comparisons": [
            {
                "name": found.name,
                "ours_pages": found.ours,
                "recorded_pages": found.recorded,
                "difference_pages": found.difference,
                "agreement": found.agreement.value,
                "reason": found.reason,
            }
            for found in ledger.comparisons
        ],
    }


def _account(account: Account) -> dict[str, Any]:
    return {
        "name": account.key,
        "title": account.title,
        "total_pages": account.total,
        "total_bytes": account.total << PAGE_SHIFT,
        "imbalance_pages": account.imbalance,
        "sources": [_line(line) for line in account.sources],
        "lines": [_line(line) for line in account.lines],
        "remarks": [_line(line) for line in account.remarks],
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "name": line.key,
        "label": line.label,
        "pages": line.pages,
        "bytes": None if line.pages is None else line.pages << PAGE_SHIFT,
        "estimated": line.estimated,
        "why": line.why,
    }
