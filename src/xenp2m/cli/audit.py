"""``xenp2m audit``: what is wrong in a dump."""

from __future__ import annotations

import click

from xenp2m.cli.dumps import dump_options


@click.command(name="audit")
@click.argument("dumps", metavar="DUMP [PART...]", nargs=-1, required=True, type=click.Path())
@dump_options
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(
    dumps: tuple[str, ...], symbol_files: tuple[str, ...], domid: int | None, raw: bool, form: str
) -> int:
    """What is wrong in a dump: p2m against M2P, page tables, the dump itself.

    Every domain is audited, or the one that --domain names. Findings have codes (XA101, ...); notes are
    worth knowing and nothing to act on.

    \b
      xenp2m audit vmcore --symbols System.map
      xenp2m audit host.elf --domain 1 --format json

    Exit status 1: an error or a warning was found.
    """
    from xenp2m.check.audit import audit
    from xenp2m.check.inspected import choose_domain, map_of
    from xenp2m.cli.dumps import read_dump

    found = read_dump(dumps, symbol_files, raw=raw)
    chosen = None if domid is None else choose_domain(found, domid)
    if not any(each.p2m is not None for each in found.domains):
        map_of(found, choose_domain(found, domid))
    result = audit(found, chosen)
    if form == "json":
        import json

        click.echo(json.dumps(result.to_json()))
    else:
        from xenp2m.draw.audit import print_audit
        from xenp2m.draw.console import stdout

        print_audit(result, stdout())
    return result.exit_status
