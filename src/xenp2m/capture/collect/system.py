"""The running system, or a recording of its /proc and /sys: what can be read of it, with bounds."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from threading import Timer
from typing import IO

from xenp2m.progress import alive, reporter
from xenp2m.units import KIB, MIB

_MAX_FILE = 4 * MIB
_MAX_OUTPUT = 64 * MIB
_MAX_NAMES = 65536
_RECORD = 16 * KIB
"""The longest record of /dev/kmsg is 8 KiB (kernel/printk/printk.c)."""
_PATIENCE = 20.0
"""Seconds that a program may take."""
_TICK = 0.5
_SBIN = "/usr/sbin:/sbin"


class System:
    """A system below ``root``: "/" is the running one, another folder a recording.

    A recording holds ``proc/``, ``sys/`` and ``dev/kmsg`` as files, and what programs printed in
    ``commands/``, under the program's name and arguments joined by "-" (``commands/xl-dmesg``).
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.is_live = root.resolve() == Path("/")

    @property
    def processor(self) -> str:
        """What ``uname -m`` prints; empty in a recording of a kernel before 6.1."""
        return os.uname().machine if self.is_live else self.text("proc/sys/kernel/arch")

    def read(self, path: str) -> bytes:
        """Return the start of a file; nothing if it is not there or may not be read."""
        try:
            with (self.root / path).open("rb") as file:
                return _all_of(file, _MAX_FILE)
        except OSError:
            return b""

    def text(self, path: str) -> str:
        """Return a file of one line without its end."""
        return self.read(path).decode("utf-8", "replace").strip()

    def names(self, path: str) -> list[str]:
        """Return the names in a folder, sorted; none if it is not there."""
        try:
            with os.scandir(self.root / path) as entries:
                return sorted(entry.name for entry, _ in zip(entries, range(_MAX_NAMES), strict=False))
        except OSError:
            return []

    def output(self, *command: str) -> bytes:
        """Return what a program prints; nothing if it fails, is not there or takes too long."""
        if not self.is_live:
            return self.read(f"commands/{'-'.join(command)}")
        search = f"{os.environ.get('PATH', os.defpath)}:{_SBIN}"
        program = shutil.which(command[0], path=search)
        if program is None:
            return b""
        with (
            suppress(OSError),
            subprocess.Popen(
                [program, *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"PATH": search, "LC_ALL": "C"},
            ) as process,
        ):
            timer = Timer(_PATIENCE, process.kill)
            timer.start()
            told = reporter(f"running {command[0]}") or _silent
            told(0, 1)
            try:
                printed = _printed(process)
            finally:
                told(1, 1)
                timer.cancel()
                process.kill()
            return printed
        return b""

    def kernel_messages(self) -> bytes:
        """Return the records of /dev/kmsg, ``prefix;text`` a line."""
        path = self.root / "dev/kmsg"
        if not path.is_char_device():
            return self.read("dev/kmsg")
        records = []
        try:
            device = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return b""
        try:
            size = 0
            while size < _MAX_OUTPUT:
                try:
                    record = os.read(device, _RECORD)
                except BrokenPipeError:  # records were overwritten before they were read: go on at the oldest
                    continue
                if not record:
                    break
                records.append(record)
                size += len(record)
        except OSError:  # no more for now
            pass
        finally:
            os.close(device)
        return b"".join(records)


def _silent(_done: int, _total: int) -> None:
    """Tell nobody."""


def _printed(process: subprocess.Popen[bytes]) -> bytes:
    """Return what a program prints, with a sign of life while it prints nothing."""
    assert process.stdout is not None
    pieces, left = [], _MAX_OUTPUT
    with DefaultSelector() as waiting:
        waiting.register(process.stdout, EVENT_READ)
        while left:
            if not waiting.select(_TICK):
                alive()
            elif piece := os.read(process.stdout.fileno(), min(left, MIB)):
                pieces.append(piece)
                left -= len(piece)
            else:
                break
    return b"".join(pieces)


def _all_of(file: IO[bytes], limit: int) -> bytes:
    pieces, left = [], limit
    while left and (piece := file.read(min(left, MIB))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
