"""``xenp2m kernels``: the kernels and patches that can be asked for."""

from __future__ import annotations

import click


@click.command(name="kernels")
def command() -> None:
    """List the kernels and patches that can be asked for.

    A version takes the newest rules that are not newer than itself: 5.4 takes those of 4.19.86.
    """
    from xenp2m.draw.console import stdout
    from xenp2m.draw.tables import FittedTable
    from xenp2m.rules import KERNELS, SERIES

    console = stdout()
    table = FittedTable("Kernels (--kernel NAME)")
    for heading in ("from", "memory setup", "p2m", "frames under holes", "past the map", "_PAGE_IOMAP"):
        table.add_column(heading)
    for rules in KERNELS:
        table.add_row(
            rules.name,
            rules.generation,
            rules.structure.name.lower(),
            rules.holes.name.lower().replace("_", " "),
            "1:1" if rules.high_identity else "missing",
            "used" if rules.pte_iomap else "gone",
        )
    console.print(table)
    table = FittedTable("\nThe series: 3.15 with patches (--kernel series, series:1-5, series:1,3,5)")
    for heading in ("patch", "subject", "merged in", "commit"):
        table.add_column(heading)
    for patch in SERIES:
        table.add_row(str(patch.number), patch.subject, patch.merged, patch.commit)
    console.print(table)
