from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli.program import assert_one_clear_error
from cli.program import run as xenp2m
from xenp2m.fleet.schema import TABLES

GIB = 1 << 30


def machine(name: str, bar: int) -> str:
    value = {
        "id": name,
        "kind": "bios",
        "e820": [
            [0, 640 << 10, 1],
            [1 << 20, 3 * GIB, 1],
            [3 * GIB, 3 * GIB + 4096, 2],
            [4 * GIB, 9 * GIB, 1],
        ],
        "bars": [["0000:02:00.0", 2, bar, 64 << 20, True, True]],
    }
    return json.dumps(value)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "m.ndjson"
    path.write_text(f"{machine('low', 0xE000_0000)}\n{machine('high', 600 * GIB)}\nnothing\n")
    return path


@pytest.fixture(scope="module")
def fleet(source: Path) -> Path:
    place = source.parent / "fleet"
    done = xenp2m("fleet", "run", source, "--kernel", "3.15", "--kernel", "6.1", "-o", place)
    assert done.status == 0, done
    assert done.err == ""
    assert "4 results" in done.out
    assert "2 machines of 3 inputs" in done.out
    assert "1 inputs cannot be predicted" in done.out
    return place


def test_the_catalogue_runs_out_of_the_box(tmp_path: Path) -> None:
    done = xenp2m("fleet", "run", "catalogue:", "-o", tmp_path / "fleet")
    assert done.status == 0
    summary = json.loads(xenp2m("fleet", "summary", tmp_path / "fleet", "--json").out)
    assert [each["kernel"] for each in summary["kernels"]] == ["3.15", "series", "6.1"]
    assert summary["machines"] >= 300
    past = {each["kernel"]: each["past_map_bad"] for each in summary["kernels"]}
    assert past["3.15"] == summary["past_map"] > 50
    assert past["series"] == past["6.1"] == 0


def test_a_run_again_does_nothing(source: Path, fleet: Path) -> None:
    done = xenp2m("fleet", "run", source, "--kernel", "3.15", "-o", fleet)
    assert done.status == 0
    assert "0 results" in done.out
    assert "3 of 3 inputs were done before" in done.out


def test_a_run_without_one_good_machine_has_status_1(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("nothing\n")
    done = xenp2m("fleet", "run", tmp_path / "bad.txt", "-o", tmp_path / "fleet")
    assert done.status == 1
    assert "0 machines of 1 inputs" in done.out


def test_the_summary_is_printed(fleet: Path) -> None:
    done = xenp2m("fleet", "summary", fleet)
    assert done.status == 0
    assert "2 machines of 3 inputs, 2 kernels" in done.out
    assert "1 machine with 1 BARs past the end of the memory map" in done.out
    assert "io_remap_pfn_range 1 (1)" in done.out
    assert "--kernel series:1-4 --kernel series:1-5" in " ".join(done.out.split())
    assert "not JSON" in done.out


def test_questions_in_sql(fleet: Path, tmp_path: Path) -> None:
    sql = "SELECT name, kernel, verdict FROM bars JOIN machines USING (machine) ORDER BY ALL"
    text = xenp2m("fleet", "query", fleet, sql)
    assert text.status == 0
    assert text.out.split()[:6] == ["name", "kernel", "verdict", "high", "3.15", "fails"]
    rows = list(csv.DictReader(io.StringIO(xenp2m("fleet", "query", fleet, sql, "--format", "csv").out)))
    assert rows[0] == {"name": "high", "kernel": "3.15", "verdict": "fails"}
    assert json.loads(xenp2m("fleet", "query", fleet, sql, "--format", "json").out) == rows
    target = tmp_path / "out.parquet"
    assert xenp2m("fleet", "query", fleet, sql, "--format", "parquet", "-o", target).status == 0
    assert target.read_bytes()[:4] == b"PAR1"


def test_differences_have_the_status_of_what_breaks(fleet: Path) -> None:
    better = xenp2m("fleet", "diff", fleet, "--kernel", "3.15", "--kernel", "6.1")
    assert better.status == 0
    assert "fixed: 1 BARs on 1 machine" in better.out
    worse = xenp2m("fleet", "diff", fleet, "--kernel", "6.1", "--kernel", "3.15", "--json")
    assert worse.status == 1
    found = json.loads(worse.out)
    assert found["format"] == "xenp2m.fleet-diff/1"
    assert [change["what"] for change in found["changes"]] == ["breaks"]
    assert xenp2m("fleet", "diff", fleet, fleet).status == 0


def test_one_machine(fleet: Path) -> None:
    done = xenp2m("fleet", "show", fleet, "high")
    assert done.status == 0
    for words in ("E820", "RAM", "1 of 1", "XP103", "fixed by patch 5"):
        assert words in done.out
    value = json.loads(xenp2m("fleet", "show", fleet, "high", "--json").out)
    assert value["machine"]["format"] == "xenp2m.machine/1"
    assert set(value["maps"]) == {"3.15", "6.1"}


def test_tables_in_other_forms(fleet: Path, tmp_path: Path) -> None:
    done = xenp2m("fleet", "export", fleet, "csv", "failures")
    assert [row["kind"] for row in csv.DictReader(io.StringIO(done.out))] == ["unreadable"]
    assert xenp2m("fleet", "export", fleet, "json", "-o", tmp_path / "all").status == 0
    assert sorted(path.stem for path in (tmp_path / "all").iterdir()) == sorted(TABLES)
    assert len(json.loads((tmp_path / "all" / "predictions.json").read_text())) == 4


def test_the_schema(tmp_path: Path) -> None:
    done = xenp2m("fleet", "schema")
    assert all(name in done.out for name in TABLES)
    assert "### `bars`" in xenp2m("fleet", "schema", "--markdown").out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["run", "NOWHERE", "-o", "FLEET"], ["no such source"]),
        (["run", "SOURCE", "--kernel", "7x", "-o", "FLEET"], ["unknown kernel"]),
        (["run", "SOURCE"], ["--output"]),
        (["run", "SOURCE", "-o", "FLEET", "--dom0-mem", "lots"], ["lots"]),
        (["run", "SOURCE", "-o", "SOURCE"], ["SOURCE"]),
        (["summary", "SOURCE"], ["no fleet there"]),
        (["query", "FLEET", "SELEC"], ["syntax error"]),
        (["query", "FLEET", "SELECT 1", "--format", "parquet"], ["-o FILE"]),
        (["diff", "FLEET", "--kernel", "3.15"], ["--kernel A --kernel B"]),
        (["diff", "FLEET", "--kernel", "3.15", "--kernel", "4.4"], ["no such kernel"]),
        (["show", "FLEET", "nobody"], ["no such machine"]),
        (["export", "FLEET", "csv"], ["-o FOLDER"]),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    args: list[str], words: list[str], source: Path, fleet: Path
) -> None:
    places = {"SOURCE": str(source), "FLEET": str(fleet), "NOWHERE": str(source.parent / "nowhere")}
    result = xenp2m("fleet", *[places.get(arg, arg) for arg in args])
    assert_one_clear_error(result, *[places.get(word, word) for word in words])


def test_a_missing_extra_is_said_in_one_line(fleet: Path) -> None:
    code = "import sys; sys.modules[{!r}] = None; from xenp2m.cli import run; sys.exit(run(['fleet', {}]))"
    for module, args in (("duckdb", f"'summary', {str(fleet)!r}"), ("pyarrow", "'schema'")):
        done = subprocess.run(
            [sys.executable, "-c", code.format(module, args)], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert "pip install 'xenp2m[fleet]'" in done.stderr
        assert done.stderr.count("\n") == 1


def test_every_command_has_examples() -> None:
    for name in ("run", "summary", "query", "diff", "show", "export", "schema"):
        done = xenp2m("fleet", name, "--help")
        assert done.status == 0
        assert f"xenp2m fleet {name}" in done.out
