"""``xenp2m series``: the nine patches of 2014, one by one, on a machine."""

from __future__ import annotations

from typing import Any

import click

from xenp2m.cli.options import captures_argument, what_if_options


@click.command(name="series")
@captures_argument
@what_if_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (xenp2m.series/1).")
def command(captures: tuple[str, ...], boot: int | None, as_json: bool, **options: Any) -> None:
    """The nine patches of 2014, one by one, on a machine.

    Starts at 3.15 and adds the patches of "x86/xen: fixes for mapping high MMIO regions" in order: which
    frames become 1:1, what the p2m and the identity calls cost, which ways of mapping start to work, the PTE
    before and after. Then the six postings of the series, as far as its changelog tells.

    \b
      xenp2m series dmesg.txt --dom0-mem 4G
      xenp2m series xen.txt lspci.txt
    """
    import json

    from xenp2m.check.series import walk_series
    from xenp2m.cli.options import read_machine, what_if
    from xenp2m.draw.console import stdout
    from xenp2m.draw.json import walk_to_json
    from xenp2m.draw.series import print_walk

    walk = walk_series(read_machine(captures, boot), what_if(**options))
    if as_json:
        click.echo(json.dumps(walk_to_json(walk)))
    else:
        print_walk(walk, stdout())
