"""One page on all lab runs, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xenp2m.check.bars import Verdict
from xenp2m.draw.lab.rows import CHECKS, GuestRow, MachineRow, differences, guest_rows, machine_row, summary
from xenp2m.draw.overview import overview
from xenp2m.lab.results import Kept
from xenp2m.units import GIB, PAGE_SHIFT

_PAGE_WIDTH = 96
_DRAWN_FROM = 256 * GIB
_MACHINES = (
    *("shape", "machine", "RAM", "dom0_mem", "boots", "prediction equal", "BARs usable"),
    *("shell", "all"),
)
_GUESTS = ("shape", "guest", "memory", "holes", "BARs passed through", *CHECKS)


def report(runs: Sequence[Kept]) -> str:
    """Return the page: a row a shape and a guest, and the map of each machine with BARs far up."""
    parts = ["# Lab report", "", summary(runs), ""]
    parts += _table(_MACHINES, (_machine_cells(machine_row(run)) for run in runs))
    parts += ["", "Times are in seconds: to dom0's shell, and to the end of collecting and comparing."]
    guests = [_guest_cells(row) for run in runs for row in guest_rows(run)]
    if guests:
        parts += ["", "## domUs, and xenp2m inside guests", "", *_table(_GUESTS, guests)]
    differing = [f"- {run.name}: {line}" for run in runs for line in differences(run.value)]
    if differing:
        parts += ["", "## What was not as predicted", "", *differing]
    for run in runs:
        if any(bar["start"] >= _DRAWN_FROM for bar in run.value["bars"]):
            parts += _drawn(run)
    return "\n".join(parts) + "\n"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        "| " + " | ".join(heads) + " |",
        "|---" * len(heads) + "|",
        *("| " + " | ".join(cells) + " |" for cells in rows),
    ]


def _machine_cells(row: MachineRow) -> tuple[str, ...]:
    return (
        *(row.name, row.machine, row.memory, row.dom0_mem, _yes(row.boots), _yes(row.equal)),
        f"{_yes(row.usable)} ({row.bars})" if row.bars else "none",
        "" if row.shell is None else f"{row.shell:.1f}",
        f"{row.total:.1f}",
    )


def _guest_cells(row: GuestRow) -> tuple[str, ...]:
    good = "as predicted" if row.bars_as_predicted else "**not as predicted**"
    bars = f"{row.bars}, {good}" if row.bars else "none"
    checks = ["" if check is None else _yes(check) for check in row.checks]
    return row.shape, row.guest, row.memory, row.holes, bars, *checks


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


def _yes(value: bool) -> str:
    return "yes" if value else "**no**"
