"""Shapes and results on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from xenp2m.draw.console import supports_unicode
from xenp2m.draw.lab.rows import differences, dom0_mem, machine
from xenp2m.draw.palette import BAD, DIM, GOOD
from xenp2m.draw.tables import FittedTable
from xenp2m.lab.result import Outcome, Result
from xenp2m.lab.shape import Shape
from xenp2m.units import format_size


def shapes_table(shapes: Sequence[Shape]) -> Table:
    """Return the table of the shapes that can be booted."""
    table = FittedTable()
    for name in ("shape", "machine", "RAM", "dom0_mem", "what it shows"):
        table.add_column(name, no_wrap=name != "what it shows")
    for shape in shapes:
        table.add_row(
            shape.name, machine(shape), format_size(shape.memory), dom0_mem(shape), shape.description
        )
    return table


def print_result(result: Result, console: Console) -> None:
    """Print what came of one shape: a line, and below it what was not as predicted."""
    unicode = supports_unicode(console)
    good = result.outcome is Outcome.EQUAL
    mark = ("✓ " if good else "✗ ") if unicode else ""
    text = Text(f"{mark}{result.shape.name}", style=GOOD if good else BAD)
    for phrase in _phrases(result):
        text.append(" · ", style=DIM)
        text.append(phrase, style="not bold")
    console.print(text, soft_wrap=True)
    told = differences(result.to_json()) if result.boot is not None else []
    for line in (*told, *result.tail):
        console.print(Text(f"    {line}", style=DIM), soft_wrap=True)


def _phrases(result: Result) -> list[str]:
    seconds = result.seconds
    if result.boot is None or result.judgement is None:
        return [f"failed after {seconds.get('total', 0):.0f} s", result.error]
    used = result.boot.bars
    usable = sum(each.usable for each in used)
    equal = sum(each.judgement.equal for each in result.domus)
    domus = [f"{equal} of {len(result.domus)} domUs as predicted"] if result.domus else []
    return [
        f"shell after {seconds['shell']:.1f} s",
        f"p2m as {result.judgement.rules} predicts" if result.judgement.equal else "p2m not as predicted",
        f"{usable} of {len(result.shape.bars)} BARs usable" if result.shape.bars else "no BARs",
        *domus,
        f"{seconds['total']:.1f} s",
    ]
