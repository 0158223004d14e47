"""The page of predictions: one machine under one kernel or several, with what was found wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from xenp2m.capture import Severity
from xenp2m.check.bars import BarVerdict, Verdict
from xenp2m.check.findings import Finding
from xenp2m.draw.page.layers import predicted_layer
from xenp2m.draw.page.model import Answer, Reason, Report, Tree
from xenp2m.draw.page.render import render_report
from xenp2m.draw.page.rows import At, bar_rows, finding_groups, logs, region_rows
from xenp2m.draw.prediction import machine_facts, remarks
from xenp2m.draw.svg import tree_svg
from xenp2m.draw.tree import pages_line
from xenp2m.p2m.replay import replay
from xenp2m.prediction import Prediction


def predictions_page(predictions: Sequence[Prediction], findings: Sequence[Finding] | None = None) -> str:
    """Return the page of one machine under each of the kernels of ``predictions``.

    ``findings`` are listed as they are given; None leaves the part out.
    """
    first = predictions[0]
    layers = [predicted_layer(prediction) for prediction in predictions]
    regions, left_out = region_rows(predictions)
    return render_report(
        Report(
            title=PurePath(first.machine.name).name or "machine",
            facts=machine_facts(first),
            answers=[answer(prediction) for prediction in predictions],
            layers=layers,
            host=first.guest.config.e820 or (),
            predictions=predictions,
            predicted_as=[layer.name for layer in layers],
            findings=None if findings is None else finding_groups(findings),
            bars=bar_rows(predictions),
            regions=regions,
            regions_left_out=left_out,
            logs=logs(predictions),
            trees=[tree(prediction, index) for index, prediction in enumerate(predictions)],
            remarks=[*remarks(predictions), *_info(first)],
        )
    )


def answer(prediction: Prediction) -> Answer:
    """Return what a kernel makes of the machine's BARs, in a line and its reasons."""
    guest, bars = prediction.guest, prediction.bars
    bad = [verdict for verdict in bars if verdict.verdict is not Verdict.MAPS]
    groups: dict[tuple[Verdict, str, str], list[BarVerdict]] = {}
    for verdict in bad:
        groups.setdefault((verdict.verdict, verdict.rule, verdict.source), []).append(verdict)
    reasons = [
        Reason(f"{outcome.label}: {rule}", source, len(group), _place(group[0]))
        for (outcome, rule, source), group in groups.items()
    ]
    reasons += [Reason(conflict.text) for conflict in prediction.passthrough]
    hazards = {verdict.hazard: verdict for verdict in reversed(bars) if verdict.hazard}
    reasons += [Reason(text, at=_place(verdict)) for text, verdict in hazards.items() if text]
    reasons += [Reason(f"warns: {warning}") for warning in guest.warnings]
    if guest.stopped:
        return Answer(prediction.rules.name, "bad", f"does not boot: {guest.stopped}", tuple(reasons))
    if bad:
        headline = f"{len(bad)} of {len(bars)} BARs do not map with every driver"
        return Answer(prediction.rules.name, "bad", headline, tuple(reasons))
    if not bars:
        return Answer(prediction.rules.name, "plain", "no memory BARs in the input", tuple(reasons))
    state = "bad" if prediction.passthrough else "warn" if hazards else "good"
    headline = f"all {len(bars)} BARs map, whichever way a driver maps them"
    return Answer(prediction.rules.name, state, headline, tuple(reasons))


def _place(verdict: BarVerdict) -> At:
    first = verdict.bar.pfn_start if verdict.first_bad is None else verdict.first_bad
    return At(first, max(verdict.bar.pfn_end - first, 1))


def tree(prediction: Prediction, index: int) -> Tree:
    """Draw the p2m of a prediction; ``index`` keeps the pictures of a page apart."""
    p2m = replay(prediction.guest)
    svg = tree_svg(
        p2m,
        prediction.rules.name,
        prediction.guest.p2m.beyond,
        machine=PurePath(prediction.machine.name).name,
        standalone=False,
        prefix=f"tree{index}",
    )
    return Tree(prediction.rules.name, svg, pages_line(p2m))


def _info(prediction: Prediction) -> list[str]:
    return [f"note: {note}" for note in prediction.notes if note.severity is Severity.INFO]
