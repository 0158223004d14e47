"""``xenp2m predict``: what a kernel makes of a machine."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from xenp2m.cli.options import captures_argument, html_option, kernel_option, picture_options, what_if_options

if TYPE_CHECKING:
    from xenp2m.cli.pictures import Pictures


@click.command(name="predict")
@captures_argument
@kernel_option
@what_if_options
@click.option(
    "--json", "as_json", is_flag=True, help="Print xenp2m.prediction/1 (an array for several kernels)."
)
@click.option("--all-bars", is_flag=True, help="Also list the BARs that map everywhere.")
@html_option
@picture_options
@click.option("--log/--no-log", default=True, show_default=True, help="Show what the kernel will log.")
def command(
    captures: tuple[str, ...],
    kernels: tuple[str, ...],
    boot: int | None,
    as_json: bool,
    all_bars: bool,
    log: bool,
    html: str | None,
    pictures: Pictures,
    **options: Any,
) -> int:
    """What a kernel makes of a machine: its frame map, its log lines, which BARs map.

    CAPTURES are texts of one machine: dmesg, Xen's console (xl dmesg), /proc/iomem, lspci -vv, a folder of
    them, or xenp2m's machine JSON; "-" is standard input. What they contradict is reported.

    \b
      xenp2m predict dmesg.txt --kernel 3.15 --kernel series
      xenp2m predict xen.txt lspci.txt --kernel 6.1 --dom0-mem 4G,max:8G
      dmesg | xenp2m predict - --kernel 3.15 --bits 32
      xenp2m predict dmesg.txt --bar 3b:00.0/2=0x38000000000+32M
      xenp2m predict dmesg.txt --kernel 3.15 --kernel series --html report.html
      xenp2m predict dmesg.txt --kernel 3.15 --kernel series --svg map.svg --png slide.png --width 1600

    Exit status 1: some BAR does not map, or the kernel does not boot.
    """
    from xenp2m.check.bars import Verdict
    from xenp2m.cli.options import kernel_names, read_machine, what_if
    from xenp2m.prediction import predict

    chosen = what_if(**options)
    capture = read_machine(captures, boot)
    predictions = [predict(capture, name, chosen) for name in kernel_names(kernels, capture)]
    if html is not None:
        from xenp2m.check.findings import check_capture
        from xenp2m.cli.options import write_page
        from xenp2m.draw.page import predictions_page

        rules = [prediction.rules for prediction in predictions]
        write_page(html, predictions_page(predictions, check_capture(capture, rules, chosen)))
    if pictures.wanted:
        from xenp2m.draw.svg import predictions_svg

        pictures.write(partial(predictions_svg, predictions))
    if as_json:
        import json

        from xenp2m.draw.json import prediction_to_json

        objects = [prediction_to_json(prediction) for prediction in predictions]
        click.echo(json.dumps(objects[0] if len(objects) == 1 else objects))
    else:
        from xenp2m.draw.console import stdout
        from xenp2m.draw.prediction import print_predictions

        print_predictions(predictions, stdout(), all_bars=all_bars, log=log)
    bad = any(
        prediction.guest.stopped
        or prediction.passthrough
        or any(verdict.verdict is not Verdict.MAPS for verdict in prediction.bars)
        for prediction in predictions
    )
    return 1 if bad else 0
