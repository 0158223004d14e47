"""``xenp2m machine``: captures as one machine object."""

from __future__ import annotations

import click

from xenp2m.cli import tell
from xenp2m.cli.options import captures_argument


@click.command(name="machine")
@captures_argument
@click.option("--boot", type=click.IntRange(min=1), metavar="N", help="The Nth boot in a log, not the last.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write to a file, whole or not at all.")
def command(captures: tuple[str, ...], boot: int | None, output: str | None) -> None:
    """Read captures and print the machine as one JSON object (xenp2m.machine/1).

    The object holds what prediction needs and nothing else; every command reads it back. What the readers
    noticed goes to standard error.

    \b
      xenp2m machine dmesg.txt lspci.txt -o machine.json
      xenp2m machine /proc/iomem
    """
    from xenp2m.cli.options import read_captures
    from xenp2m.draw.json import by_row
    from xenp2m.files import write_atomically
    from xenp2m.machine.json import machine_to_json

    capture = read_captures(captures, boot)
    text = by_row(machine_to_json(capture.machine))
    for note in capture.notes:
        tell(f"{note.severity.value}: {note}")
    if output is None:
        click.echo(text, nl=False)
    else:
        write_atomically(output, text.encode())
