"""``xenp2m capture``: collect from the running machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from xenp2m.cli import tell

if TYPE_CHECKING:
    from xenp2m.capture.captured import Collected


@click.command(name="capture")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write to a file, whole or not at all.")
@click.option("--text", "as_text", is_flag=True, help="As lines for pasting into a mail, not as JSON.")
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False),
    default="/",
    help="Read a recorded tree (proc/, sys/, dev/kmsg, commands/xl-dmesg) instead of this machine.",
)
def command(output: str | None, as_text: bool, root: str) -> None:
    """Collect from this machine what prediction needs, and nothing that tells whose it is.

    The memory map, PCI BARs and bridge windows, versions of kernel and Xen, memory settings, and what a Xen
    PV kernel did with its memory: numbers only. No names, serial numbers or network addresses, and of the
    command lines nothing but mem= and dom0_mem=. Root is not needed; what it would add is said on standard
    error. Every command reads the result, as JSON (xenp2m.capture/1) and as text.

    \b
      xenp2m capture -o here.json
      sudo xenp2m capture --text
    """
    from pathlib import Path

    from xenp2m.capture.captured import to_json
    from xenp2m.capture.collect import collect
    from xenp2m.capture.collect.paste import pasted
    from xenp2m.draw.json import by_row
    from xenp2m.files import write_atomically

    collected = collect(Path(root))
    text = pasted(collected) if as_text else by_row(to_json(collected))
    if output is None:
        click.echo(text, nl=False)
    else:
        write_atomically(output, text.encode())
    _report(collected)


def _report(collected: Collected) -> None:
    """Say what was found, what lacks, and what root would add."""
    from xenp2m.capture import Severity

    machine = collected.capture.machine
    tell(
        f"{collected.system.value}: {len(machine.e820)} map entries ({machine.e820_source.value}), "
        f"{len(machine.bars)} BARs, {len(machine.windows)} bridge windows"
    )
    for note in collected.capture.notes:
        if note.severity is Severity.WARNING:
            tell(f"warning: {note}")
    for lack in collected.lacks:
        what = "root would add" if lack.needs_root else "not found"
        tell(f"{what}: {lack.text}")
