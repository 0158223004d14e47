from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fleet.machines import GIB, opened, record, run_fleet, write_records
from xenp2m.errors import FormatError, UsageError
from xenp2m.fleet.compare import compare_fleets, compare_kernels
from xenp2m.fleet.export import write
from xenp2m.fleet.query import Fleet
from xenp2m.fleet.shown import show
from xenp2m.fleet.store import LocalStore
from xenp2m.fleet.summary import summarise

KERNELS = ("3.15", "series:1-4", "series:1-5", "series:5", "6.1")
MACHINES = (
    record("inside", ram=64, bar=40 * GIB),  # in RAM of its map
    record("low", bar=0xE000_0000),  # in the hole below 4 GiB
    record("past", bar=200 * GIB, product="A Server", dmi="unused"),
    record("past-p2m", bar=600 * GIB),
    record("far", bar=5 << 40),
    record("farther", bar=20 << 40),
    record("without", bars=[]),
    record("nothing", kind="facter", e820=[]),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("fleet")
    run_fleet(place / "fleet", write_records(place / "m.ndjson", MACHINES), kernels=KERNELS)
    return place / "fleet"


@pytest.fixture
def fleet(folder: Path) -> Fleet:
    return opened(folder)


def test_the_summary_counts_what_is_there(fleet: Fleet) -> None:
    summary = summarise(fleet)
    assert (summary.inputs, summary.machines, summary.with_bars) == (8, 7, 6)
    assert (summary.past_map, summary.past_map_bars, summary.bars) == (4, 4, 12)
    assert [(reach.machines, reach.bad["3.15"], reach.bad["6.1"]) for reach in summary.reaches] == [
        (3, 3, 0),
        (2, 2, 0),
        (1, 1, 0),
    ]
    by_name = {each.kernel: each for each in summary.kernels}
    before, after = by_name["3.15"], by_name["6.1"]
    assert (before.predicted, before.stopped, before.past_map_bad, before.past_map_bad_bars) == (7, 0, 4, 4)
    assert before.mappers["io_remap_pfn_range"] == before.mappers["dev_mem"] == (4, 4)
    assert before.mappers["ioremap"] == before.mappers["sysfs"] == (0, 0)
    assert (after.past_map_bad, after.bad) == (0, before.bad - 4)
    assert [(each.kind, each.inputs) for each in summary.failures] == [("no map", 1)]
    assert summary.finished


def test_the_summary_says_what_patch_5_fixes(fleet: Fleet) -> None:
    after_four, without = summarise(fleet).patch5
    assert (after_four.before, after_four.broken, after_four.fixed) == ("series:1-4", 4, 4)
    # Without patch 2 a 1:1 range that reaches past the p2m is refused, but what lies past the p2m is 1:1.
    assert (without.before, without.after, without.broken, without.fixed) == ("3.15", "series:5", 4, 3)


def test_the_summary_of_findings_counts_machines(fleet: Fleet) -> None:
    codes = {each.code: each for each in summarise(fleet).findings}
    assert codes["XP101"].machines["3.15"] == 1
    assert codes["XP103"].machines["3.15"] == 3
    assert codes["XP505"].machines == {"": 1}


def test_two_kernels_differ_in_what_is_fixed(fleet: Fleet) -> None:
    diff = compare_kernels(fleet, "3.15", "6.1")
    assert diff.machines == 7
    assert {change.name for change in diff.changes if change.what in ("breaks", "worse")} <= {"inside"}
    fixed = [change for change in diff.changes if change.what == "fixed"]
    assert {change.name for change in fixed} == {"past", "past-p2m", "far", "farther"}
    assert {change.mappers for change in fixed} == {("io_remap_pfn_range", "dev_mem")}
    back = compare_kernels(fleet, "6.1", "3.15")
    assert back.breaks
    assert {change.name for change in back.changes if change.what == "breaks"} == {
        each.name for each in fixed
    }
    assert compare_kernels(fleet, "6.1", "6.1").changes == ()


def test_a_kernel_that_is_not_in_the_fleet_is_refused(fleet: Fleet) -> None:
    with pytest.raises(UsageError, match="no such kernel"):
        compare_kernels(fleet, "3.15", "4.4")


def test_two_fleets_are_compared_by_place_and_by_name(folder: Path, tmp_path: Path) -> None:
    moved = [record("past", bar=2 * GIB - (64 << 20), ram=1), record("low", bar=300 * GIB), record("new")]
    moved[0]["e820"] = [[0, 640 << 10, 1], [1 << 20, 1 << 30, 1], [3 << 30, 4 << 30, 2]]
    other = tmp_path / "other"
    run_fleet(other, write_records(tmp_path / "elsewhere.ndjson", moved), kernels=["3.15"])
    diff = compare_fleets(opened(folder), LocalStore(other))
    assert (diff.machines, diff.only) == (2, (5, 1))
    assert [(each.name, each.bdf, each.what) for each in diff.changes] == [
        ("low", "0000:02:00.0", "breaks"),
        ("past", "0000:02:00.0", "fixed"),
    ]
    same = compare_fleets(opened(folder), LocalStore(folder))
    assert (same.machines, same.only, same.changes) == (7, (0, 0), ())


def test_one_machine_is_shown_by_any_of_its_names(fleet: Fleet) -> None:
    shown = show(fleet, "past")
    for name in (shown.entry["machine"], shown.entry["source"], "a server", shown.entry["machine"][:10]):
        assert show(fleet, name).entry == shown.entry
    assert shown.about["product"] == "A Server"
    assert list(shown.maps) == list(KERNELS)
    assert shown.machine is not None
    assert shown.machine.bars[1].start == 200 * GIB
    assert shown.to_json()["maps"]["3.15"]["format"] == "xenp2m.map/1"
    with pytest.raises(UsageError, match="several machines"):
        show(fleet, "pas")
    with pytest.raises(UsageError, match="no such machine"):
        show(fleet, "zzz")


def test_a_failure_is_shown_with_its_reason(fleet: Fleet) -> None:
    shown = show(fleet, "nothing")
    assert shown.machine is None
    assert [failure["kind"] for failure in shown.failures] == ["no map"]
    assert json.dumps(shown.to_json())


@pytest.mark.parametrize(
    "sql",
    [
        "SELEC 1",
        "SELECT * FROM nowhere",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "COPY bars TO 'bars.csv'",
        "ATTACH 'x.db'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "DELETE FROM bars",
        "DROP VIEW nothing",
        "",
    ],
)
def test_questions_that_are_wrong_or_reach_outside_are_refused(fleet: Fleet, sql: str) -> None:
    with pytest.raises(UsageError, match=r"cannot be answered|no question"):
        fleet.ask(sql)


def test_no_fleet_and_a_damaged_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no fleet there"):
        opened(tmp_path)
    for text in ("{", "[]", '{"format": "xenp2m.fleet/9"}', '{"format": "xenp2m.fleet/1", "kernels": 7}'):
        (tmp_path / "fleet.json").write_text(text)
        with pytest.raises(FormatError, match="not a fleet"):
            opened(tmp_path)


def test_answers_are_the_same_in_every_form(fleet: Fleet, tmp_path: Path) -> None:
    sql = "SELECT machine, bar_index, start, notes FROM bars JOIN machines USING (machine) ORDER BY ALL"
    expected = fleet.ask(sql).dicts()
    written = {}
    for form in ("csv", "json", "parquet"):
        held = io.BytesIO()
        write(*fleet.batches(sql), form, held)
        written[form] = held.getvalue()
    assert json.loads(written["json"]) == expected
    assert pq.read_table(io.BytesIO(written["parquet"])).to_pylist() == expected
    rows = list(csv.DictReader(io.StringIO(written["csv"].decode())))
    assert [int(row["start"]) for row in rows] == [row["start"] for row in expected]
    held = io.BytesIO()
    write(*fleet.batches("SELECT 1 WHERE false"), "json", held)
    assert json.loads(held.getvalue()) == []
