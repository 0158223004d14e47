"""``xenp2m view``: a full-screen viewer of frame maps."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from xenp2m.cli.dumps import dump_options
from xenp2m.cli.options import captures_argument, kernel_option, what_if_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xenp2m.capture import Capture
    from xenp2m.machine import E820Entry
    from xenp2m.prediction import Prediction, WhatIf
    from xenp2m.view.scene import Layer, Scene


@click.command(name="view")
@captures_argument
@kernel_option
@what_if_options
@dump_options
@click.option(
    "--machine",
    "beside",
    multiple=True,
    type=click.Path(),
    metavar="CAPTURE",
    help="Captures of a dump's machine: their prediction is shown beside it.",
)
def command(
    captures: tuple[str, ...],
    kernels: tuple[str, ...],
    boot: int | None,
    symbol_files: tuple[str, ...],
    domid: int | None,
    raw: bool,
    beside: tuple[str, ...],
    **options: Any,
) -> None:
    """A full-screen viewer: from the whole map to one frame, with search, BARs, findings and differences.

    CAPTURES are those of a machine, predicted for each --kernel, or a dump (the parts of a split one), of
    which every domain is a layer. The key ? lists the keys, q quits.

    \b
      xenp2m view dmesg.txt --kernel 3.15 --kernel series
      xenp2m view host.elf
      xenp2m view host.elf --machine dmesg.txt --kernel 6.1
    """
    from xenp2m.errors import UsageError

    try:
        from xenp2m.view.app import ViewerApp
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "textual":
            raise
        raise UsageError("view needs the extra view: pip install 'xenp2m[view]'") from None
    if not (sys.stdout.isatty() and sys.stderr.isatty()):
        raise UsageError("view fills a terminal, and the output is none: xenp2m predict or inspect print")
    from xenp2m.cli.options import what_if
    from xenp2m.draw.console import locale_is_plain
    from xenp2m.dump import is_dump

    chosen = what_if(**options)
    if raw or is_dump(captures[0]):
        scene = _of_dump(captures, symbol_files, domid, raw, beside, kernels, boot, chosen)
    elif beside:
        raise UsageError("--machine goes with a dump: give all captures as arguments")
    else:
        scene = _of_captures(captures, kernels, boot, chosen)
    _take_terminal()
    unicode = (sys.stderr.encoding or "").lower().startswith("utf") and not locale_is_plain()
    ViewerApp(scene, unicode=unicode).run()


def _of_captures(captures: Sequence[str], kernels: Sequence[str], boot: int | None, chosen: WhatIf) -> Scene:
    from xenp2m.cli.options import read_machine
    from xenp2m.view.scene import Scene

    capture = read_machine(captures, boot)
    predictions, layers = _predicted(capture, kernels, chosen)
    name = os.path.basename(predictions[0].machine.name) or "machine"  # noqa: PTH119
    return Scene(name, tuple(layers), predictions[0].guest.config.e820 or ())


def _predicted(
    capture: Capture, kernels: Sequence[str], chosen: WhatIf
) -> tuple[list[Prediction], list[Layer]]:
    from xenp2m.cli.options import kernel_names
    from xenp2m.prediction import predict
    from xenp2m.view.predicted import predicted_layer

    predictions = [predict(capture, name, chosen) for name in kernel_names(kernels, capture)]
    return predictions, [predicted_layer(prediction, capture, chosen) for prediction in predictions]


def _of_dump(
    dumps: tuple[str, ...],
    symbol_files: tuple[str, ...],
    domid: int | None,
    raw: bool,
    beside: tuple[str, ...],
    kernels: tuple[str, ...],
    boot: int | None,
    chosen: WhatIf,
) -> Scene:
    from dataclasses import replace

    from xenp2m.check.inspected import choose_domain, map_of
    from xenp2m.cli.dumps import read_dump
    from xenp2m.cli.options import read_machine
    from xenp2m.entry import Kind
    from xenp2m.rules import KERNELS, rules_for
    from xenp2m.view.inspected import inspected_layer
    from xenp2m.view.scene import Scene

    found = read_dump(dumps, symbol_files, raw=raw)
    domains = found.domains if domid is None else (choose_domain(found, domid),)
    shown = [domain for domain in domains if domain.p2m is not None]
    if not shown:
        map_of(found, choose_domain(found, domid))
    layers = []
    for domain in shown:
        newest = map_of(found, domain).beyond is Kind.IDENTITY
        rules = rules_for(kernels[0]) if kernels else KERNELS[-1] if newest else rules_for("3.15")
        layers.append(inspected_layer(found, domain, rules))
    host: Sequence[E820Entry] = ()
    if beside:
        predictions, predicted = _predicted(read_machine(beside, boot), kernels, chosen)
        layers = [*(replace(layer, bars=predicted[0].bars) for layer in layers[:1]), *layers[1:], *predicted]
        host = predictions[0].guest.config.e820 or ()
    return Scene(found.name, tuple(layers), host, slow=True)


def _take_terminal() -> None:
    """Read keys from the terminal where standard input was a text."""
    if not sys.stdin.isatty():
        terminal = os.open("/dev/tty", os.O_RDWR)
        os.dup2(terminal, 0)
        os.close(terminal)
