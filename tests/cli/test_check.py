from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cli.program import CAPTURES, assert_one_clear_error, run

EXAMPLE = "catalogue:a1e81a7903a5"
"""A Dell Precision T7610: 64-bit BARs above 2 TiB, RAM on both sides of 4 GiB."""
LOG = b"""\
[    0.000000] Linux version 6.1.0 (a@b) (gcc) #1 SMP
[    0.000000] BIOS-provided physical RAM map:
[    0.000000] BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable
[    0.000000] BIOS-e820: [mem 0x0000000000100000-0x00000000bfffffff] usable
[    0.000000] BIOS-e820: [mem 0x0000000100000000-0x000000023fffffff] usable
"""


def test_a_code_a_place_a_reason_a_remedy() -> None:
    result = run("check", EXAMPLE, "--kernel", "3.15", "--kernel", "series")
    assert result.status == 1
    assert "XP103 BAR past the end of the p2m" in result.out
    assert "0000:82:00.0/0  past the 512 GiB that the p2m can hold" in result.out
    assert "remedy: Use Linux 3.16 or later" in result.out
    assert "series: nothing found" in result.out


def test_the_status_says_whether_something_was_found() -> None:
    assert run("check", EXAMPLE, "--kernel", "series").status == 0
    assert run("check", EXAMPLE, "--kernel", "3.15", "--select", "XP402").status == 0
    assert run("check", EXAMPLE, "--kernel", "3.15", "--ignore", "XP10").status == 0
    assert run("check", EXAMPLE, "--kernel", "3.15", "--select", "XP1", "--ignore", "XP103").status == 1


def test_the_default_is_the_capture_s_own_kernel() -> None:
    own = run("check", CAPTURES / "k314-bar", "--format", "json")
    assert own.status == 1
    assert json.loads(own.out)["kernels"] == ["3.14.1"]
    assert run("check", CAPTURES / "k316-bar").status == 0
    unnamed = LOG.split(b"\n", 1)[1]
    newest = json.loads(run("check", "-", "--format", "json", stdin=unnamed).out)
    assert newest["kernels"] == ["6.12"]


def test_notes_are_counted_and_shown_when_asked_for() -> None:
    usual = run("check", EXAMPLE, "--kernel", "3.15")
    assert "XP402" not in usual.out
    assert "not shown: 2 notes (--severity info)" in usual.out
    assert "XP402" in run("check", EXAMPLE, "--kernel", "3.15", "--severity", "info").out
    assert "XP402" in run("check", EXAMPLE, "--kernel", "3.15", "--select", "XP402").out
    assert "XP102" not in run("check", EXAMPLE, "--kernel", "3.15", "--severity", "error").out


def test_kernel_names_are_read_as_elsewhere() -> None:
    value = json.loads(run("check", EXAMPLE, "--kernel", "v3.15", "--kernel", "3.15", "--format", "json").out)
    assert value["kernels"] == ["3.15"]
    assert {finding["kernel"] for finding in value["findings"]} == {"3.15"}


def test_json() -> None:
    value = json.loads(run("check", EXAMPLE, "--kernel", "3.15", "--format", "json").out)
    assert value["format"] == "xenp2m.findings/1"
    assert value["counts"] == {"error": 8, "warning": 8, "info": 0}
    first = next(finding for finding in value["findings"] if finding["where"] == "0000:82:00.0/0")
    assert first["start"] == 0x21FFF000000
    assert first["end"] - first["start"] == 8 << 20
    empty = run("check", EXAMPLE, "--kernel", "series", "--format", "json")
    assert json.loads(empty.out)["findings"] == []


def test_sarif() -> None:
    value = json.loads(run("check", EXAMPLE, "--kernel", "3.15", "--format", "sarif").out)
    assert value["version"] == "2.1.0"
    (only,) = value["runs"]
    rules = only["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    assert len(only["results"]) == 16
    for result in only["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in {"error", "warning", "note"}
        assert result["message"]["text"]
        (location,) = result["locations"]
        assert location["physicalLocation"]["artifactLocation"]["uri"] == "catalogue%3Aa1e81a7903a5"


def test_github() -> None:
    result = run("check", EXAMPLE, "--kernel", "3.15", "--format", "github")
    lines = result.out.splitlines()
    assert len(lines) == 16
    assert all(line.startswith(("::error file=", "::warning file=")) for line in lines)
    assert any(
        "title=XP103 BAR past the end of the p2m::Linux 3.15: 0000:82:00.0/0: " in line for line in lines
    )
    assert run("check", EXAMPLE, "--kernel", "series", "--format", "github").out == ""


def test_junit() -> None:
    out = run("check", EXAMPLE, *("--kernel", "3.15", "--kernel", "series", "--format", "junit")).out
    root = ElementTree.fromstring(out)
    suites = {suite.get("name"): suite for suite in root}
    assert list(suites) == ["captures", "Linux 3.15", "Linux series"]
    assert suites["Linux 3.15"].get("failures") == "2"
    assert suites["Linux series"].get("failures") == "0"
    assert root.get("tests") == str(len(root.findall(".//testcase")))
    assert root.get("failures") == str(len(root.findall(".//failure")))


def test_a_name_of_a_file_breaks_no_format(tmp_path: Path) -> None:
    odd = tmp_path / 'a:b,c%d <&" \x01é.txt'
    odd.write_bytes(LOG)
    for form in ("json", "sarif", "github", "junit", "text"):
        result = run("check", odd, "--format", form, "--severity", "info")
        assert result.status == 0, result
        if form in ("json", "sarif"):
            json.loads(result.out)
        if form == "junit":
            ElementTree.fromstring(result.out)
        if form == "github":
            assert result.out.count("\n") == result.out.count("::notice ")
            assert "a%3Ab%2Cc%25d" in result.out


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github", "junit"])
def test_into_a_file(form: str, tmp_path: Path) -> None:
    target = tmp_path / "out"
    result = run("check", EXAMPLE, "--kernel", "3.15", "--format", form, "-o", target)
    assert (result.status, result.out) == (1, "")
    assert (
        target.read_text(encoding="utf-8") == run("check", EXAMPLE, "--kernel", "3.15", "--format", form).out
    )
    assert_one_clear_error(run("check", EXAMPLE, "-o", tmp_path / "no/such/file"), "No such file")


def test_what_ifs_are_those_of_predict() -> None:
    args = ("--kernel", "6.1", "--dom0-mem", "2G", "--mem", "2G")
    result = run("check", EXAMPLE, *args)
    assert result.status == 1
    assert "XP220" in result.out
    moved = run(
        "check", EXAMPLE, "--kernel", "3.15", "--bar", "82:00.0/0=0x3800000000+8M", "--select", "XP101"
    )
    assert moved.status == 1
    assert "0000:82:00.0/0" in moved.out


def test_colour_only_on_a_terminal() -> None:
    assert "\x1b[" not in run("check", EXAMPLE, "--kernel", "3.15").out
    plain = run("check", EXAMPLE, "--kernel", "3.15", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert plain.status == 1
    assert plain.out.isascii()


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_any_width(columns: str) -> None:
    result = run("check", EXAMPLE, "--kernel", "3.15", "--severity", "info", env={"COLUMNS": columns})
    assert max(map(len, result.out.splitlines())) <= int(columns)


def test_bad_input_and_bad_questions_are_one_clear_line(tmp_path: Path) -> None:
    assert_one_clear_error(run("check", tmp_path / "absent"), "absent")
    assert_one_clear_error(run("check", "-", stdin=b"hello\n"), "no memory map")
    assert_one_clear_error(run("check", EXAMPLE, "--select", "XP104,XP1O1"), "XP1O1", "did you mean XP101")
    assert_one_clear_error(run("check", EXAMPLE, "--ignore", "F401"), "F401")
    assert_one_clear_error(run("check", EXAMPLE, "--kernel", "tree"), "unknown kernel")


def test_a_rule_s_page() -> None:
    result = run("rule", "xp101")
    assert result.status == 0
    for part in ("XP101", "What", "Why", "Kernels", "Example", "Remedy", "Source", "patch 5"):
        assert part in result.out
    assert_one_clear_error(run("rule", "XP1O1"), "did you mean XP101")


def test_the_list_of_rules_and_the_page_of_all() -> None:
    listed = run("rule").out.splitlines()
    assert all(line.startswith("XP") for line in listed)
    page = run("rule", "--markdown").out
    for line in listed:
        assert f"### {line.split()[0]}\n" in page
    assert_one_clear_error(run("rule", "XP101", "--markdown"), "--markdown")
