"""Reading back what lab runs left in a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xenp2m.capture import read_files
from xenp2m.errors import FormatError, MissingFactError
from xenp2m.lab.result import RESULT_FORMAT
from xenp2m.lab.run import MAP_FILE, RESULT_FILE
from xenp2m.mapfile import read_map
from xenp2m.prediction import Prediction, predict
from xenp2m.runs import RunMap


@dataclass(frozen=True, slots=True)
class Kept:
    """One run: its ``xenp2m.lab/1`` object, the prediction from its capture, and the kernel's own map.

    The last two are None where the machine did not boot.
    """

    value: dict[str, Any]
    prediction: Prediction | None
    measured: RunMap | None

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
    measured = read_map(folder / MAP_FILE)
    prediction = predict(read_files([folder]), kernel)
    return Kept(value, prediction, None if measured is None else measured.map)
