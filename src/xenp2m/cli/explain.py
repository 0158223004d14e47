"""``xenp2m explain``: the steps by which one frame or BAR gets its answer."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click

from xenp2m.cli.options import kernel_option, what_if_options

if TYPE_CHECKING:
    from xenp2m.machine import Bar
    from xenp2m.prediction import Prediction


@click.command(name="explain")
@click.argument("captures", nargs=-1, metavar="CAPTURES...", type=click.Path(allow_dash=True))
@click.argument("target", metavar="ADDRESS|BDF[/N]")
@kernel_option
@what_if_options
@click.option("--json", "as_json", is_flag=True, help="Print the steps as JSON, by kernel.")
def command(
    captures: tuple[str, ...],
    target: str,
    kernels: tuple[str, ...],
    boot: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """The steps by which one frame or BAR gets its answer.

    The last argument is a machine address in bytes (0x21fff000000, 4G), a frame (pfn:0x21fff000), a PCI
    function (82:00.0: all its BARs) or one BAR (82:00.0/2).

    \b
      xenp2m explain dmesg.txt 0x21fff000000 --kernel 3.15 --kernel series
      xenp2m explain dmesg.txt 82:00.0/0 --kernel 3.15
    """
    from xenp2m.check.explain import explain_bar, explain_frame
    from xenp2m.cli.options import kernel_names, read_machine, what_if
    from xenp2m.prediction import predict

    if not captures:
        raise click.UsageError(f"captures first, and last what to explain: xenp2m explain {target} 82:00.0/0")
    chosen = what_if(**options)
    capture = read_machine(captures, boot)
    predictions = [predict(capture, name, chosen) for name in kernel_names(kernels, capture)]
    bars = _bars(target, predictions[0])
    frame = None if bars else _frame(target)
    answers = {
        prediction.rules.name: tuple(
            step
            for steps in (
                [explain_bar(prediction.guest, bar) for bar in bars]
                if frame is None
                else [explain_frame(prediction.guest, frame)]
            )
            for step in steps
        )
        for prediction in predictions
    }
    if as_json:
        import json

        click.echo(json.dumps({name: [step._asdict() for step in steps] for name, steps in answers.items()}))
        return
    from xenp2m.draw.console import stdout
    from xenp2m.draw.steps import print_steps

    print_steps(answers, stdout())


def _bars(target: str, prediction: Prediction) -> tuple[Bar, ...]:
    """Return the BARs that a PCI address names; none where ``target`` is no PCI address."""
    from xenp2m.errors import MissingFactError, UsageError
    from xenp2m.machine import parse_bdf

    name, _, index = target.partition("/")
    try:
        bdf = parse_bdf(name)
    except UsageError:
        return ()
    if index not in ("", "?") and not (index.isdecimal() and len(index) <= 2):
        raise UsageError("not a BAR", expected="BDF/N with a register number, as in 3b:00.0/2", found=target)
    own = [bar for bar in prediction.machine.bars if bar.bdf == bdf]
    number = int(index) if index.isdecimal() else None
    found = tuple(bar for bar in own if not index or bar.index == number)
    if not found:
        others = sorted({bar.bdf for bar in prediction.machine.bars})
        near = get_close_matches(bdf, others, cutoff=0.8) or [f"{len(others)} other functions"]
        known = ", ".join([bar.label for bar in own] or near)
        raise MissingFactError("no such BAR in the captures", expected=target, found=known)
    return found


def _frame(target: str) -> int:
    from xenp2m.errors import UsageError
    from xenp2m.units import parse_address, parse_frame, pfn_down

    try:
        if target.startswith("pfn:"):
            return parse_frame(target.removeprefix("pfn:"))
        return pfn_down(parse_address(target))
    except UsageError:
        raise UsageError(
            "neither an address nor a PCI function",
            expected="0x21fff000000, 4G, pfn:0x21fff000, 82:00.0 or 82:00.0/2",
            found=repr(target),
        ) from None
