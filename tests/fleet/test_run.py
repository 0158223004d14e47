from __future__ import annotations

import json
from pathlib import Path

import pytest

from fleet.machines import KERNELS, count, differences, log_of, opened, record, run_fleet, write_records
from xenp2m import catalogue
from xenp2m.capture import read_record
from xenp2m.check.findings import check_capture
from xenp2m.errors import UsageError
from xenp2m.fleet.run import Order, run
from xenp2m.fleet.store import LocalStore, read_manifest
from xenp2m.prediction import WhatIf, predict


@pytest.fixture
def records(tmp_path: Path) -> Path:
    names = [f"host{number}" for number in range(7)]
    return write_records(
        tmp_path / "m.ndjson",
        [record(name, ram=4 + index, bar=index << 37) for index, name in enumerate(names)],
    )


def test_the_tables_say_what_predict_and_check_say(tmp_path: Path) -> None:
    made = record("one", ram=16, bar=1 << 40)
    run_fleet(tmp_path / "fleet", write_records(tmp_path / "m.ndjson.gz", [made]))
    fleet = opened(tmp_path / "fleet")
    capture = read_record(made, "one")
    for kernel in KERNELS:
        prediction = predict(capture, kernel)
        rows = fleet.ask("SELECT * FROM bars WHERE kernel = ? ORDER BY start", [kernel]).dicts()
        for row, verdict in zip(rows, prediction.bars, strict=True):
            assert (row["bdf"], row["bar_index"]) == (verdict.bar.bdf, verdict.bar.index)
            assert (row["start"], row["last"] + 1, row["size"]) == (
                verdict.bar.start,
                verdict.bar.end,
                verdict.bar.size,
            )
            assert row["verdict"] == verdict.verdict.value
            assert {name[3:]: row[name] for name in row if name.startswith("by_")} == {
                mapper.value: found.value for mapper, found in verdict.mappers.items()
            }
            assert (row["first_bad_frame"], row["bad_frames"]) == (verdict.first_bad, verdict.bad_frames)
        (row,) = fleet.ask("SELECT * FROM predictions WHERE kernel = ?", [kernel]).dicts()
        assert {"mid": row["mid_pages"], "leaf": row["leaf_pages"]} == prediction.pages
        assert row["nr_pages"] == prediction.guest.config.nr_pages
        runs = fleet.ask(
            "SELECT pfn, pages, kind, mfn FROM maps WHERE kernel = ? ORDER BY pfn", [kernel]
        ).rows
        assert [tuple(each) for each in runs] == [
            (each.pfn, each.pages, each.kind.label, each.mfn) for each in prediction.guest.p2m
        ]
    found = check_capture(capture, KERNELS)
    raised = fleet.ask("SELECT coalesce(kernel, ''), code, message FROM findings").rows
    assert sorted(raised) == sorted((each.kernel, each.code, each.message) for each in found)


def test_the_whole_catalogue_is_as_predicted(tmp_path: Path) -> None:
    run_fleet(tmp_path / "fleet", "catalogue:", kernels=["3.15"], jobs=2)
    fleet = opened(tmp_path / "fleet")
    known = {entry.id: entry for entry in catalogue.entries()}
    machines = fleet.ask("SELECT machine, name FROM machines").rows
    assert {name for _, name in machines} == {name for name, entry in known.items() if not entry.lack}
    assert len(machines) > 300
    sql = "SELECT bdf, bar_index, start, verdict, past_map FROM bars WHERE machine = ? ORDER BY ALL"
    for number, name in machines[::5]:
        entry = known[name]
        assert fleet.ask(sql, [number]).rows == sorted(
            (
                (
                    each.bar.bdf,
                    each.bar.index,
                    each.bar.start,
                    each.verdict.value,
                    each.bar.end > entry.map_end,
                )
                for each in predict(entry.capture, "3.15").bars
            ),
            key=lambda row: (row[0], float("inf") if row[1] is None else row[1], *row[2:]),
        )


def test_a_missing_frame_has_no_address(tmp_path: Path, records: Path) -> None:
    run_fleet(tmp_path / "fleet", records)
    assert count(tmp_path / "fleet", "SELECT count(*) FROM maps WHERE kind = 'missing'")
    assert not count(tmp_path / "fleet", "SELECT count(mfn) FROM maps WHERE kind <> 'ram'")


def test_kernels_are_added_and_nothing_is_done_twice(tmp_path: Path, records: Path) -> None:
    first = run_fleet(tmp_path / "a", records, kernels=["3.15"])
    assert (first.predictions, first.kept) == (7, 0)
    more = run_fleet(tmp_path / "a", records, kernels=["6.1", "3.15"])
    assert (more.predictions, more.kept) == (7, 0)
    again = run_fleet(tmp_path / "a", records, kernels=["6.1"])
    assert (again.predictions, again.kept) == (0, 7)
    run_fleet(tmp_path / "b", records, kernels=["3.15", "6.1"])
    assert differences(tmp_path / "a", tmp_path / "b") == {}
    manifest = read_manifest(LocalStore(tmp_path / "a"))
    assert manifest is not None
    assert (manifest.kernels, manifest.parts, manifest.run) == (("3.15", "6.1"), (), "")


def test_only_what_changed_is_done_again(tmp_path: Path) -> None:
    source = tmp_path / "m.ndjson"
    write_records(source, [record("a"), record("b"), record("c")])
    run_fleet(tmp_path / "one", source)
    write_records(source, [record("a"), record("b", ram=64), record("c"), record("d")])
    tally = run_fleet(tmp_path / "one", source)
    assert (tally.predictions, tally.kept) == (2 * len(KERNELS), 2)
    run_fleet(tmp_path / "two", source)
    assert differences(tmp_path / "one", tmp_path / "two") == {}


def test_a_machine_that_goes_back_to_what_it_was_is_that_again(tmp_path: Path) -> None:
    source = tmp_path / "m.ndjson"
    for ram in (8, 64, 8):
        write_records(source, [record("a", ram=ram), record("b")])
        run_fleet(tmp_path / "one", source)
    run_fleet(tmp_path / "two", source)
    assert differences(tmp_path / "one", tmp_path / "two") == {}


def test_an_input_that_becomes_good_is_no_failure_any_more(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "a.log").write_text("nothing of use\n")
    (folder / "b.log").write_text(log_of(512))
    run_fleet(tmp_path / "fleet", folder)
    assert count(tmp_path / "fleet", "SELECT count(*) FROM failures") == 1
    (folder / "a.log").write_text(log_of(1024))
    run_fleet(tmp_path / "fleet", folder)
    assert count(tmp_path / "fleet", "SELECT count(*) FROM failures") == 0
    assert count(tmp_path / "fleet", "SELECT count(*) FROM machines") == 2
    assert count(tmp_path / "fleet", "SELECT count(*) FROM inputs WHERE usable") == 2


def test_many_parts_and_processes_give_the_same(tmp_path: Path) -> None:
    source = write_records(tmp_path / "m.ndjson", (record(f"h{n}", ram=4 + n % 90) for n in range(700)))
    run_fleet(tmp_path / "one", source, jobs=1)
    run_fleet(tmp_path / "three", source, jobs=3)
    assert differences(tmp_path / "one", tmp_path / "three") == {}
    assert count(tmp_path / "one", "SELECT count(DISTINCT machine) FROM predictions") == 700


def test_what_ifs_are_those_of_predict_and_a_fleet_has_one_set_of_them(tmp_path: Path, records: Path) -> None:
    what_if = WhatIf(dom0_mem="2G,max:4G")
    run_fleet(tmp_path / "fleet", records, what_if=what_if)
    assert count(tmp_path / "fleet", "SELECT count(*) FROM predictions WHERE nr_pages = 524288") == 21
    with pytest.raises(UsageError, match="other options"):
        run_fleet(tmp_path / "fleet", records)


def test_a_kernel_that_cannot_be_for_a_machine_is_listed_under_it(tmp_path: Path, records: Path) -> None:
    run_fleet(tmp_path / "fleet", records, what_if=WhatIf(bits=32))
    fleet = opened(tmp_path / "fleet")
    rows = fleet.ask("SELECT kernel, kind, count(*), any_value(reason) FROM failures GROUP BY ALL").rows
    assert [row[:3] for row in rows] == [("6.1", "kernel", 7)]
    assert "no 32-bit PV guests" in rows[0][3]
    assert count(tmp_path / "fleet", "SELECT count(*) FROM predictions") == 14


def test_sources_and_kernels_that_are_not_there_are_refused(tmp_path: Path, records: Path) -> None:
    with pytest.raises(UsageError, match="no such source"):
        run_fleet(tmp_path / "fleet", records, tmp_path / "nothing*.txt")
    with pytest.raises(UsageError, match="unknown kernel"):
        run_fleet(tmp_path / "fleet", records, kernels=["3.15", "three"])
    assert not (tmp_path / "fleet" / "fleet.json").exists()


def test_two_runs_do_not_write_one_fleet(tmp_path: Path, records: Path) -> None:
    store = LocalStore(tmp_path / "fleet")
    with store.exclusive(), pytest.raises(UsageError, match="another run"):
        run(store, Order(sources=[str(records)]))


def test_progress_reaches_the_end(tmp_path: Path, records: Path) -> None:
    shares = []
    run(
        LocalStore(tmp_path / "fleet"),
        Order(sources=[str(records)]),
        lambda tally: shares.append(tally.share),
    )
    assert shares
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_numbers_up_to_the_last_byte_fit(tmp_path: Path) -> None:
    top = record("top", bar=(1 << 64) - 64 * (1 << 20))
    top["e820"].append([(1 << 64) - 4096, 1 << 64, 2])
    run_fleet(tmp_path / "fleet", write_records(tmp_path / "m.ndjson", [top]))
    row = opened(tmp_path / "fleet").ask("SELECT map_end, bars_last FROM machines").rows
    assert row == [((1 << 64) - 1, (1 << 64) - 1)]
    facts = json.loads(opened(tmp_path / "fleet").ask("SELECT json FROM facts").rows[0][0])
    assert facts["e820"][-1] == [(1 << 64) - 4096, 1 << 64, 2]
