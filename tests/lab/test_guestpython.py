"""This Python packed for a guest."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lab.test_initrd import read_newc
from xenp2m.lab.guestpython import ROOT, GuestPython, build


@pytest.fixture(scope="module")
def packed() -> GuestPython:
    return build()


def parts(line: str) -> tuple[str, str, str, str]:
    """Return the loader, the folders of libraries, the interpreter and PYTHONPATH of a line of shell."""
    words = shlex.split(line.rpartition(" && ")[2])
    loader, _, homes, interpreter, *arguments = words[words.index(ROOT) + 1 :]
    assert arguments == ["-m", "xenp2m"]
    (path,) = [word.partition("=")[2] for word in words if word.startswith("PYTHONPATH=")]
    return loader, homes, interpreter, path


def test_everything_that_the_line_names_is_there(packed: GuestPython) -> None:
    found = read_newc(packed.archive)
    loader, homes, interpreter, path = parts(packed.line)
    for name in (loader, interpreter, *homes.split(":")):
        assert f"{ROOT[1:]}{name}" in found
    places = [f"{ROOT[1:]}{place}" for place in path.split(":")]
    for module in ("xenp2m/dump/live.py", "numpy/ma/__init__.py", "runpy.py", "click/__init__.py"):
        assert any(f"{place}/{module}" in found for place in places), module
    assert any(f".{sys.implementation.cache_tag}.pyc" in name for name in found)
    assert not any("/tests/" in name for name in found if "numpy" in name)


def test_the_program_runs_where_there_is_nothing_else(packed: GuestPython, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("changing the root folder needs root")
    for name, (mode, data, _) in read_newc(packed.archive).items():
        path = tmp_path / name
        if stat.S_ISDIR(mode):
            path.mkdir()
        elif stat.S_ISLNK(mode):
            path.symlink_to(data.decode())
        else:
            path.write_bytes(data)
            path.chmod(stat.S_IMODE(mode))
    loader, homes, interpreter, path_variable = parts(packed.line)
    command = [loader, "--library-path", homes, interpreter, "-m", "xenp2m", "inspect", "--live"]
    done = subprocess.run(
        ["chroot", tmp_path / ROOT[1:], *command],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path_variable},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "not a Xen guest" in done.stderr, done
    assert done.returncode == 2
