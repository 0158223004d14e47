from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli.program import CAPTURES, DATA, assert_one_clear_error, run
from cli.terminal import run_on_terminal

CAPTURE = CAPTURES / "k314-bar"
DUMP = DATA / "dumps/k314-bar.reduced.elf.zst"
COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*(?:[349][0-7]|10[0-7]|[34]8;[25])(?:;[0-9]+)*m")


def test_it_needs_a_terminal() -> None:
    assert_one_clear_error(run("view", CAPTURE), "terminal", "xenp2m predict")


def test_it_names_the_extra_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "textual").mkdir()
    (tmp_path / "textual/__init__.py").write_text("raise ModuleNotFoundError('no textual', name='textual')\n")
    result = run("view", CAPTURE, env={"PYTHONPATH": str(tmp_path)})
    assert_one_clear_error(result, "needs the extra view", "pip install 'xenp2m[view]'")


def test_bad_input_is_one_line_on_the_terminal_too(tmp_path: Path) -> None:
    empty = tmp_path / "dmesg.txt"
    empty.write_text("nothing of use\n")
    seen = run_on_terminal("view", empty)
    assert seen.status == 2
    assert "no memory map" in seen.text
    assert "\x1b[?1049h" not in seen.raw


def test_machine_goes_with_a_dump() -> None:
    seen = run_on_terminal("view", CAPTURE, "--machine", CAPTURE)
    assert (seen.status, "goes with a dump" in seen.text) == (2, True)


@pytest.mark.parametrize("last", ["q", "\x03"], ids=["q", "ctrl-c"])
def test_looked_at_and_left(last: str) -> None:
    seen = run_on_terminal(
        "view",
        CAPTURE,
        *("--kernel", "3.15", "--kernel", "series"),
        keys=(("q quit", "d"), ("1 difference", last)),
    )
    assert seen.status == 0
    assert "3.15 → series" in seen.text
    assert seen.raw.rindex("\x1b[?1049l") > seen.raw.rindex("\x1b[?1049h")  # the old screen is back


def test_a_dump_beside_its_prediction() -> None:
    seen = run_on_terminal(
        "view",
        DUMP,
        *("--machine", CAPTURE, "--kernel", "3.14"),
        keys=(("q quit", "d"), ("no differences", "q")),
        size=(100, 30),
    )
    assert seen.status == 0
    assert "domain 0 → 3.14: no differences" in seen.text


def test_few_colours_none_and_ascii() -> None:
    keys = (("q quit", "q"),)
    sixteen = run_on_terminal("view", CAPTURE, keys=keys, env={"TERM": "xterm"})
    assert COLOUR.search(sixteen.raw)
    assert "38;2" not in sixteen.raw
    assert "38;5" not in sixteen.raw
    none = run_on_terminal("view", CAPTURE, keys=keys, env={"NO_COLOR": "1"})
    assert not COLOUR.search(none.raw)
    ascii_only = run_on_terminal("view", CAPTURE, keys=keys, env={"LANG": "C"})
    assert ascii_only.raw.isascii()
    assert ascii_only.status == sixteen.status == none.status == 0


def test_a_capture_from_a_pipe_and_keys_from_the_terminal(tmp_path: Path) -> None:
    script = tmp_path / "piped"
    text = CAPTURE / "dmesg.txt"
    script.write_text(f"#!/bin/sh\nexec \"$XENP2M\" view - --kernel 6.1 < '{text}'\n")
    seen = run_on_terminal(program=script, keys=(("q quit", "q"),))
    assert seen.status == 0
    assert "standard input" in seen.text
