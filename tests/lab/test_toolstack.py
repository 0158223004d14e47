"""Xen's toolstack and a domU's console: played by a dom0 of a few lines, and the real relay on a terminal."""

from __future__ import annotations

import bz2
import os
import pty
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from importlib import resources
from threading import Thread

import pytest

from xenp2m.lab.console import Answer
from xenp2m.lab.errors import GuestError
from xenp2m.lab.shape import Domu
from xenp2m.lab.toolstack import DomuConsole, Toolstack
from xenp2m.units import MIB

RELAY = resources.files("xenp2m.lab") / "guest" / "relay"
DOMU = Domu(name="u", memory=160 * MIB, maxmem=224 * MIB, e820_host=True, pci=(0,))


class Dom0:
    """Answers by the first words of what it is asked, and remembers it all."""

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def ask(self, command: str) -> Answer:
        self.asked.append(command)
        found = (
            answer for start, answer in self.answers.items() if command.startswith(start.replace("_", " "))
        )
        return next(found, Answer(0, b""))


def toolstack(dom0: Dom0) -> tuple[Toolstack, int]:
    with tempfile.TemporaryFile() as file:
        disk = os.dup(file.fileno())
    os.ftruncate(disk, 4 * MIB)
    return Toolstack(dom0, disk), disk


def test_a_domu_is_configured_as_its_shape_says() -> None:
    dom0 = Dom0(xl_domid=Answer(0, b"7\n"))
    assert toolstack(dom0)[0].create(DOMU, ["0000:00:03.0"]) == 7
    assert dom0.asked[:2] == ["toolstack", "xl pci-assignable-add 0000:00:03.0"]
    create = dom0.asked[2]
    for item in (
        'type="pv"',
        "memory=160",
        "maxmem=224",
        "e820_host=1",
        'pci=["0000:00:03.0"]',
        "lab.tty=hvc0",
    ):
        assert item in create
    assert "\n" not in create


def test_what_the_toolstack_complains_of_is_said() -> None:
    dom0 = Dom0(xl_create=Answer(6, b"Parsing config\nlibxl: error: passthrough not supported\n"))
    with pytest.raises(GuestError, match=r"xl create.*passthrough not supported"):
        toolstack(dom0)[0].create(DOMU, ())


def test_a_listing_comes_from_the_disk_without_what_was_there_before() -> None:
    dom0 = Dom0()
    tools, disk = toolstack(dom0)
    os.pwrite(disk, b"old" * MIB, 0)

    def listing(command: str) -> Answer:
        os.pwrite(disk, b"new" * MIB, 0)
        return Answer(0, b"")

    dom0.ask = listing  # type: ignore[method-assign]
    assert tools.frame_listing(7) == b"new" * MIB
    assert os.fstat(disk).st_size == 4 * MIB


def test_a_domu_that_panics_ends_the_wait() -> None:
    dom0 = Dom0(relay=Answer(255, b"[    1.0] Kernel panic - not syncing: no init\n"))
    with pytest.raises(GuestError, match="no init"):
        DomuConsole(dom0, DOMU, "/dev/pts/0")


def relay(*line: str, plays: Callable[[int], object]) -> subprocess.CompletedProcess[bytes]:
    """Run the relay on one end of a terminal, while a thread plays the domU on the other."""
    if shutil.which("bunzip2") is None:
        pytest.skip("bunzip2 is not installed")
    ours, theirs = pty.openpty()
    thread = Thread(target=plays, args=(ours,), daemon=True)
    thread.start()
    try:
        return subprocess.run(
            ["sh", str(RELAY), os.ttyname(theirs), *line], capture_output=True, timeout=20, check=False
        )
    finally:
        os.close(theirs)
        os.close(ours)


def test_the_relay_waits_for_the_domu() -> None:
    done = relay(plays=lambda end: os.write(end, b"[    0.1] Linux\n@@READY\n"))
    assert done.returncode == 0, done


def test_the_relay_hands_a_line_on_and_its_answer_back() -> None:
    packed = bz2.compress(b"@@0 5\nraw\x04\x1a\r\n" * 900)

    def play(end: int) -> None:
        asked = b""
        while not asked.endswith(b"\n"):
            asked += os.read(end, 4096)
        assert asked == b"cat 'a  b' \\n *\n"
        os.write(end, b"[    9.9] a late word of the kernel\n@@3 %d\n" % len(packed) + packed)

    done = relay("cat 'a  b' \\n *", plays=play)
    assert (done.returncode, done.stdout) == (3, b"@@0 5\nraw\x04\x1a\r\n" * 900)


def test_the_relay_notices_a_panic() -> None:
    done = relay("true", plays=lambda end: os.write(end, b"[    1.0] Kernel panic - not syncing\n"))
    assert done.returncode == 255
    assert b"not syncing" in done.stdout
