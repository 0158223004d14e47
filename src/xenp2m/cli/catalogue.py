"""``xenp2m catalogue``: real machines that come with the program."""

from __future__ import annotations

import click

from xenp2m.cli import tell


@click.command(name="catalogue")
@click.argument("words", metavar="[PATTERN]...", nargs=-1)
@click.option("--predictable", is_flag=True, help="Only machines with a whole memory map.")
@click.option("--sources", is_flag=True, help="Print where the facts are from, and their licences.")
@click.option("--json", "as_json", is_flag=True, help="Print xenp2m.catalogue/1.")
def command(words: tuple[str, ...], predictable: bool, sources: bool, as_json: bool) -> int:
    """Real machines that come with the program: their maps and BARs, from public texts.

    PATTERN are words; listed are the machines that have them all in id, product, firmware, kind or source.
    Every command takes one of them for a capture: catalogue:ID, the first letters of an id, or words of a
    product that only one machine has.

    \b
      xenp2m catalogue poweredge
      xenp2m catalogue t7610
      xenp2m predict catalogue:a1e81a7903a5 --kernel 3.15 --kernel series

    Exit status 1: no machine has these words.
    """
    from xenp2m import catalogue

    found = [entry for entry in catalogue.search(words) if not (predictable and entry.lack)]
    if sources:
        from xenp2m.catalogue.attribution import attribution

        click.echo(attribution(found), nl=False)
    elif as_json:
        import json

        from xenp2m.draw.catalogue import catalogue_to_json

        click.echo(json.dumps(catalogue_to_json(found)))
    elif found:
        from xenp2m.draw.catalogue import print_catalogue
        from xenp2m.draw.console import stdout

        print_catalogue(found, stdout())
    else:
        tell(f"no machine of the catalogue has {' '.join(words)!r}")
    return 0 if found else 1
