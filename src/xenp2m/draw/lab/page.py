"""One page on all lab runs, as HTML: tables, and the map of every guest, predicted and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xenp2m.check.bars import Verdict
from xenp2m.draw.lab.rows import CHECKS, differences, guest_rows, machine_row, summary
from xenp2m.draw.page import render
from xenp2m.draw.svg import BarMark, MapRow, map_svg
from xenp2m.lab.results import Kept
from xenp2m.prediction import Prediction
from xenp2m.runs import RunMap
from xenp2m.units import PAGE_SHIFT


@dataclass(frozen=True, slots=True)
class _Drawn:
    """One machine: what it shows, where its p2m ends, and its map."""

    name: str
    description: str
    end: str
    svg: str


def report_page(runs: Sequence[Kept]) -> str:
    """Return the page.  Raises UsageError without the extra "html"."""
    return render(
        "lab.html",
        package="xenp2m.draw.lab",
        styles=["lab.css"],
        summary=summary(runs),
        machines=[machine_row(run) for run in runs],
        guests=[row for run in runs for row in guest_rows(run)],
        checks=CHECKS,
        differing=[(run.name, lines) for run in runs if (lines := differences(run.value))],
        drawn=[_drawn(run, f"map-{number}") for number, run in enumerate(runs) if run.prediction is not None],
    )


def _drawn(run: Kept, prefix: str) -> _Drawn:
    prediction = run.prediction
    assert prediction is not None
    rows = _rows("dom0", prediction, run.measured, run.value["bars"])
    for domu in run.domus:
        used = next(each["bars"] for each in run.value["domus"] if each["name"] == domu.name)
        rows += _rows(domu.name, domu.prediction, domu.measured, used)
    host = prediction.guest.config.e820 or ()
    svg = map_svg(rows, title=run.name, host=host, linked=False, standalone=False, prefix=prefix)
    end = f"{prediction.guest.p2m.end_pfn << PAGE_SHIFT:#x}"
    return _Drawn(run.name, run.value["shape"]["description"], end, svg)


def _rows(
    name: str, prediction: Prediction, measured: RunMap | None, bars: Sequence[dict[str, Any]]
) -> list[MapRow]:
    """Return the two maps of a guest, with the BARs that it used."""
    judged = {verdict.bar.start: verdict.verdict is Verdict.MAPS for verdict in prediction.bars}
    judged |= {conflict.bar.start: False for conflict in prediction.passthrough}
    marks = [BarMark(bar["start"], bar["bdf"], judged.get(bar["start"], False)) for bar in bars]
    rows = [MapRow(f"{name}, predicted", prediction.guest.p2m, (), marks)]
    if measured is not None:
        used = [BarMark(bar["start"], bar["bdf"], bool(bar["usable"])) for bar in bars]
        rows.append(MapRow(f"{name}, measured", measured, (), used))
    return rows
