"""What is drawn as maps: predictions of one machine, the domains of a dump, two maps compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from xenp2m.check.bars import Verdict
from xenp2m.check.diff import Diff, Status
from xenp2m.draw.maps import Named
from xenp2m.draw.prediction import machine_facts
from xenp2m.draw.svg.map import MapRow, map_svg
from xenp2m.draw.svg.marks import BarMark
from xenp2m.draw.svg.tree import tree_svg
from xenp2m.p2m.replay import replay
from xenp2m.prediction import Prediction


def predictions_svg(predictions: Sequence[Prediction], **options: Any) -> str:
    """Draw what one machine is under one or more kernels; ``options`` are those of ``map_svg``."""
    first = predictions[0]
    return map_svg(
        [_row(prediction) for prediction in predictions],
        title=PurePath(first.machine.name).name or "machine",
        subtitle=" · ".join(machine_facts(first)),
        host=first.guest.config.e820 or (),
        **options,
    )


def prediction_tree_svg(prediction: Prediction, **options: Any) -> str:
    """Draw the p2m of a prediction; ``options`` are those of ``tree_svg``."""
    guest = prediction.guest
    name = PurePath(prediction.machine.name).name
    return tree_svg(replay(guest), prediction.rules.name, guest.p2m.beyond, machine=name, **options)


def maps_svg(
    maps: Sequence[Named], title: str, subtitle: str, *, linked: bool = False, **options: Any
) -> str:
    """Draw maps that were read, such as those of the domains of a dump."""
    rows = [MapRow(each.name, each.map, each.ambiguous) for each in maps]
    return map_svg(rows, title=title, subtitle=subtitle, linked=linked, **options)


def diff_svg(diff: Diff, **options: Any) -> str:
    """Draw two maps that were compared."""
    differing, untold = diff.amount(Status.DIFFERS), diff.amount(Status.UNKNOWN)
    answer = f"different: {differing}" if differing else "the same"
    if untold:
        unknown = f"{untold} are not known on both sides"
        answer = f"{answer}; {unknown}" if differing else f"cannot tell: {unknown}"
    maps = [Named(side.name, side.map, side.ambiguous) for side in (diff.a, diff.b)]
    return maps_svg(maps, f"{diff.a.name} and {diff.b.name}", answer, linked=True, **options)


def _row(prediction: Prediction) -> MapRow:
    guest, bars = prediction.guest, prediction.bars
    bad = sum(verdict.verdict is not Verdict.MAPS for verdict in bars)
    remark, good = "", None
    if guest.stopped:
        remark, good = f"does not boot: {guest.stopped}", False
    elif bad:
        remark, good = f"{bad} of {len(bars)} BARs do not map with every driver", False
    elif bars:
        remark, good = f"all {len(bars)} BARs map, whichever way a driver maps them", True
    marks = [
        BarMark(verdict.bar.start, verdict.bar.label, verdict.verdict is Verdict.MAPS) for verdict in bars
    ]
    return MapRow(prediction.rules.name, guest.p2m, (), marks, remark, good)
