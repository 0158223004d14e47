from __future__ import annotations

import subprocess
import sys

import pytest

from cli.program import assert_one_clear_error, run
from xenp2m.cli import COMMANDS


def test_help_names_every_command() -> None:
    result = run("--help")
    assert result.status == 0
    for name in COMMANDS:
        assert f"\n  {name} " in result.out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = run(name, "--help")
    assert result.status == 0
    assert f"xenp2m {name}" in result.out


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from xenp2m.cli import run; run(['--help']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for heavy in ("'numpy'", "'rich'", "'xenp2m.boot'"):
        assert heavy not in done.stdout


def test_no_arguments_show_the_help() -> None:
    assert "Commands:" in run().out


def test_typos_get_a_hint() -> None:
    assert_one_clear_error(run("predcit"), "predcit", "did you mean predict?")
    assert_one_clear_error(run("predict", "--kernle", "3.15"), "--kernle", "--kernel")
    assert_one_clear_error(run("frobnicate"), "the commands are predict")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    result = run("completion", shell)
    assert result.status == 0
    assert "_XENP2M_COMPLETE" in result.out


def test_kernels_lists_generations_and_patches() -> None:
    out = run("kernels").out
    for word in ("3.15", "C612", "series:1-5", "set regions above the end of RAM as 1:1"):
        assert word in out


def test_a_closed_pipe_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m xenp2m kernels | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
