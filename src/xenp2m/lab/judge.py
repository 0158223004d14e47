"""A boot held against the prediction from its own texts: dom0, and the domUs that it started."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from xenp2m.capture import Capture, Observed, read_files, require_map
from xenp2m.check.bars import Verdict
from xenp2m.check.diff import Side, diff_maps
from xenp2m.errors import MissingFactError
from xenp2m.lab.bars import BarUse
from xenp2m.lab.result import TRUTH_FORMAT, Boot, Comparison, DomuBoot, Judgement, Reading
from xenp2m.lab.shape import Domu, Shape
from xenp2m.mmu.mappers import Mapper
from xenp2m.prediction import Prediction, WhatIf, predict
from xenp2m.runs import RunMap
from xenp2m.units import KIB

_STAMP = re.compile(r"^\[ *\d+\.\d+\] ")
_REFUSED = "Could not claim resource"

_DOM0 = (
    (Reading.PREDICTION, Reading.DUMP),
    (Reading.PREDICTION, Reading.DOM0),
    (Reading.DOM0, Reading.DUMP),
)
_DOM0_LATER = ((Reading.LATER_DOM0, Reading.LATER_DUMP),)
_DOM0_LIVE = ((Reading.LIVE, Reading.DUMP),)
_DOMU = (
    (Reading.PREDICTION, Reading.CORE),
    (Reading.PREDICTION, Reading.DOMU),
    (Reading.DOMU, Reading.CORE),
    (Reading.CORE, Reading.LISTED),
    (Reading.CORE, Reading.MFNDUMP),
    (Reading.CORE, Reading.LATER_DUMP),
)
_DOMU_LIVE = ((Reading.LIVE, Reading.CORE),)
_PARTIAL = (Reading.LISTED, Reading.MFNDUMP)


def judge(boot: Boot, shape: Shape, folder: Path, kernel: str | None = None) -> tuple[Judgement, Capture]:
    """Predict dom0 from the texts in ``folder``, which are the boot's, and compare.

    ``kernel`` names the rules to predict with; None takes those of the kernel that booted.  Raises what
    reading and predicting raise.
    """
    capture = require_map(read_files([folder]))
    prediction = predict(capture, _rules(capture, kernel))
    maps = {**boot.maps, Reading.PREDICTION: _predicted(prediction)}
    needed = [*(_DOM0_LIVE if shape.live else ()), *(_DOM0_LATER if shape.domu else ())]
    comparisons = (*_compare(maps, _DOM0), *_compare(maps, needed, needed=True))
    return Judgement(
        prediction.rules.name,
        comparisons,
        used_as_predicted(prediction, boot.bars, boot.texts),
        _unlogged(prediction, boot.texts),
    ), capture


def judge_domu(
    domu: DomuBoot, shape: Shape, capture: Capture, bars: tuple[BarUse, ...], kernel: str | None = None
) -> Judgement:
    """Predict a domU from the capture of its host, and compare; ``bars`` are dom0's."""
    functions = [each.bdf for each in bars]
    prediction = predict_domu(capture, _rules(capture, kernel), domu.domu, functions)
    maps = {**domu.maps, Reading.PREDICTION: _predicted(prediction)}
    return Judgement(
        prediction.rules.name,
        _compare(maps, (*_DOMU, *(_DOMU_LIVE if shape.live else ())), needed=True),
        used_as_predicted(prediction, domu.bars, domu.texts),
        _unlogged(prediction, domu.texts),
    )


def predict_domu(capture: Capture, rules: str, domu: Domu, functions: Sequence[str]) -> Prediction:
    """Predict a domU from the capture of its host; ``functions`` are those of dom0 that have the BARs."""
    what_if = WhatIf(
        domu_memory=domu.memory,
        domu_maxmem=domu.maxmem,
        e820_host=domu.has_holes,
        pci=tuple(functions[number] for number in domu.pci),
    )
    return predict(capture, rules, what_if)


def used_as_predicted(
    prediction: Prediction, bars: tuple[BarUse, ...], texts: Mapping[str, str]
) -> tuple[str, ...]:
    """Return where using a BAR went otherwise than the prediction says, a sentence each.

    ``texts`` are the guest's: where pcifront was to refuse a BAR, its log must say so.
    """
    verdicts = {verdict.bar.start: verdict for verdict in prediction.bars}
    unclaimed = {conflict.bar.start for conflict in prediction.passthrough}
    found = []
    for used in bars:
        verdict = verdicts.get(used.start)
        if verdict is None:
            found.append(f"the BAR at {used.start:#x} is not in the prediction")
            continue
        if used.start in unclaimed:
            if used.usable or _REFUSED not in texts["dmesg.txt"]:
                found.append(f"{verdict.bar.label}: predicted that pcifront cannot claim it, but it did")
            continue
        for mapper, worked in ((Mapper.SYSFS, used.sysfs), (Mapper.DEV_MEM, used.dev_mem)):
            outcome = verdict.mappers[mapper]
            if (outcome is Verdict.MAPS) != worked:
                did = "worked" if worked else "failed"
                found.append(f"{verdict.bar.label} by {mapper.value}: predicted {outcome.label}, {did}")
    return tuple(found)


def _rules(capture: Capture, kernel: str | None) -> str:
    name = kernel or capture.machine.kernel_release
    if name is None:
        raise MissingFactError("the boot log does not name its kernel", expected="--predict-with NAME")
    return name


def _predicted(prediction: Prediction) -> Side:
    return Side(Reading.PREDICTION, prediction.guest.p2m, predicted=True)


def _compare(
    maps: Mapping[str, Side], pairs: Iterable[tuple[Reading, Reading]], *, needed: bool = False
) -> tuple[Comparison, ...]:
    found = []
    for a, b in pairs:
        absent = next((name for name in (b, a) if name not in maps), None)
        diff = None if absent is not None else diff_maps(maps[a], maps[b])
        reason = "" if absent is None else f"no map from {absent.value}"
        found.append(Comparison(a.value, b.value, diff, reason, partial=b in _PARTIAL, needed=needed))
    return tuple(found)


def _unlogged(prediction: Prediction, texts: Mapping[str, str]) -> tuple[str, ...]:
    """Return the predicted lines that the kernel's log does not have in this order."""
    rest = iter([_STAMP.sub("", line).rstrip() for line in texts["dmesg.txt"].splitlines()])
    return tuple(line for line in prediction.guest.log.lines if line.rstrip() not in rest)


def truth(
    shape: Shape, measured: RunMap | None, bars: tuple[BarUse, ...], rules: str, capture: Capture
) -> dict[str, Any]:
    """Return the ``xenp2m.truth/1`` object: what a kernel really had, to hold predictions against.

    ``capture`` is the guest's own.  ``runs`` are [pfn, count, kind, first machine frame or null]; machine
    frames in a run may jump.
    """
    rows: list[list[Any]] = []
    for _, same in groupby(measured or (), key=lambda run: run.kind):
        runs = list(same)
        rows.append([runs[0].pfn, sum(run.pages for run in runs), runs[0].kind.label, runs[0].mfn])
    return {
        "format": TRUTH_FORMAT,
        "shape": shape.to_json(),
        "end_pfn": None if measured is None else measured.end_pfn,
        "runs": rows,
        "kernel_release": capture.machine.kernel_release,
        "kernel": rules,
        "bars": [[used.bdf, "2", hex(used.start), hex(used.start + used.size - 1)] for used in bars],
        "printed": {} if capture.observed is None else _printed(capture.observed),
    }


def guest_truth(domu: Domu, bars: tuple[BarUse, ...]) -> dict[str, Any]:
    """Return the member ``guest`` of the truth of a domU; ``bars`` are dom0's."""
    return {
        "type": "domU",
        "memory_kib": domu.memory // KIB,
        "maxmem_kib": (domu.maxmem or domu.memory) // KIB,
        "e820_host": domu.has_holes,
        "pci": [bars[number].bdf for number in domu.pci],
    }


def _printed(seen: Observed) -> dict[str, Any]:
    return {
        "released": seen.released,
        "remapped": seen.remapped,
        "set_1to1": seen.set_identity,
        "freed": [list(row) for row in seen.freed],
        "populated": [list(row) for row in seen.populated],
        "one_to_one": [list(row) for row in seen.identity_ranges],
    }
