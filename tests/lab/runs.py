"""What ``lab run -o`` leaves, made of a recorded boot."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from cli.program import CAPTURES
from xenp2m.capture import read_files
from xenp2m.lab.result import Result
from xenp2m.lab.shape import Domu
from xenp2m.lab.shapefile import chosen_shapes
from xenp2m.prediction import WhatIf, predict
from xenp2m.units import MIB

NAME = "bar-512g"


def compared(a: str, b: str, equal: bool | None = True) -> dict[str, Any]:
    """Return two readings that were compared."""
    return {"a": a, "b": b, "equal": equal, "reason": "", "differing": 0, "first": []}


def write_run(output: Path, *, with_domu: bool = False, description: str = "A BAR at 512 GiB") -> None:
    """Write the run of a machine with a BAR at 512 GiB, and the one of a domU that was not recorded."""
    folder = output / NAME
    shutil.copytree(CAPTURES / NAME, folder)
    (shape,) = chosen_shapes((NAME,))
    domu = Domu(name="u", memory=160 * MIB)
    shape = replace(shape, description=description, domu=(domu,) if with_domu else ())
    truth = json.loads((folder / "truth.json").read_text())
    judged = {"name": "u", "domid": 1, "equal": True, "kernel": "6.1", "bars": [], "unlogged": []}
    judged |= {"comparisons": [compared("prediction", "xl dump-core")], "bars_not_as_predicted": []}
    value = Result(shape, seconds={"shell": 3.0, "total": 9.0}).to_json() | {
        "outcome": "equal",
        "booted": True,
        "kernel": truth["kernel"],
        "comparisons": [compared("prediction", "dump")],
        "bars": [{"bdf": "0000:00:02.0", "start": 0x80_0000_0000, "size": 64 * MIB, "usable": True}],
        "bars_usable": True,
        "domus": [judged] if with_domu else [],
    }
    (folder / "result.json").write_text(json.dumps(value))
    known = {"format": "xenp2m.map/1", "arch": "x86_64", "end_pfn": truth["end_pfn"], "beyond": "identity"}
    (folder / "map.json").write_text(json.dumps(known | {"runs": truth["runs"]}))
    if with_domu:
        prediction = predict(read_files([folder]), "6.1", WhatIf(domu_memory=domu.memory))
        own = output / f"{NAME}.u"
        own.mkdir()
        (own / "map.json").write_text(json.dumps(prediction.guest.p2m.to_json()))
