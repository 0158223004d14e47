"""Frame maps in files: ``xenp2m.map/1``, on its own or inside a prediction or an inspection."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from xenp2m.errors import FormatError, MissingFactError
from xenp2m.files import write_atomically
from xenp2m.runs import MAP_FORMAT, Ambiguous, RunMap, ambiguous_from_json, ambiguous_to_json

_MARK = b'"xenp2m.'
PREDICTION_FORMAT = "xenp2m.prediction/1"
INSPECTION_FORMAT = "xenp2m.inspection/1"


class MapFile(NamedTuple):
    """A map from a file.

    ``kernel`` is the one that it was predicted for, None where it is no prediction.  The frames in
    ``ambiguous`` are missing in ``map``.
    """

    map: RunMap
    kernel: str | None = None
    ambiguous: tuple[Ambiguous, ...] = ()


def read_map(path: str | Path, domain: int | None = None) -> MapFile | None:
    """Return the map in a file; None for a file that is no map, which may then be a capture.

    ``domain`` chooses among the domains of an inspection.  Raises FormatError for a damaged map, and for a
    file that holds the predictions of several kernels; MissingFactError for an inspection without the map.
    """
    if path == "-" or not Path(path).is_file():
        return None
    with Path(path).open("rb") as file:
        if _MARK not in file.read(256):
            return None
    where = str(path)
    try:
        value = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise FormatError("damaged JSON", where=where, found=str(error)) from error
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, list):
        raise FormatError("several predictions in one file", where=where, expected="one kernel")
    if not isinstance(value, dict):
        return None
    if value.get("format") == PREDICTION_FORMAT:
        kernel = value.get("kernel")
        known = RunMap.from_json(value.get("map"), where)
        return MapFile(known, kernel if isinstance(kernel, str) else None)
    if value.get("format") == INSPECTION_FORMAT:
        return _inspected(value.get("domains"), domain, where)
    if value.get("format") == MAP_FORMAT:
        known = RunMap.from_json(value, where)
        return MapFile(known, None, ambiguous_from_json(value.get("ambiguous", []), where))
    return None


def _inspected(domains: object, wanted: int | None, where: str) -> MapFile:
    """Take the map of one domain out of an inspection: the wanted one, else dom0, else the only one."""
    if not isinstance(domains, list) or not all(isinstance(each, Mapping) for each in domains):
        raise FormatError("damaged inspection", where=where, expected="a list of domains")
    known = [each for each in domains if each.get("map") is not None]
    chosen = [each for each in known if each.get("id") == (0 if wanted is None else wanted)]
    if wanted is None and len(known) == 1:
        chosen = known
    if not chosen:
        found = ", ".join(str(each.get("id")) for each in known) or "none"
        asked = "a domain with a map" if wanted is None else f"domain {wanted}"
        raise MissingFactError("no such map in the inspection", where=where, expected=asked, found=found)
    rows = chosen[0].get("ambiguous", [])
    return MapFile(RunMap.from_json(chosen[0]["map"], where), None, ambiguous_from_json(rows, where))


def write_map(path: str | Path, known: RunMap, ambiguous: tuple[Ambiguous, ...] = ()) -> None:
    """Write a map as ``xenp2m.map/1``, whole or not at all; ``ambiguous`` is written where there is any."""
    value: dict[str, Any] = known.to_json()
    if ambiguous:
        value["ambiguous"] = ambiguous_to_json(ambiguous)
    write_atomically(path, (json.dumps(value) + "\n").encode())
