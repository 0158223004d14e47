"""Reading what a booting machine says, and asking dom0: waiting is always for words, never for a while."""

from __future__ import annotations

import bz2
import re
import selectors
import shlex
import socket
import time
from dataclasses import dataclass
from typing import Protocol

from xenp2m.lab.errors import GuestError
from xenp2m.progress import alive

_FAILURES = re.compile(
    rb"\(XEN\) Panic on CPU[^\r\n]*[\r\n]+(?:\(XEN\) )?[^\r\n]*"
    rb"|Kernel panic - not syncing[^\r\n]*"
    rb"|\(XEN\) [^\r\n]*(?:Not enough RAM|Could not (?:construct|set up))[^\r\n]*"
    rb"|(?:BdsDxe: failed|No bootable device)[^\r\n]*"
)
_ANSWER = re.compile(rb"@@(\d+) (\d+)\r?\n")
_READY = re.compile(rb"@@READY\r?\n")
_MOST_OUTPUT = 1 << 28
_TAIL = 60
_TICK = 0.5


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command in dom0 came to: its exit status and everything that it printed."""

    status: int
    output: bytes

    @property
    def text(self) -> str:
        """The output as text, lines ended by one newline."""
        return self.output.decode("utf-8", "replace").replace("\r", "")


class Talk(Protocol):
    """A shell in a guest."""

    def ask(self, command: str) -> Answer:
        """Run one line of shell.  Raises GuestError when the guest, or the machine, fails meanwhile."""


class Conversation:
    """Xen's serial port, which is only read, and dom0's, on which commands are asked and answered.

    ``deadline`` is a time of ``time.monotonic()``: nothing waits past it.
    """

    def __init__(self, xen: socket.socket, dom0: socket.socket, deadline: float) -> None:
        self._xen = xen
        self._dom0 = dom0
        self._deadline = deadline
        self._log = bytearray()
        self._said = bytearray()
        self._open = selectors.DefaultSelector()
        for each, into in ((xen, self._log), (dom0, self._said)):
            each.setblocking(False)
            self._open.register(each, selectors.EVENT_READ, into)

    @property
    def log(self) -> str:
        """Everything on Xen's port so far, lines ended by one newline."""
        return self._log.decode("utf-8", "replace").replace("\r", "")

    def wait_ready(self) -> None:
        """Wait until dom0's first program takes commands.

        Raises GuestError when the machine panics, ends or is silent past the deadline.
        """
        self._wait(_READY, "dom0's shell")

    def ask(self, command: str) -> Answer:
        """Run one line of shell in dom0.  Raises GuestError like ``wait_ready``."""
        self._send(command.encode() + b"\n")
        found = self._wait(_ANSWER, f"an answer to {shlex.split(command)[0]}")
        status, size = int(found[1]), int(found[2])
        if size > _MOST_OUTPUT:
            raise GuestError("an answer of dom0 is too large", found=f"{size} bytes")
        while len(self._said) < size:
            self._read_more(f"{size} bytes from dom0")
        packed = bytes(self._said[:size])
        del self._said[:size]
        try:
            output = bz2.BZ2Decompressor().decompress(packed, _MOST_OUTPUT)
        except (OSError, EOFError) as error:
            raise GuestError("an answer of dom0 is damaged", found=str(error)) from error
        return Answer(status, output)

    def _wait(self, pattern: re.Pattern[bytes], what: str) -> re.Match[bytes]:
        while True:
            found = pattern.search(bytes(self._said))
            if found:
                del self._said[: found.end()]
                return found
            self._read_more(what)

    def _read_more(self, what: str) -> None:
        ready = self._next()
        if not ready:
            raise GuestError(
                "the machine ran out of time", expected=what, found=self._last_line() or "silence"
            )
        for key, _ in ready:
            end = key.fileobj
            assert isinstance(end, socket.socket)
            try:
                data = end.recv(1 << 16)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                raise GuestError("the machine went away", expected=what, found=self._last_line() or "silence")
            key.data.extend(data)
        failure = _FAILURES.search(self._log)
        # The line that says why may not have come whole yet.
        if failure and self._log.find(b"\n", failure.end()) >= 0:
            raise GuestError(
                "the machine failed",
                expected=what,
                found=" ".join(failure[0].decode("utf-8", "replace").split()),
            )

    def _next(self) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait until something can be read; nothing past the deadline."""
        while (left := self._deadline - time.monotonic()) > 0:
            alive()
            if ready := self._open.select(min(left, _TICK)):
                return ready
        return []

    def _send(self, data: bytes) -> None:
        try:
            self._dom0.settimeout(max(self._deadline - time.monotonic(), 0.01))
            self._dom0.sendall(data)
        except OSError as error:
            raise GuestError("the machine went away", found=str(error)) from error
        finally:
            self._dom0.setblocking(False)

    def _last_line(self) -> str:
        lines = [line for line in self.log.splitlines() if line.strip()]
        return repr(lines[-1][-_TAIL:]) if lines else ""
