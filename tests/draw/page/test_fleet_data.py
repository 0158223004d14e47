"""What the page of a fleet carries, against the predictions themselves."""

from __future__ import annotations

import base64
import json
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from draw.page.fleets import KERNELS, fleet, records
from xenp2m import catalogue
from xenp2m.check.bars import Verdict
from xenp2m.draw.page import fleet_machines
from xenp2m.draw.page.fleet import fleet_data, render_fleet
from xenp2m.draw.page.fleet_figures import LEVELS
from xenp2m.entry import Kind
from xenp2m.fleet.query import Fleet
from xenp2m.prediction import predict

SOME = ("a1e81a7903a5", "681ccc720551", "018f064aa4d8", "da21a0e43676", "00866f07f9c6")
"""BARs past 512 GiB; in a refused range; all below 4 GiB; 193 of them; none."""


def data_of(opened: Fleet, **options: Any) -> dict[str, Any]:
    kernels = opened.manifest.kernels
    data = fleet_data("some", kernels, lambda sql: opened.ask(sql).rows, **options)
    assert data == json.loads(json.dumps(data))
    return data


def unpacked(value: Any) -> Any:
    if isinstance(value, dict) and "deflate" in value:
        return json.loads(zlib.decompress(base64.b64decode(value["deflate"])))
    return value


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    sources = [f"catalogue:{name}" for name in SOME]
    return fleet(tmp_path_factory.mktemp("fleets") / "some", *sources, "catalogue:08a2e8e114de")


@pytest.fixture(scope="module")
def data(some: Fleet) -> dict[str, Any]:
    return data_of(some)


def test_machines_are_listed_the_worst_first(data: dict[str, Any]) -> None:
    columns = unpacked(data["columns"])
    assert columns["name"] == [SOME[3], SOME[0], SOME[1], SOME[4], SOME[2]]
    assert columns["levels"] == ["420", "400", "400", "111", "000"]
    assert columns["bad"] == [[141, 0, 0], [8, 0, 0], [3, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert columns["product"][1] == "Dell Inc. Precision T7610 (0NK70N)"
    known = catalogue.lookup(SOME[0])
    assert (columns["ram"][1], columns["map_end"][1], columns["bars_end"][1]) == (
        known.ram,
        known.map_end,
        known.bars_end,
    )


def test_totals(data: dict[str, Any]) -> None:
    before, series, recent = data["kernels"]
    assert before == {"name": "3.15", "levels": [1, 1, 0, 0, 3, 0, 0, 0, 0], "bars": 297, "bad": 152}
    assert (series["bad"], series["levels"][2]) == (0, 1)
    assert recent["levels"] == [4, 1, 0, 0, 0, 0, 0, 0, 0]
    assert len(before["levels"]) == len(LEVELS)
    assert data["failures"]["kinds"] == [["no map", 1]]
    assert data["failures"]["rows"][0][0] == "08a2e8e114de"


def test_details_are_those_of_the_predictions(data: dict[str, Any]) -> None:
    assert data["detailed"] == data["listed"] == data["machines"] == 5
    names = unpacked(data["columns"])["name"]
    details = unpacked(data["details"][0])
    for name, found in zip(names, details, strict=True):
        capture = catalogue.lookup(name).capture
        for index, kernel in enumerate(KERNELS):
            prediction = predict(capture, kernel)
            known = {(v.bar.bdf, v.bar.index, v.bar.start): v for v in prediction.bars}
            assert len(found["bars"]) == len(known)
            for bdf, number, start, _, outcomes in found["bars"]:
                verdict, rule, failing = data["outcomes"][outcomes[index]]
                own = known[bdf, number, start]
                assert (verdict, rule) == (own.verdict.value, own.rule)
                assert failing == [m.label for m, v in own.mappers.items() if v is not Verdict.MAPS]
            beyond, pages, kinds = found["runs"][index]
            p2m = prediction.guest.p2m
            assert beyond == int(p2m.beyond)
            assert sum(pages) == p2m.end_pfn
            counts = p2m.counts()
            for kind in Kind:
                own_pages = [
                    count for count, digit in zip(pages, kinds, strict=True) if digit == str(int(kind))
                ]
                assert sum(own_pages) == counts[kind]
            assert all(one != two for one, two in pairwise(kinds))


def test_findings_count_machines_and_places(data: dict[str, Any]) -> None:
    found = {code: (severity, machines, places) for code, severity, _, machines, places in data["findings"]}
    assert found["XP103"] == ("error", [2, 0, 0], [149, 0, 0])
    assert found["XP505"] == ("info", [1, 1, 1], [1, 1, 1])
    severities = [row[1] for row in data["findings"]]
    assert severities == sorted(severities, key=["error", "warning", "info"].index)
    number = [row[0] for row in data["findings"]].index("XP103")
    columns = unpacked(data["columns"])
    assert [[number, 1] in codes for codes in columns["codes"]] == [True, True, False, False, False]
    (row,) = [row for row in unpacked(data["details"][0])[0]["findings"] if row[0] == number]
    assert row[1:3] == [1, 141]
    assert len(row[3]) == 4


def test_places_are_half_doublings(data: dict[str, Any]) -> None:
    assert sum(row[2] for row in data["places"]) == 297
    assert sum(row[4][0] for row in data["places"]) == 152
    high = [row for row in data["places"] if row[0] >= 78]
    assert all(row[4] == [row[2], 0, 0] for row in high)
    assert sum(row[2] for row in high) == 149
    columns = unpacked(data["columns"])
    of_t7610 = {tuple(data["places"][index][:2]) for index in columns["bins"][1]}
    bars = catalogue.lookup(SOME[0]).machine.bars
    assert {size for _, size in of_t7610} == {bar.size.bit_length() - 1 for bar in bars}
    assert {place // 2 for place, _ in of_t7610} == {bar.start.bit_length() - 1 for bar in bars}


def test_ram_ends_have_no_gap(data: dict[str, Any]) -> None:
    bits = [each for each, _ in data["ramEnds"]]
    assert bits == list(range(bits[0], bits[-1] + 1))
    assert sum(machines for _, machines in data["ramEnds"]) == 5
    assert dict(data["ramEnds"])[37] == 1


def test_what_is_left_out_is_counted(some: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    data = data_of(some, most_listed=2)
    assert (data["machines"], data["listed"]) == (5, 2)
    assert data["rest"] == [["400", 1, [0.12, 0.0, 0.0]], ["111", 1, [0.0] * 3], ["000", 1, [0.0] * 3]]
    assert data["kernels"][0]["levels"][4] == 3
    assert sum(row[3][0] for row in data["findings"] if row[0] == "XP103") == 2
    monkeypatch.setattr(fleet_machines, "BUDGET", 10)
    listed = fleet_machines.Listed(lambda sql: some.ask(sql).rows, KERNELS, [], [], [])
    assert listed.details() == []
    page = render_fleet(some, "some", most_listed=2)
    assert "2 of 5 machines are listed below" in page


def test_addresses_up_to_the_last_byte(tmp_path: Path) -> None:
    high = {"bars": [["0000:00:02.0", 0, (1 << 64) - (1 << 20), 1 << 20, True, True]]}
    data = data_of(fleet(tmp_path / "high", records(tmp_path / "high.ndjson", {}, high), kernels=("3.15",)))
    columns = unpacked(data["columns"])
    assert hex((1 << 64) - 1) in columns["bars_end"] or hex(1 << 64) in columns["bars_end"]
    starts = [bar[2] for found in unpacked(data["details"][0]) for bar in found["bars"]]
    assert hex((1 << 64) - (1 << 20)) in starts


def test_a_fleet_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.ndjson").write_text("not json\n")
    opened = fleet(tmp_path / "nothing", str(tmp_path / "empty.ndjson"))
    data = data_of(opened)
    assert (data["machines"], data["places"], data["ramEnds"], data["rest"]) == (0, [], [], [])
    assert "0 machines" in render_fleet(opened, "nothing")
