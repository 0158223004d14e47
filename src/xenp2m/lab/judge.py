"""A boot held against the prediction from its own texts."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path
from typing import Any

from xenp2m.capture import Capture, read_files, require_map
from xenp2m.check.bars import Verdict
from xenp2m.check.diff import Side, diff_maps
from xenp2m.errors import MissingFactError
from xenp2m.lab.result import TRUTH_FORMAT, Boot, Comparison, Judgement
from xenp2m.lab.shape import Shape
from xenp2m.mmu.mappers import Mapper
from xenp2m.prediction import Prediction, predict

_STAMP = re.compile(r"^\[ *\d+\.\d+\] ")


def judge(boot: Boot, folder: Path, kernel: str | None = None) -> tuple[Judgement, Capture]:
    """Predict from the texts in ``folder``, which are the boot's, and compare.

    ``kernel`` names the rules to predict with; None takes those of the kernel that booted.  Raises what
    reading and predicting raise.
    """
    capture = require_map(read_files([folder]))
    name = kernel or capture.machine.kernel_release
    if name is None:
        raise MissingFactError("the boot log does not name its kernel", expected="--predict-with NAME")
    prediction = predict(capture, name)
    model = Side("prediction", prediction.guest.p2m, predicted=True)
    live = None if boot.live is None else Side("dom0", boot.live)
    dump = None if boot.dump is None else Side("dump", boot.dump, boot.untold)
    comparisons = (
        _compare("prediction", model, "dump", dump),
        _compare("prediction", model, "dom0", live),
        _compare("dom0", live, "dump", dump),
    )
    judgement = Judgement(
        prediction.rules.name,
        comparisons,
        _bars(prediction, boot),
        _unlogged(prediction.guest.log.lines, boot.texts["dmesg.txt"]),
    )
    return judgement, capture


def _compare(name_a: str, a: Side | None, name_b: str, b: Side | None) -> Comparison:
    if a is None or b is None:
        return Comparison(name_a, name_b, None, f"no map from {name_b if b is None else name_a}")
    return Comparison(name_a, name_b, diff_maps(a, b))


def _bars(prediction: Prediction, boot: Boot) -> tuple[str, ...]:
    """Return where using a BAR went otherwise than the prediction says."""
    verdicts = {verdict.bar.start: verdict for verdict in prediction.bars}
    found = []
    for used in boot.bars:
        verdict = verdicts.get(used.start)
        if verdict is None:
            found.append(f"the BAR at {used.start:#x} is not in the prediction")
            continue
        for mapper, worked in ((Mapper.SYSFS, used.sysfs), (Mapper.DEV_MEM, used.dev_mem)):
            outcome = verdict.mappers[mapper]
            if (outcome is Verdict.MAPS) != worked:
                did = "worked" if worked else "failed"
                found.append(f"{verdict.bar.label} by {mapper.value}: predicted {outcome.label}, {did}")
    return tuple(found)


def _unlogged(lines: tuple[str, ...], dmesg: str) -> tuple[str, ...]:
    """Return the predicted lines that the kernel's log does not have in this order."""
    rest = iter([_STAMP.sub("", line).rstrip() for line in dmesg.splitlines()])
    return tuple(line for line in lines if line.rstrip() not in rest)


def truth(shape: Shape, boot: Boot, judgement: Judgement, capture: Capture, seconds: float) -> dict[str, Any]:
    """Return the ``xenp2m.truth/1`` object: what the kernel really had, to hold predictions against.

    ``runs`` are [pfn, count, kind, first machine frame or null]; machine frames in a run may jump.
    """
    measured, seen = boot.measured, capture.observed
    rows: list[list[Any]] = []
    for _, same in groupby(measured or (), key=lambda run: run.kind):
        runs = list(same)
        rows.append([runs[0].pfn, sum(run.pages for run in runs), runs[0].kind.label, runs[0].mfn])
    return {
        "format": TRUTH_FORMAT,
        "shape": shape.to_json(),
        "seconds_to_shell": round(seconds, 1),
        "end_pfn": None if measured is None else measured.end_pfn,
        "runs": rows,
        "kernel_release": capture.machine.kernel_release,
        "kernel": judgement.rules,
        "bars": [[used.bdf, "2", hex(used.start), hex(used.start + used.size - 1)] for used in boot.bars],
        "printed": {}
        if seen is None
        else {
            "released": seen.released,
            "remapped": seen.remapped,
            "set_1to1": seen.set_identity,
            "freed": [list(row) for row in seen.freed],
            "populated": [list(row) for row in seen.populated],
            "one_to_one": [list(row) for row in seen.identity_ranges],
        },
    }
