"""Children that cannot outlive the lab, and folders that do not pile up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from xenp2m.lab.errors import LabError
from xenp2m.lab.process import Lines, Process
from xenp2m.lab.scratch import scratch

PARENT = """
import sys, time
from pathlib import Path
from xenp2m.lab.process import Process
from xenp2m.lab.scratch import scratch
with scratch(Path(sys.argv[1])), Process(["sleep", "300"], []) as child:
    print(child.pid, flush=True)
    while True:  # a signal that comes just before a sleep does not end it
        time.sleep(0.1)
"""


def alive(pid: int) -> bool:
    """Return whether a process runs; one that is dead and not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def wait_dead(pid: int) -> None:
    """Wait for the end of a process that need not be a child; the caller's time limit applies."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        import select

        assert select.select([handle], [], [], 20)[0], "the process lives on"
    finally:
        os.close(handle)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_child_dies_with_its_parent(end: signal.Signals, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, tmp_path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.send_signal(end)
        parent.wait(20)
        wait_dead(child)
    with scratch(tmp_path) as fresh:
        assert list(tmp_path.iterdir()) == [fresh]
    assert list(tmp_path.iterdir()) == []


def test_a_child_that_ignores_the_request_is_killed() -> None:
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"
    process = Process([sys.executable, "-c", stubborn], [])
    process.stop()
    assert not alive(process.pid)


def test_a_program_that_is_not_there_is_an_error() -> None:
    with pytest.raises(LabError, match="cannot start QEMU"):
        Process(["/nonexistent/qemu"], [])


def test_what_a_program_complains_of_is_kept() -> None:
    lines = Lines()
    with Process(["sh", "-c", "echo one >&2; echo bad option >&2; exec 1>&-"], list(lines.files)) as process:
        lines.close_theirs()
        assert lines.xen.recv(1) == b""
        assert process.complaint() == "bad option"
    lines.close()
