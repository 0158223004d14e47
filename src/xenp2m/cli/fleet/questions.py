"""``xenp2m fleet summary``, ``query``, ``diff``, ``show``, ``export`` and ``schema``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xenp2m.cli.fleet.common import fleet_argument, json_option, open_fleet, with_extra
from xenp2m.cli.options import write_page

if TYPE_CHECKING:
    from xenp2m.fleet.query import Fleet

_SHOWN = 200
"""Rows of an answer that are printed as text."""
_TABLES = ("inputs", "machines", "predictions", "bars", "findings", "maps", "facts", "failures")


@click.command(name="summary")
@fleet_argument
@json_option
@click.option(
    "--html",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Also write a page: one HTML file with pictures, findings, and every machine's map and BARs.",
)
def summary_command(fleet: str, as_json: bool, html: str | None) -> int:
    """A fleet in numbers: what breaks under which kernel, where, by which ways of mapping, and what is fixed.

    \b
      xenp2m fleet summary FLEET
      xenp2m fleet summary FLEET --json
      xenp2m fleet summary FLEET --html fleet.html

    Every number is a query that fleet query can refine; docs/fleet.md has them.
    """
    opened = open_fleet(fleet)
    if html is not None:
        from xenp2m.draw.page.fleet import render_fleet

        write_page(html, render_fleet(opened, Path(fleet).resolve().name))
    from xenp2m.draw.console import stdout
    from xenp2m.draw.fleet import print_summary
    from xenp2m.fleet.summary import summarise

    summary = summarise(opened)
    if as_json:
        click.echo(json.dumps(summary.to_json()))
    else:
        print_summary(summary, stdout(), fleet)
    return 0


@click.command(name="query")
@fleet_argument
@click.argument("sql")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "csv", "json", "parquet"]),
    default="text",
    show_default=True,
    help="Text shows the first rows, the others have all.",
)
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write to a file, whole or not at all.")
def query_command(fleet: str, sql: str, form: str, output: str | None) -> int:
    """Ask a fleet in SQL (DuckDB's), reading only.

    The tables are inputs, machines, predictions, bars, findings, maps, facts and failures; fleet schema tells
    their columns.

    \b
      xenp2m fleet query FLEET "SELECT kernel, verdict, count(*) FROM bars GROUP BY ALL ORDER BY ALL"
      xenp2m fleet query FLEET "SELECT name, bars_past_map FROM machines WHERE bars_last >= 1::UBIGINT << 44"
      xenp2m fleet query FLEET "SELECT * FROM failures" --format csv -o failures.csv
    """
    opened = open_fleet(fleet)
    if form == "text" and output is None:
        from xenp2m.draw.console import stdout
        from xenp2m.draw.fleet import print_answer

        print_answer(*opened.first(sql, _SHOWN), console=stdout())
    elif form == "text":
        raise click.UsageError("--output needs --format csv, json or parquet")
    else:
        _write(opened, sql, form, output)
    return 0


@click.command(name="diff")
@fleet_argument
@click.argument("other", required=False)
@click.option(
    "--kernel", "kernels", multiple=True, metavar="NAME", help="Of one fleet, two; of two, those to compare."
)
@json_option
@click.option("--all", "everything", is_flag=True, help="List every change, not the first ones.")
def diff_command(
    fleet: str, other: str | None, kernels: tuple[str, ...], as_json: bool, everything: bool
) -> int:
    """What breaks and what is fixed: between two kernels of a fleet, or between two fleets.

    Of two fleets, machines are the same that were read from the same place, else those of one name.

    \b
      xenp2m fleet diff FLEET --kernel 3.15 --kernel series
      xenp2m fleet diff BEFORE AFTER
      xenp2m fleet diff BEFORE AFTER --kernel 6.1 --json

    Exit status 1: something is worse on the second side.
    """
    opened = open_fleet(fleet)
    from xenp2m.draw.console import stdout
    from xenp2m.draw.fleet import print_diff
    from xenp2m.fleet.compare import compare_fleets, compare_kernels
    from xenp2m.fleet.remote import store_at

    if other is not None:
        found = compare_fleets(opened, store_at(other), kernels)
    elif len(kernels) == 2:
        found = compare_kernels(opened, *kernels)
    else:
        raise click.UsageError("one fleet is compared under two kernels: --kernel A --kernel B")
    if as_json:
        click.echo(json.dumps(found.to_json()))
    else:
        print_diff(found, stdout(), everything=everything)
    return 1 if found.breaks else 0


@click.command(name="show")
@fleet_argument
@click.argument("machine")
@json_option
def show_command(fleet: str, machine: str, as_json: bool) -> int:
    """One machine of a fleet: its facts, its maps drawn, the verdicts by kernel, the findings.

    MACHINE is its key, its name or a part of it, or a part of its make and model.

    \b
      xenp2m fleet show FLEET host17/dmesg.txt
      xenp2m fleet show FLEET "precision t7610"
    """
    opened = open_fleet(fleet)
    from xenp2m.draw.console import stdout
    from xenp2m.draw.fleet import print_machine
    from xenp2m.fleet.shown import show

    shown = show(opened, machine)
    if as_json:
        click.echo(json.dumps(shown.to_json()))
    else:
        print_machine(shown, stdout())
    return 0


@click.command(name="export")
@fleet_argument
@click.argument("form", metavar="csv|json|parquet", type=click.Choice(["csv", "json", "parquet"]))
@click.argument("table", metavar="[TABLE]", required=False, type=click.Choice(_TABLES))
@click.option("-o", "--output", metavar="PATH", help="A file for one table, a folder for all of them.")
def export_command(fleet: str, form: str, table: str | None, output: str | None) -> int:
    """A fleet's tables in another form: one, or without TABLE all of them (xenp2m fleet schema).

    \b
      xenp2m fleet export FLEET csv bars > bars.csv
      xenp2m fleet export FLEET json -o exported/
    """
    opened = open_fleet(fleet)
    if table is not None:
        _write(opened, f"SELECT * FROM {table}", form, output)
        return 0
    if output is None:
        raise click.UsageError("all tables need a folder: -o FOLDER; or name one of " + ", ".join(_TABLES))
    for name in _TABLES:
        _write(opened, f"SELECT * FROM {name}", form, f"{output.rstrip('/')}/{name}.{form}")
    return 0


@click.command(name="schema")
@click.option("--markdown", is_flag=True, help="As the documentation has it.")
def schema_command(markdown: bool) -> int:
    """The tables of a fleet: every column, its type and its meaning.

    \b
      xenp2m fleet schema
      xenp2m fleet schema --markdown
    """
    with with_extra():
        from xenp2m.fleet import schema
    if markdown:
        click.echo(schema.markdown(), nl=False)
    else:
        from xenp2m.draw.console import stdout
        from xenp2m.draw.fleet import print_schema

        print_schema(stdout())
    return 0


def _write(fleet: Fleet, sql: str, form: str, output: str | None) -> None:
    from xenp2m.fleet.export import write
    from xenp2m.fleet.remote import store_at

    if output is None and form == "parquet":
        raise click.UsageError("Parquet is no text: -o FILE")
    schema, batches = fleet.batches(sql)
    if output is None:
        write(schema, batches, form, sys.stdout.buffer)
        return
    folder, slash, name = output.rstrip("/").rpartition("/")
    with store_at(f"{folder}{slash}" or ".").create(name) as file:
        write(schema, batches, form, file)
