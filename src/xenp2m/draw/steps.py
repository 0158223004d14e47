"""Explanations on the terminal: numbered steps, each with the file that its rule was read in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from xenp2m.draw.palette import DIM
from xenp2m.mmu.mappers import Step


def print_steps(answers: Mapping[str, Sequence[Step]], console: Console) -> None:
    """Print the steps of each kernel, in order."""
    for number, (name, steps) in enumerate(answers.items()):
        if number:
            console.print()
        console.print(Text(name, style="bold"))
        table = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
        table.add_column(justify="right", style=DIM, no_wrap=True)
        table.add_column(overflow="fold")
        for index, step in enumerate(steps, 1):
            text = Text(step.text)
            if step.source:
                text.append(f"  [{step.source}]", style=DIM)
            table.add_row(f"{index}", text)
        console.print(table)
