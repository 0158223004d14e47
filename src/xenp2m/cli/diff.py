"""``xenp2m diff``: two frame maps, run by run."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xenp2m.cli import tell
from xenp2m.cli.dumps import dump_options
from xenp2m.cli.options import html_option, kernel_option, picture_options, what_if_options

if TYPE_CHECKING:
    from xenp2m.check.diff import Side
    from xenp2m.cli.pictures import Pictures
    from xenp2m.dump import Inspection
    from xenp2m.prediction import Prediction, WhatIf

_LIVE = "live"


@click.command(name="diff")
@click.argument("a", metavar="A", type=click.Path(allow_dash=True))
@click.argument("b", metavar="B", type=click.Path(allow_dash=True))
@kernel_option
@what_if_options
@dump_options
@html_option
@picture_options
@click.option("--ignore-mfns", is_flag=True, help="Compare kinds only. By itself when a side is predicted.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (xenp2m.diff/1).")
def command(
    a: str,
    b: str,
    kernels: tuple[str, ...],
    boot: int | None,
    symbol_files: tuple[str, ...],
    domid: int | None,
    raw: bool,
    ignore_mfns: bool,
    as_json: bool,
    html: str | None,
    pictures: Pictures,
    **options: Any,
) -> int:
    """Two frame maps run by run: predictions, dumps, map files, the running kernel.

    A and B are each a dump, a map file (xenp2m.map/1), a prediction or an inspection as JSON, captures of a
    machine (a file or folder, predicted with --kernel), or the word "live". Two --kernel are for A and for B.
    Frames whose kind a dump does not tell are no difference.

    \b
      xenp2m diff dmesg.txt vmcore --kernel 3.16
      xenp2m diff before.json after.json --svg difference.svg
      xenp2m diff dmesg.txt dmesg.txt --kernel 3.15 --kernel series
      xenp2m diff dmesg.txt vmcore --html difference.html

    Exit status 0: the same, 1: different, 2: cannot tell.
    """
    from xenp2m.check.diff import Status, diff_maps
    from xenp2m.cli.options import what_if

    if len(kernels) > 2:
        raise click.UsageError("--kernel at most twice: for A and for B")
    chosen = what_if(**options)
    names = (kernels * 2)[:2] if kernels else (None, None)
    found = [
        _side(path, name, boot, chosen, symbol_files, domid, raw)
        for path, name in zip((a, b), names, strict=True)
    ]
    result = diff_maps(*(side for side, _ in found), ignore_mfns=ignore_mfns)
    if html is not None:
        from xenp2m.cli.options import write_page
        from xenp2m.draw.page import diff_page

        write_page(html, diff_page(result, [prediction for _, prediction in found]))
    if pictures.wanted:
        from xenp2m.draw.svg import diff_svg

        pictures.write(partial(diff_svg, result))
    if as_json:
        import json

        click.echo(json.dumps(result.to_json()))
    else:
        from xenp2m.draw.console import stdout
        from xenp2m.draw.diff import print_diff

        print_diff(result, stdout())
    if result.exit_status == 2:
        untold = result.amount(Status.UNKNOWN)
        tell(f"cannot tell: {untold} are not known on both sides")
    return result.exit_status


def _side(
    path: str,
    kernel: str | None,
    boot: int | None,
    chosen: WhatIf,
    symbol_files: tuple[str, ...],
    domid: int | None,
    raw: bool,
) -> tuple[Side, Prediction | None]:
    """Read one side, whatever it is, and give the prediction that it is with it."""
    from xenp2m.check.diff import Side
    from xenp2m.cli.dumps import read_dump, read_live
    from xenp2m.cli.options import kernel_names, read_machine
    from xenp2m.dump import is_dump
    from xenp2m.mapfile import read_map
    from xenp2m.prediction import predict

    if path == _LIVE:
        return _inspected(_LIVE, read_live(symbol_files), domid), None
    if is_dump(path) or (raw and Path(path).is_file() and read_map(path, domid) is None):
        return _inspected(Path(path).name, read_dump([path], symbol_files, raw=raw), domid), None
    known = read_map(path, domid)
    if known is not None:
        predicted = known.kernel is not None
        return Side(known.kernel or Path(path).name, known.map, known.ambiguous, predicted), None
    capture = read_machine((path,), boot)
    prediction = predict(capture, kernel_names([kernel] if kernel else [], capture)[0], chosen)
    return Side(prediction.rules.name, prediction.guest.p2m, predicted=True), prediction


def _inspected(name: str, found: Inspection, domid: int | None) -> Side:
    from xenp2m.check.diff import Side
    from xenp2m.check.inspected import choose_domain, map_of

    domain = choose_domain(found, domid)
    known = map_of(found, domain)
    return Side(name, known, domain.p2m.ambiguous if domain.p2m else ())
