"""``xenp2m fleet``: many machines under several kernels."""

from __future__ import annotations

import click

from xenp2m.cli.fleet.questions import (
    diff_command,
    export_command,
    query_command,
    schema_command,
    show_command,
    summary_command,
)
from xenp2m.cli.fleet.run import run_command


@click.group(name="fleet")
def command() -> None:
    """Thousands of machines under several kernels: what breaks, what is fixed, in tables to ask in SQL.

    \b
      xenp2m fleet run captures/ --kernel 3.15 --kernel 6.1 -o FLEET
      xenp2m fleet summary FLEET
      xenp2m fleet diff FLEET --kernel 3.15 --kernel 6.1
      xenp2m fleet query FLEET "SELECT kernel, verdict, count(*) FROM bars GROUP BY ALL"

    The machines that come with the program are a fleet, too: xenp2m fleet run catalogue: -o FLEET
    """


for each in (
    run_command,
    summary_command,
    query_command,
    diff_command,
    show_command,
    export_command,
    schema_command,
):
    command.add_command(each)
