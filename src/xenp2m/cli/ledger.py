"""``xenp2m ledger``: where the memory went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from xenp2m.cli.options import captures_argument, kernel_option, what_if_options

if TYPE_CHECKING:
    from xenp2m.capture import Capture, MemoryFigures
    from xenp2m.prediction import Prediction, WhatIf


@click.command(name="ledger")
@captures_argument
@kernel_option
@what_if_options
@click.option("--json", "as_json", is_flag=True, help="Print xenp2m.ledger/1 (an array for several kernels).")
def command(
    captures: tuple[str, ...], kernels: tuple[str, ...], boot: int | None, as_json: bool, **options: Any
) -> int:
    """Where the memory went: every page of the host and of the guest, in one line each.

    The host's RAM, the domain's machine pages, what it may grow to, the guest's frames, and what the p2m
    itself costs, each in double entry. Figures that the captures hold of a running system (/proc/meminfo,
    the files below /sys/devices/system/xen_memory) are set beside the prediction for its own kernel.

    \b
      xenp2m ledger xen.txt dmesg.txt
      xenp2m ledger capture-folder/ --kernel 3.15 --kernel 6.1
      xenp2m ledger dmesg.txt --dom0-mem 4G,max:8G --json

    Exit status 1: the kernel loses pages or does not boot, or a recorded figure differs for no known reason.
    """
    from xenp2m.check.ledger import make_ledger
    from xenp2m.cli.options import kernel_names, read_machine, what_if
    from xenp2m.prediction import predict

    chosen = what_if(**options)
    capture = read_machine(captures, boot)
    predictions = [predict(capture, name, chosen) for name in kernel_names(kernels, capture)]
    ledgers = [
        make_ledger(prediction.guest, prediction.machine, _figures(capture, prediction, chosen))
        for prediction in predictions
    ]
    if as_json:
        import json

        from xenp2m.draw.ledger import ledger_to_json

        objects = [
            {**ledger_to_json(ledger), "assumptions": [str(text) for text in prediction.assumptions]}
            for ledger, prediction in zip(ledgers, predictions, strict=True)
        ]
        click.echo(json.dumps(objects[0] if len(objects) == 1 else objects))
    else:
        from pathlib import PurePath

        from xenp2m.draw.console import stdout
        from xenp2m.draw.ledger import print_ledgers
        from xenp2m.draw.prediction import remarks

        print_ledgers(PurePath(capture.machine.name).name, ledgers, remarks(predictions), stdout())
    return 0 if all(ledger.is_well for ledger in ledgers) else 1


def _figures(capture: Capture, prediction: Prediction, chosen: WhatIf) -> MemoryFigures | None:
    """Return the recorded figures where they are about this guest: its own kernel and memory size."""
    from dataclasses import replace

    from xenp2m.cli.options import is_modelled
    from xenp2m.rules import rules_for

    if (chosen.dom0_mem, chosen.bits, chosen.domu_memory, chosen.mem_limit) != (None,) * 4:
        return None
    own = capture.machine.kernel_release
    if own is not None and is_modelled(own):
        name = prediction.rules.name
        if replace(rules_for(own), name=name) != prediction.rules:
            return None
    return capture.memory
