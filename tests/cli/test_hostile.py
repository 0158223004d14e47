"""Names, numbers and streams as an ill-willed user gives them."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from cli.program import CAPTURES, assert_one_clear_error, run
from cli.terminal import PROGRAM, run_on_terminal

DMESG = CAPTURES / "k314-bar" / "dmesg.txt"
STING = "\x1b[31mred\x1b]0;title\x07"
TURNED = "\u202e"


def shell(command: str) -> subprocess.CompletedProcess[str]:
    names = {"XENP2M": str(PROGRAM), "DMESG": str(DMESG)}
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, env={**os.environ, **names}
    )


def named(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(DMESG.read_bytes())
    return path


def _is_harmless(sent: str) -> None:
    """Check that none of the sting is in what a terminal was sent; colours and progress are our own."""
    for part in ("\x1b[31mred", "\x1b]0;title", "title\x07", TURNED):
        assert part not in sent


@pytest.mark.parametrize(
    "command", [["predict"], ["check", "--severity", "info"], ["ledger"], ["series"], ["tree"]]
)
def test_a_name_sends_a_terminal_nothing_that_it_acts_on(command: list[str], tmp_path: Path) -> None:
    seen = run_on_terminal(command[0], named(tmp_path, STING + TURNED), *command[1:])
    _is_harmless(seen.raw)


def test_the_viewer_sends_a_terminal_nothing_that_it_acts_on(tmp_path: Path) -> None:
    seen = run_on_terminal("view", named(tmp_path, STING + TURNED), keys=(("? keys", "q"),), size=(200, 30))
    assert "red" in seen.raw
    _is_harmless(seen.raw)


def test_an_error_sends_a_terminal_nothing_that_it_acts_on(tmp_path: Path) -> None:
    for arguments in (("predict", tmp_path / STING), ("inspect", named(tmp_path, f"a{STING}"))):
        seen = run_on_terminal(*arguments)
        assert seen.status == 2
        assert "red" in seen.raw
        _is_harmless(seen.raw)


@pytest.mark.parametrize("form", ["text", "sarif", "github", "junit", "json"])
def test_no_report_holds_an_escape_sequence(form: str, tmp_path: Path) -> None:
    capture = named(tmp_path, STING + os.fsdecode(b"\xff"))
    result = run("check", capture, "--format", form)
    assert result.status == 1
    assert "\x1b" not in result.out
    assert run("check", capture, "--format", form, "-o", tmp_path / "out").status == 1
    assert b"\x1b" not in (tmp_path / "out").read_bytes()


def test_closed_streams_are_no_traceback() -> None:
    read = shell('"$XENP2M" predict - <&-')
    assert (read.returncode, read.stderr.count("\n")) == (2, 1)
    assert shell('"$XENP2M" kernels >&-').returncode == 0
    assert shell('"$XENP2M" predict "$DMESG" --json >&- 2>&-').returncode == 1
    assert shell('"$XENP2M" predict nosuch 2>&-').returncode == 2
    assert shell('"$XENP2M" predict nosuch 2>/dev/full').returncode == 2


def test_pipes_are_read_once() -> None:
    done = shell('"$XENP2M" diff <(cat "$DMESG") "$DMESG"')
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_no_regular_file_is_no_dump(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        for name in ("fifo", "socket", "."):
            assert_one_clear_error(run("inspect", tmp_path / name), "not a dump")


def test_an_empty_name_is_not_this_folder() -> None:
    assert_one_clear_error(run("predict", ""), "a file name is empty")


def device(path: Path, minor: int) -> Path:
    """Make a node of /dev/null (3) or /dev/full (7): the system's own are not to be lost if a test fails."""
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
        path.open("wb").close()
    except PermissionError:
        pytest.skip("devices cannot be made here")
    return path


def test_output_to_a_device_leaves_it_what_it_is(tmp_path: Path) -> None:
    null = device(tmp_path / "null", 3)
    assert run("machine", DMESG, "-o", null).status == 0
    assert stat.S_ISCHR(null.lstat().st_mode)


def test_output_to_a_link_to_a_pipe(tmp_path: Path) -> None:
    link = tmp_path / "stdout"
    link.symlink_to("/proc/self/fd/1")
    assert "xenp2m.machine/1" in run("machine", DMESG, "-o", link).out
    assert link.is_symlink()


def test_output_goes_to_where_a_link_leads(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("old.json")
    (tmp_path / "old.json").write_text("old")
    assert run("machine", DMESG, "-o", tmp_path / "link").status == 0
    assert (tmp_path / "link").is_symlink()
    assert "xenp2m.machine/1" in (tmp_path / "old.json").read_text()


def test_errors_of_output_name_the_file_that_was_asked_for(tmp_path: Path) -> None:
    missing = tmp_path / "none" / "out.json"
    assert_one_clear_error(run("machine", DMESG, "-o", missing), f"{missing}: No such file")


def test_a_full_disk_is_said_with_the_name_of_the_file(tmp_path: Path) -> None:
    full = device(tmp_path / "full", 7)
    assert_one_clear_error(run("machine", DMESG, "-o", full), f"{full}: No space left")


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", DMESG, "--bar", "3b:00.0/2=0xffffffffffffffffffff+32M"),
        ("predict", DMESG, "--bar", "3b:00.0/2=0x38000000000+32E"),
        ("predict", DMESG, "--bar", "3b:00.0/٢=0x38000000000+32M"),
        ("predict", DMESG, "--mem", "٢G"),
        ("predict", DMESG, "--mem", "9" * 5000),
        ("predict", DMESG, "--kernel", "٣.١٥"),
        ("explain", DMESG, "00:02.0/²"),
        ("explain", DMESG, "00:02.0/" + "9" * 5000),
        ("explain", DMESG, "0x10000000000000000"),
        ("explain", DMESG, "pfn:0x10000000000000"),
        ("translate", DMESG, "--kernel", "6.1", "--pfn", "0x10000000000000"),
        ("translate", DMESG, "--kernel", "6.1", "--mfn", "0x10000000000000"),
        ("translate", DMESG, "--kernel", "6.1", "--phys", "0x10000000000000000"),
        ("translate", DMESG, "--kernel", "6.1", "--machine", "0x10000000000000000"),
        ("lab", "run", "pc-512m", "--timeout", "nan"),
        ("fleet", "run", DMESG, "-o", "fleet", "--time-limit", "nan"),
    ],
    ids=lambda arguments: " ".join(map(str, arguments[2:]))[:40],
)
def test_numbers_that_cannot_be(arguments: tuple[str | Path, ...]) -> None:
    assert_one_clear_error(run(*arguments))


def test_the_last_frame_and_the_last_byte_can_be_asked_for() -> None:
    result = run(
        "translate", DMESG, "--kernel", "6.1", "--pfn", "0xfffffffffffff", "--phys", "0xffffffffffffffff"
    )
    assert result.status == 0
    assert "machine address 0xffffffffffffffff" in result.out


def test_codes_of_the_audit_are_known_as_such() -> None:
    assert_one_clear_error(run("rule", "XA101"), "xenp2m audit")


def test_nothing_to_look_for_is_not_nothing_found() -> None:
    assert_one_clear_error(run("check", DMESG, "--ignore", "XP"), "no rule is left")
    assert_one_clear_error(run("check", DMESG, "--select", "XP101", "--ignore", "XP1"), "no rule is left")


def test_a_prediction_is_no_capture() -> None:
    prediction = run("predict", DMESG, "--json").out.encode()
    result = run("predict", "-", stdin=prediction)
    assert_one_clear_error(result, "not a record of machine facts")
    assert "KeyError" not in result.err


def test_explain_without_a_question_says_what_lacks() -> None:
    assert_one_clear_error(run("explain", DMESG), "82:00.0/0")
