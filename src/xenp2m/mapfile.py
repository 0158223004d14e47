"""Frame maps in files: ``xenp2m.map/1``, on its own or inside a prediction."""

from __future__ import annotations

import json
from pathlib import Path

from xenp2m.errors import FormatError
from xenp2m.runs import RunMap

_MARK = b'"xenp2m.'
_MAP_FORMATS = ("xenp2m.map/1", "xenp2m.prediction/1")


def read_map(path: str | Path) -> tuple[RunMap, str | None] | None:
    """Return the map in a file and the kernel that it was predicted for (None where the file does not say).

    Returns None for a file that is no map, which may then be a capture.  Raises FormatError for a damaged
    map, and for a file that holds the predictions of several kernels.
    """
    if path == "-" or not Path(path).is_file():
        return None
    with Path(path).open("rb") as file:
        if _MARK not in file.read(256):
            return None
    try:
        value = json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise FormatError("damaged JSON", where=str(path), found=str(error)) from error
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, list):
        raise FormatError("several predictions in one file", where=str(path), expected="one kernel")
    if not isinstance(value, dict) or value.get("format") not in _MAP_FORMATS:
        return None
    if value["format"] == "xenp2m.prediction/1":
        kernel = value.get("kernel")
        return RunMap.from_json(value.get("map"), str(path)), kernel if isinstance(kernel, str) else None
    return RunMap.from_json(value, str(path)), None
