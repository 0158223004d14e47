"""``xenp2m tree``: the p2m drawn as the tree that it is."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from xenp2m.cli.options import captures_argument, kernel_option, picture_options, what_if_options

if TYPE_CHECKING:
    from xenp2m.cli.pictures import Pictures


@click.command(name="tree")
@captures_argument
@kernel_option
@what_if_options
@picture_options
@click.option(
    "--json", "as_json", is_flag=True, help="Print a JSON array, an object a kernel (xenp2m.tree/1)."
)
def command(
    captures: tuple[str, ...],
    kernels: tuple[str, ...],
    boot: int | None,
    as_json: bool,
    pictures: Pictures,
    **options: Any,
) -> None:
    """The p2m of a machine drawn as the tree that it is.

    Top, mid and leaf pages with their slots, the shared pages by the kernel's own names, and how many pages
    it all takes. From 3.19 on the p2m is a list whose page tables are the tree.

    \b
      xenp2m tree dmesg.txt --kernel 3.16 --dom0-mem 1G,max:3G
      xenp2m tree dmesg.txt --kernel 3.15 --kernel series --kernel 6.1
      xenp2m tree dmesg.txt --kernel 3.16 --svg tree.svg
    """
    import json

    from xenp2m.cli.options import kernel_names, read_machine, what_if
    from xenp2m.draw.console import stdout
    from xenp2m.draw.json import outline_to_json
    from xenp2m.draw.tree import draw_tree
    from xenp2m.p2m.outline import tree_outline
    from xenp2m.p2m.replay import replay
    from xenp2m.prediction import predict

    chosen = what_if(**options)
    capture = read_machine(captures, boot)
    names = kernel_names(kernels, capture)
    if pictures.wanted and len(names) > 1:
        raise click.UsageError("--svg and --png draw the tree of one kernel: give one --kernel")
    predictions = [predict(capture, name, chosen) for name in names]
    if pictures.wanted:
        from xenp2m.draw.svg import prediction_tree_svg

        pictures.write(partial(prediction_tree_svg, predictions[0]))
    if as_json:
        outlines = [tree_outline(replay(prediction.guest)) for prediction in predictions]
        click.echo(json.dumps([outline_to_json(*pair) for pair in zip(names, outlines, strict=True)]))
        return
    console = stdout()
    for name, prediction in zip(names, predictions, strict=True):
        console.print(draw_tree(replay(prediction.guest), name, prediction.guest.p2m.beyond))
