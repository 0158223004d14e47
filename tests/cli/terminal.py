"""The installed command on a pseudo terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from dataclasses import dataclass
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("xenp2m")

_SECONDS = 60
_CONTROL = re.compile(
    r"\x1b(?:\[[0-9;?<>=]*[A-Za-z]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_].*?\x1b\\|[=>()][A-B0]?)"
)


@dataclass(frozen=True)
class Seen:
    """What a terminal was sent, and how the program ended."""

    status: int
    raw: str

    @property
    def text(self) -> str:
        """What was sent, without control sequences."""
        return _CONTROL.sub("", self.raw)


def run_on_terminal(
    *args: str | Path,
    keys: tuple[tuple[str, str], ...] = (),
    size: tuple[int, int] = (80, 24),
    env: dict[str, str] | None = None,
    program: Path = PROGRAM,
) -> Seen:
    """Run ``xenp2m`` (or a script around $XENP2M) on a terminal of columns and lines.

    ``keys`` are typed one after the other, each as soon as the text before it was seen since the last one.
    """
    surroundings = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    surroundings |= {"TERM": "xterm-256color", "PATH": os.environ["PATH"], "LANG": "C.UTF-8", **(env or {})}
    command = ["sh", str(program)] if program != PROGRAM else [str(program)]
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe(command[0], [*command, *map(str, args)], {**surroundings, "XENP2M": str(PROGRAM)})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    sent, since, waiting = "", 0, list(keys)
    end = time.monotonic() + _SECONDS
    try:
        while time.monotonic() < end:
            if waiting and waiting[0][0] in _CONTROL.sub("", sent[since:]):
                since = len(sent)
                os.write(terminal, waiting.pop(0)[1].encode())
            if not select.select([terminal], [], [], 0.1)[0]:
                continue
            try:
                data = os.read(terminal, 1 << 16)
            except OSError:  # the last program on the terminal has ended
                break
            if not data:
                break
            sent += data.decode("utf-8", "replace")
        else:
            os.kill(child, signal.SIGKILL)
    finally:
        _, status = os.waitpid(child, 0)
        os.close(terminal)
    return Seen(os.waitstatus_to_exitcode(status), sent)
