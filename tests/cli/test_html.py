"""``--html`` of predict, check, inspect and diff."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cli.program import CAPTURES, DATA, assert_one_clear_error, run

DUMPS = DATA / "dumps"

COMMANDS: list[list[str | Path]] = [
    ["predict", CAPTURES / "bar-512g", "--kernel", "3.15", "--kernel", "series"],
    ["check", CAPTURES / "bar-512g", "--kernel", "3.15", "--severity", "info"],
    ["diff", CAPTURES / "pc-1g", CAPTURES / "pc-1g", "--kernel", "3.15", "--kernel", "series"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_the_page_comes_on_top_of_what_is_printed_anyway(command: list[str | Path], tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    plain, with_page = run(*command), run(*command, "--html", target)
    assert (with_page.status, with_page.out) == (plain.status, plain.out)
    assert with_page.err == f"{plain.err}xenp2m: wrote {target} ({target.stat().st_size >> 10} KiB)\n"
    text = target.read_text()
    assert text.startswith("<!doctype html>")
    assert len(text.encode()) < 1_500_000


def test_a_dump_has_a_page_with_its_domains(tmp_path: Path) -> None:
    dump = next(iter(sorted(DUMPS.glob("*.elf.zst"))), None)
    if dump is None:
        pytest.skip("no dumps among the tests' data")
    target = tmp_path / "page.html"
    result = run("inspect", dump, "--html", target)
    assert result.status == 0, result
    assert "domain 0" in target.read_text()


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    result = run("predict", CAPTURES / "pc-1g", "--kernel", "6.1", "--html", tmp_path / "no/where.html")
    assert_one_clear_error(result, "where.html", "No such file")


def test_without_the_extra_one_line_names_it(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['jinja2'] = None\n"
        "import importlib.util as util; find = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'jinja2' else find(name, *rest)\n"
        "from xenp2m.cli import run; sys.exit(run(sys.argv[1:]))"
    )
    target = tmp_path / "page.html"
    done = subprocess.run(
        [sys.executable, "-c", code, "predict", CAPTURES / "pc-1g", "--html", target],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "xenp2m[html]" in done.stderr
    assert not target.exists()
