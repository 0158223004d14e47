"""Layers of predictions: one a kernel."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from xenp2m.capture import Capture
from xenp2m.check.bars import BarVerdict, Verdict, class_outcome, frame_class
from xenp2m.check.explain import explain_frame, map_guest_frame
from xenp2m.check.findings import Finding, check_capture
from xenp2m.check.places import spot_at
from xenp2m.draw.findings import STYLES
from xenp2m.draw.palette import DIM
from xenp2m.prediction import Prediction, WhatIf
from xenp2m.units import PAGE_SHIFT, format_size, pfn_down, pfn_up
from xenp2m.view.pte import rows_of_mappings
from xenp2m.view.scene import Layer, Mark, Place, Row


def predicted_layer(prediction: Prediction, capture: Capture, what_if: WhatIf) -> Layer:
    """Return what one kernel makes of the machine, as a layer."""
    guest = prediction.guest

    def brief(frame: int) -> Sequence[str]:
        found, _ = frame_class(guest, frame)
        return spot_at(guest, frame).text, class_outcome(guest, found).rule

    def explain(frame: int) -> Sequence[Row]:
        steps = [
            Row(Text.assemble(f"{number}. {step.text}", (f"  [{step.source}]" * bool(step.source), DIM)))
            for number, step in enumerate(explain_frame(guest, frame), 1)
        ]
        mappings = [mapping for mapping, _ in map_guest_frame(guest, frame)]
        apart = rows_of_mappings(mappings, guest.rules, guest.config.arch)
        return (*steps, Row(Text("entries taken apart", style="bold")), *apart)

    def findings() -> Sequence[Row]:
        found = check_capture(capture, (prediction.rules,), what_if)
        return tuple(_finding(each) for each in sorted(found, key=_weight))

    return Layer(
        name=prediction.rules.name,
        map=guest.p2m,
        brief=brief,
        explain=explain,
        findings=findings,
        log=guest.log.lines,
        log_title=f"{prediction.rules.name} will log",
        bars=tuple(_mark(verdict) for verdict in prediction.bars),
        predicted=True,
    )


def _mark(verdict: BarVerdict) -> Mark:
    bar = verdict.bar
    text = f"{format_size(bar.size)} at {bar.start:#x}: {verdict.verdict.label}"
    maps = verdict.verdict is Verdict.MAPS
    if not maps:
        text += f": {verdict.rule}"
    place = Place(bar.pfn_start, max(bar.pfn_end, bar.pfn_start + 1))
    return Mark(bar.label, place, maps, text)


def _weight(finding: Finding) -> tuple[int, str]:
    return list(STYLES).index(finding.severity), finding.code


def _finding(finding: Finding) -> Row:
    text = Text.assemble(
        (f"{finding.code} {finding.severity.value}", STYLES[finding.severity]),
        (f"  {finding.title}", "bold"),
        f"  {finding.where}: {finding.message}",
        (f"  remedy: {finding.remedy}", DIM),
    )
    if finding.start is None:
        return Row(text, None, finding.code)
    first = pfn_down(finding.start)
    last = max(pfn_up(finding.end or finding.start), first + 1)
    assert first << PAGE_SHIFT <= finding.start
    return Row(text, Place(first, last), finding.code)
