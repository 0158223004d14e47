"""What commands do on terminals: width, ASCII, colour, progress, Ctrl-C, closed pipes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from cli.program import CAPTURES, DATA, run
from cli.terminal import PROGRAM, run_on_terminal

CAPTURE = CAPTURES / "k314-bar"
DUMP = DATA / "dumps/k314-bar.reduced.elf.zst"
COMMANDS: dict[str, tuple[str | Path, ...]] = {
    "predict": ("predict", CAPTURE, "--kernel", "3.15", "--kernel", "series", "--all-bars"),
    "check": ("check", CAPTURE, "--kernel", "3.15", "--severity", "info"),
    "explain": ("explain", CAPTURE, "0x100000000", "--kernel", "3.15"),
    "series": ("series", CAPTURE),
    "ledger": ("ledger", CAPTURE, "--kernel", "3.15", "--kernel", "6.1"),
    "inspect": ("inspect", DUMP, "--machine", CAPTURE),
    "audit": ("audit", DUMP),
    "diff": ("diff", CAPTURE, DUMP, "--kernel", "6.1"),
    "kernels": ("kernels",),
    "shapes": ("lab", "shapes"),
}
ADDRESSES = re.compile(r"0x[0-9a-f]+")
BIG = 1 << 36


@pytest.mark.parametrize("name", COMMANDS)
def test_every_width_shows_all_of_it(name: str) -> None:
    wide = run(*COMMANDS[name], env={"COLUMNS": "240"})
    addresses = set(ADDRESSES.findall(wide.out))
    for width in (40, 80, 120):
        result = run(*COMMANDS[name], env={"COLUMNS": str(width)})
        assert result.status == wide.status
        assert max(len(line.rstrip()) for line in result.out.splitlines()) <= width
        assert result.out.count("…") == wide.out.count("…")
        assert set(ADDRESSES.findall(result.out)) == addresses or name == "ledger"  # its reasons need room
        assert "\x1b" not in result.out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_c_locale_gets_ascii(name: str) -> None:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "PYTHON"))}
    done = subprocess.run(
        [PROGRAM, *COMMANDS[name]], env={**env, "LANG": "C"}, capture_output=True, check=False
    )
    assert done.stdout
    assert done.stdout.isascii()
    assert done.stderr.isascii()


def test_the_map_fills_the_terminal() -> None:
    for columns in (60, 132):
        seen = run_on_terminal("predict", CAPTURE, "--kernel", "6.1", "--no-log", size=(columns, 40))
        line = next(line for line in seen.text.splitlines() if line.startswith("6.1 "))
        assert len(line.rstrip("\r")) == columns


def test_a_very_wide_terminal_is_not_filled() -> None:
    out = run("predict", CAPTURE, "--kernel", "6.1", env={"COLUMNS": "1000"}).out
    assert max(map(len, out.splitlines())) == 240


def test_no_color_on_a_terminal() -> None:
    coloured = re.compile(r"\x1b\[[0-9;]*3[0-7]m")
    args = ("predict", CAPTURE, "--kernel", "6.1")
    assert coloured.search(run_on_terminal(*args).raw)
    assert not coloured.search(run_on_terminal(*args, env={"NO_COLOR": "1"}).raw)


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """A memory image that takes a minute to look at and no room on the disk."""
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(BIG)
    return image


def test_progress_on_a_terminal_and_ctrl_c(big: Path, tmp_path: Path) -> None:
    seen = run_on_terminal("inspect", "--raw", big, keys=(("looking at every page", "\x03"),), size=(100, 24))
    assert seen.status == 130
    assert re.search(r"looking at every page .* \d+% 0:00:\d\d left", seen.text)
    assert seen.text.rstrip().splitlines()[-1].endswith("xenp2m: interrupted")
    assert "Traceback" not in seen.text
    assert seen.raw.rindex("\x1b[?25h") > seen.raw.rindex("\x1b[?25l")  # the cursor is back


def test_nothing_but_one_line_when_piped_and_interrupted(big: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    process = subprocess.Popen(
        [PROGRAM, "inspect", "--raw", big, "--map", out / "map.json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    _wait_for_map(process.pid, big)
    process.send_signal(signal.SIGINT)
    printed, complaints = process.communicate(timeout=60)
    assert (process.returncode, printed, complaints) == (130, b"", b"xenp2m: interrupted\n")
    assert list(out.iterdir()) == []


def _wait_for_map(pid: int, image: Path) -> None:
    end = time.monotonic() + 30
    while str(image) not in Path(f"/proc/{pid}/maps").read_text():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_an_interrupted_command_leaves_no_child(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    for name in ("apt-get", "apt-cache", "dpkg", "qemu-system-x86_64"):
        tool = tmp_path / name
        tool.write_text(f"#!/bin/sh\necho $$ > {told}\nexec sleep 600\n")
        tool.chmod(0o755)
    process = subprocess.Popen(
        [PROGRAM, "lab", "setup", "--cache", tmp_path / "cache"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        stderr=subprocess.PIPE,
    )
    end = time.monotonic() + 30
    while not told.exists() or not told.read_text().strip():
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate(timeout=60)
    end = time.monotonic() + 30
    assert (process.returncode, complaints) == (130, b"xenp2m: interrupted\n")
    while _is_running(int(told.read_text())):
        assert time.monotonic() < end
        time.sleep(0.02)
    assert list((tmp_path / "cache").iterdir()) == []


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # dead, and not yet waited for by whoever inherited it


@pytest.mark.parametrize("name", COMMANDS)
def test_a_reader_that_goes_away_is_no_error(name: str) -> None:
    command = " ".join(f"'{each}'" for each in (PROGRAM, *COMMANDS[name]))
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -c 1 > /dev/null; exit ${{PIPESTATUS[0]}}"],
        stderr=subprocess.PIPE,
        check=False,
    )
    assert done.stderr == b""
    assert done.returncode in {0, 1, 141}


def test_the_status_of_a_closed_pipe_says_so() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [PROGRAM, "predict", CAPTURE, "--kernel", "6.1"], stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")
