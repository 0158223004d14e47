"""Reading back what lab runs left in a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xenp2m.capture import read_files
from xenp2m.errors import FormatError, MissingFactError
from xenp2m.lab.judge import predict_domu
from xenp2m.lab.keep import MAP_FILE, RESULT_FILE
from xenp2m.lab.result import RESULT_FORMAT
from xenp2m.lab.shape import Shape
from xenp2m.mapfile import read_map
from xenp2m.prediction import Prediction, predict
from xenp2m.runs import RunMap


@dataclass(frozen=True, slots=True)
class KeptDomu:
    """A domU of a run: its name, the prediction from the capture of the host, and its kernel's own map."""

    name: str
    prediction: Prediction
    measured: RunMap | None


@dataclass(frozen=True, slots=True)
class Kept:
    """One run: its ``xenp2m.lab/1`` object, the prediction from its capture, and the kernel's own map.

    The last two are None where the machine did not boot.
    """

    value: dict[str, Any]
    prediction: Prediction | None
    measured: RunMap | None
    domus: tuple[KeptDomu, ...] = ()

    @property
    def name(self) -> str:
        """The shape's name."""
        return str(self.value["shape"]["name"])


def read_results(folder: Path) -> tuple[Kept, ...]:
    """Read every run below ``folder``, by name.

    Raises MissingFactError where there is none, FormatError for a damaged one.
    """
    found = tuple(_read(file.parent) for file in sorted(folder.glob(f"*/{RESULT_FILE}")))
    if not found:
        raise MissingFactError(
            "no runs of the lab", where=str(folder), expected="a folder that lab run -o wrote"
        )
    return found


def _read(folder: Path) -> Kept:
    file = folder / RESULT_FILE
    try:
        value = json.loads(file.read_text())
    except ValueError as error:
        raise FormatError("damaged JSON", where=str(file), found=str(error)) from error
    if not isinstance(value, dict) or value.get("format") != RESULT_FORMAT:
        raise FormatError("not the result of a lab run", where=str(file), expected=RESULT_FORMAT)
    if not value.get("booted"):
        return Kept(value, None, None)
    kernel = value.get("kernel")
    if not isinstance(kernel, str):
        raise FormatError("the result names no kernel", where=str(file))
    capture = read_files([folder])
    functions = [bar["bdf"] for bar in value["bars"]]
    domus = tuple(
        KeptDomu(
            domu.name,
            predict_domu(capture, kernel, domu, functions),
            _measured(folder.with_name(f"{folder.name}.{domu.name}")),
        )
        for domu in Shape.from_json(value["shape"]).domu
    )
    return Kept(value, predict(capture, kernel), _measured(folder), domus)


def _measured(folder: Path) -> RunMap | None:
    found = read_map(folder / MAP_FILE)
    return None if found is None else found.map
