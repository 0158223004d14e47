"""``xenp2m tree``: the p2m drawn as the tree that it is."""

from __future__ import annotations

from typing import Any

import click

from xenp2m.cli.options import captures_argument, kernel_option, what_if_options


@click.command(name="tree")
@captures_argument
@kernel_option
@what_if_options
def command(captures: tuple[str, ...], kernels: tuple[str, ...], boot: int | None, **options: Any) -> None:
    """The p2m of a machine drawn as the tree that it is.

    Top, mid and leaf pages with their slots, the shared pages by the kernel's own names, and how many pages
    it all takes. From 3.19 on the p2m is a list whose page tables are the tree.

    \b
      xenp2m tree dmesg.txt --kernel 3.16 --dom0-mem 1G,max:3G
      xenp2m tree dmesg.txt --kernel 3.15 --kernel series --kernel 6.1
    """
    from xenp2m.cli.options import kernel_names, read_machine, what_if
    from xenp2m.draw.console import stdout
    from xenp2m.draw.tree import draw_tree
    from xenp2m.p2m.replay import replay
    from xenp2m.predict import predict

    chosen = what_if(**options)
    capture = read_machine(captures, boot)
    console = stdout()
    for name in kernel_names(kernels, capture):
        prediction = predict(capture, name, chosen)
        console.print(draw_tree(replay(prediction.guest), name, prediction.guest.p2m.beyond))
