"""Lab runs: a line each on the terminal, and all of them on one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from xenp2m.check.bars import Verdict
from xenp2m.draw.console import supports_unicode
from xenp2m.draw.overview import overview
from xenp2m.draw.palette import BAD, DIM, GOOD
from xenp2m.lab.result import Outcome, Result
from xenp2m.lab.results import Kept
from xenp2m.lab.shape import Shape
from xenp2m.units import GIB, PAGE_SHIFT, format_size

_PAGE_WIDTH = 96
_DRAWN_FROM = 256 * GIB


def shapes_table(shapes: Sequence[Shape]) -> Table:
    """Return the table of the shapes that can be booted."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("shape", "machine", "RAM", "dom0_mem", "what it shows"):
        table.add_column(name, no_wrap=name != "what it shows")
    for shape in shapes:
        table.add_row(
            shape.name, _machine(shape), format_size(shape.memory), _dom0_mem(shape), shape.description
        )
    return table


def print_result(result: Result, console: Console) -> None:
    """Print what came of one shape: a line, and below it what was not as predicted."""
    unicode = supports_unicode(console)
    good = result.outcome is Outcome.EQUAL
    mark = ("✓ " if good else "✗ ") if unicode else ""
    text = Text(f"{mark}{result.shape.name}", style=GOOD if good else BAD)
    for phrase in _phrases(result):
        text.append(" · ", style=DIM)
        text.append(phrase, style="not bold")
    console.print(text, soft_wrap=True)
    told = _differences(result.to_json()) if result.boot is not None else []
    for line in (*told, *result.tail):
        console.print(Text(f"    {line}", style=DIM), soft_wrap=True)


def report(runs: Sequence[Kept]) -> str:
    """Return one page of Markdown: a row a shape, and the map of each machine with BARs far up."""
    booted = sum(bool(run.value["booted"]) for run in runs)
    equal = sum(run.value["outcome"] == Outcome.EQUAL.value for run in runs)
    parts = [
        "# Lab report",
        "",
        f"{len(runs)} machines, {booted} booted; on {equal} everything was as predicted.",
        "",
        "| shape | machine | RAM | dom0_mem | boots | prediction equal | BARs usable | shell | all |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    parts += [_row(run.value) for run in runs]
    parts += ["", "Times are in seconds: to dom0's shell, and to the end of collecting and comparing."]
    differing = [f"- {run.name}: {line}" for run in runs for line in _differences(run.value)]
    if differing:
        parts += ["", "## What was not as predicted", "", *differing]
    for run in runs:
        if any(bar["start"] >= _DRAWN_FROM for bar in run.value["bars"]):
            parts += _drawn(run)
    return "\n".join(parts) + "\n"


def _phrases(result: Result) -> list[str]:
    seconds = result.seconds
    if result.boot is None or result.judgement is None:
        return [f"failed after {seconds.get('total', 0):.0f} s", result.error]
    used = result.boot.bars
    usable = sum(each.usable for each in used)
    return [
        f"shell after {seconds['shell']:.1f} s",
        f"p2m as {result.judgement.rules} predicts" if result.judgement.equal else "p2m not as predicted",
        f"{usable} of {len(result.shape.bars)} BARs usable" if result.shape.bars else "no BARs",
        f"{seconds['total']:.1f} s",
    ]


def _row(value: Mapping[str, Any]) -> str:
    shape, seconds = value["shape"], value["seconds"]
    known = Shape(**{**shape, "bars": tuple(shape["bars"]), "spacers": tuple(shape["spacers"])})
    places = ", ".join(f"{bar['start']:#x}" for bar in value["bars"])
    cells = (
        known.name,
        _machine(known),
        format_size(known.memory),
        _dom0_mem(known),
        _yes(value["booted"]),
        _yes(_predicted(value)),
        f"{_yes(value['bars_usable'])} ({places})" if places else "none",
        f"{seconds['shell']:.1f}" if "shell" in seconds else "",
        f"{seconds['total']:.1f}",
    )
    return "| " + " | ".join(cells) + " |"


def _predicted(value: Mapping[str, Any]) -> bool:
    compared = [each["equal"] for each in value["comparisons"] if each["equal"] is not None]
    return bool(compared) and all(compared) and not value["bars_not_as_predicted"] and not value["unlogged"]


def _differences(value: Mapping[str, Any]) -> list[str]:
    """Return what was not as predicted, or could not be read, a line each."""
    lines = [value["error"]] if value["error"] else []
    for each in value["comparisons"]:
        if each["equal"] is None:
            lines.append(f"{each['a']} and {each['b']}: {each['reason']}")
        elif not each["equal"]:
            lines.append(f"{each['a']} and {each['b']} differ in {each['differing']} places:")
            lines += [f"  frames {start:#x} to {end:#x}: {a} and {b}" for start, end, a, b in each["first"]]
    lines += value["bars_not_as_predicted"]
    lines += [f"the BAR at {bar['start']:#x} cannot be used" for bar in value["bars"] if not bar["usable"]]
    lines += [f"not logged: {line}" for line in value["unlogged"]]
    return lines + list(value["notes"])


def _drawn(run: Kept) -> list[str]:
    """Return the maps of one machine, predicted and measured, with the BARs that were used."""
    prediction = run.prediction
    if prediction is None:
        return []
    maps = {"predicted": prediction.guest.p2m}
    judged = {verdict.bar.start: verdict.verdict is Verdict.MAPS for verdict in prediction.bars}
    used = [(bar["start"], bool(bar["usable"])) for bar in run.value["bars"]]
    bars = {"predicted": [(start, judged.get(start, False)) for start, _ in used]}
    if run.measured is not None:
        maps["measured"] = run.measured
        bars["measured"] = used
    lines = overview(maps, prediction.guest.config.e820 or (), bars, width=_PAGE_WIDTH, unicode=True)
    end = prediction.guest.p2m.end_pfn << PAGE_SHIFT
    places = ", ".join(f"{start:#x}" for start, _ in used)
    return [
        "",
        f"## {run.name}",
        "",
        f"{run.value['shape']['description']}. The p2m ends at {end:#x}; BARs used at {places}.",
        "",
        "```",
        *(line.plain.rstrip() for line in lines),
        "```",
        "",
        "█ RAM, ▒ 1:1, · missing, ✓ a BAR that maps (predicted) or was used (measured)",
    ]


def _machine(shape: Shape) -> str:
    return " ".join(filter(None, (shape.machine, shape.cpu, "UEFI" if shape.firmware == "ovmf" else "")))


def _dom0_mem(shape: Shape) -> str:
    return shape.dom0_mem or "all"


def _yes(value: bool) -> str:
    return "yes" if value else "**no**"
