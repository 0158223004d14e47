from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from strategies import run_maps
from xenp2m.entry import Kind
from xenp2m.errors import FormatError, InputError, MissingFactError
from xenp2m.mapfile import MapFile, read_map, write_map
from xenp2m.runs import Ambiguous, RunMap


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(known=run_maps())
def test_round_trip(tmp_path: Path, known: RunMap) -> None:
    untold = (Ambiguous(3, 9, (Kind.IDENTITY, Kind.MISSING), "one of two pages"),)
    write_map(tmp_path / "map", known)
    assert read_map(tmp_path / "map") == MapFile(known)
    write_map(tmp_path / "map", known, untold)
    assert read_map(tmp_path / "map") == MapFile(known, None, untold)


def of(tmp_path: Path, value: Any, domain: int | None = None) -> MapFile | None:
    (tmp_path / "file").write_text(json.dumps(value))
    return read_map(tmp_path / "file", domain)


MAP = {
    "format": "xenp2m.map/1",
    "arch": "x86_64",
    "end_pfn": 4,
    "beyond": "missing",
    "runs": [[0, 4, "ram", 7]],
}
EMPTY = MAP | {"runs": [[0, 4, "missing", None]]}


def test_prediction(tmp_path: Path) -> None:
    found = of(tmp_path, [{"format": "xenp2m.prediction/1", "kernel": "3.16", "map": MAP}])
    assert found is not None
    assert (found.kernel, found.map.entry(1).mfn) == ("3.16", 8)
    with pytest.raises(FormatError, match="several predictions"):
        of(tmp_path, [{"format": "xenp2m.prediction/1"}] * 2)


def test_inspection(tmp_path: Path) -> None:
    first, second = {"id": 0, "map": MAP}, {"id": 5, "map": EMPTY, "ambiguous": [[0, 1, ["ram"], "x"]]}
    value = {"format": "xenp2m.inspection/1", "domains": [first, second, {"id": 6, "map": None}]}
    found = of(tmp_path, value)
    assert found is not None
    assert found.map.entry(0).mfn == 7
    found = of(tmp_path, value, 5)
    assert found is not None
    assert found.ambiguous[0].among == (Kind.RAM,)
    with pytest.raises(MissingFactError, match="found 0, 5"):
        of(tmp_path, value, 6)
    with pytest.raises(MissingFactError, match="a domain with a map"):
        of(tmp_path, value | {"domains": []})
    assert of(tmp_path, value | {"domains": [second]}) is not None


@pytest.mark.parametrize(
    "value",
    [
        MAP | {"ambiguous": 7},
        MAP | {"ambiguous": [[1, 2, ["no kind"], ""]]},
        MAP | {"ambiguous": [[-1, 2, ["ram"], ""]]},
        MAP | {"ambiguous": [[1]]},
        {"format": "xenp2m.inspection/1", "domains": 3},
        {"format": "xenp2m.inspection/1", "domains": [3]},
        {"format": "xenp2m.inspection/1", "domains": [{"id": 0, "map": 3}]},
        {"format": "xenp2m.prediction/1"},
    ],
)
def test_damaged(tmp_path: Path, value: Any) -> None:
    with pytest.raises(InputError):
        of(tmp_path, value)


def test_other_files(tmp_path: Path) -> None:
    assert read_map("-") is None
    assert read_map(tmp_path / "absent") is None
    assert of(tmp_path, {"format": "something else"}) is None
    assert of(tmp_path, {"format": "xenp2m.machine/1"}) is None
    (tmp_path / "deep").write_text('"xenp2m.map/1"' + "[" * 100_000)
    with pytest.raises(FormatError, match="damaged JSON"):
        read_map(tmp_path / "deep")
