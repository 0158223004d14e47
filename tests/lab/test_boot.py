"""Real boots.  They need QEMU and what ``xenp2m lab setup`` fetches: without, they are skipped, or fail where
XENP2M_LAB=required."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.test_process import wait_dead
from xenp2m.lab.errors import LabError
from xenp2m.lab.kit import Own, default_cache, find_kit

SHAPES = ("pc-512m", "bar-640g", "domu-plain")
SMALLEST = SHAPES[0]
TELLING = """
import sys
from pathlib import Path
from xenp2m.lab.kit import Own, default_cache, find_kit
from xenp2m.lab.run import run_shape
from xenp2m.lab.shapefile import chosen_shapes
(shape,) = chosen_shapes(("domu-plain",))
kit = find_kit(default_cache(), Own())
run_shape(shape, kit, timeout=300, output=Path(sys.argv[1]), progress=lambda step: print(step, flush=True))
"""
"""Boots a machine with a domU, saying what it does."""

PROGRAM = Path(sys.executable).with_name("xenp2m")


@pytest.fixture(autouse=True, scope="module")
def lab() -> None:
    try:
        find_kit(default_cache(), Own())
    except LabError as error:
        if os.environ.get("XENP2M_LAB") == "required":
            pytest.fail(f"XENP2M_LAB=required: {error}")
        pytest.skip(str(error))


def qemu_of(command: subprocess.Popen[Any]) -> int:
    """Return the number of the QEMU that a command started, once it runs."""
    children = Path(f"/proc/{command.pid}/task/{command.pid}/children")
    while command.poll() is None:
        for child in children.read_text().split():
            if Path(f"/proc/{child}/comm").read_text().startswith("qemu-system"):
                return int(child)
    raise AssertionError("no QEMU was started")


@pytest.mark.parametrize("name", SHAPES)
def test_a_machine_does_what_was_predicted(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [PROGRAM, "lab", "run", name, "--json", "-o", tmp_path], capture_output=True, timeout=400, check=False
    )
    (value,) = json.loads(done.stdout)
    assert value["outcome"] == "equal", value
    assert done.returncode == 0
    domus = [each["name"] for each in value["shape"]["domu"]]
    assert [each["equal"] for each in value["comparisons"]] == [True] * (4 if domus else 3)
    assert all(bar["usable"] for bar in value["bars"])
    assert [each["name"] for each in value["domus"]] == domus
    assert [each["equal"] for domu in value["domus"] for each in domu["comparisons"]] == [True] * 6 * len(
        domus
    )
    assert {path.name for path in tmp_path.iterdir()} == {name, *(f"{name}.{domu}" for domu in domus)}
    checked = subprocess.run(
        [PROGRAM, "lab", "report", tmp_path], capture_output=True, timeout=60, check=True
    )
    assert f"| {name} |".encode() in checked.stdout


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_leaves_nothing(end: signal.Signals, tmp_path: Path) -> None:
    with subprocess.Popen(
        [PROGRAM, "lab", "run", SMALLEST, "-o", tmp_path], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as command:
        qemu = qemu_of(command)
        command.send_signal(end)
        status = command.wait(30)
        wait_dead(qemu)
    assert status == (130 if end is signal.SIGINT else -signal.SIGKILL)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_killed_while_a_domu_boots_leaves_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", TELLING, tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as command:
        assert command.stdout is not None
        assert any(line == "booting plain\n" for line in command.stdout)
        qemu = qemu_of(command)
        command.kill()
        command.wait(30)
        wait_dead(qemu)
    assert list(tmp_path.iterdir()) == []


def test_a_machine_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    done = subprocess.run(
        [PROGRAM, "lab", "run", SMALLEST, "--timeout", "1", "--json"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    (value,) = json.loads(done.stdout)
    assert done.returncode == 2
    assert "out of time" in value["error"]


def test_a_machine_that_panics_says_why(tmp_path: Path) -> None:
    shape = tmp_path / "starved.toml"
    shape.write_text('memory = "512M"\ndom0_mem = "32M,max:32M"\n')
    done = subprocess.run(
        [PROGRAM, "lab", "run", "--shape", shape, "--timeout", "60", "--json"],
        capture_output=True,
        timeout=100,
        check=False,
    )
    (value,) = json.loads(done.stdout)
    assert done.returncode == 2
    assert "anic" in value["error"] or "RAM" in value["error"], value
