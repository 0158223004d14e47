"""QEMU as a child process that cannot outlive its parent, and the lines that lead into it."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import IO, Self

from xenp2m.lab.errors import LabError

_PR_SET_PDEATHSIG = 1
_STOP_SECONDS = 5


class Lines:
    """The three sockets between the lab and a machine: Xen's serial port, dom0's, and QEMU's monitor.

    They are pairs of connected sockets: nothing has a name in the file system, nothing listens.
    """

    def __init__(self) -> None:
        pairs = [socket.socketpair() for _ in range(3)]
        self.xen, self.dom0, self.monitor = (ours for ours, _ in pairs)
        self._theirs = [theirs for _, theirs in pairs]

    @property
    def files(self) -> tuple[int, int, int]:
        """QEMU's ends, as file descriptors, in the same order."""
        xen, dom0, monitor = (each.fileno() for each in self._theirs)
        return xen, dom0, monitor

    def close_theirs(self) -> None:
        """Close QEMU's ends here, so that its death is the end of what is read."""
        for each in self._theirs:
            each.close()

    def close(self) -> None:
        """Close everything."""
        self.close_theirs()
        for each in (self.xen, self.dom0, self.monitor):
            each.close()


class Process:
    """A running QEMU.  The kernel kills it when this process dies, however it dies."""

    def __init__(self, command: list[str], files: list[int]) -> None:
        """Start ``command``, which inherits ``files``.  Raises LabError when it cannot be started."""
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._errors,
                stderr=self._errors,
                pass_fds=files,
                # A Ctrl-C is for the lab, which ends QEMU in order.
                start_new_session=True,
                preexec_fn=die_with(os.getpid()),  # noqa: PLW1509 - the lab starts no threads
            )
        except (OSError, subprocess.SubprocessError) as error:
            self._errors.close()
            raise LabError("cannot start QEMU", where=command[0], found=str(error)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def stop(self) -> None:
        """End the process and wait for its end."""
        for end in (self._process.terminate, self._process.kill):
            if self._process.poll() is None:
                with suppress(ProcessLookupError):
                    end()
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(_STOP_SECONDS)
        self._errors.close()

    def complaint(self) -> str:
        """Return the last line that QEMU printed, "" where it printed none."""
        if self._errors.closed:
            return ""
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""


def die_with(parent: int) -> Callable[[], None]:
    """Return what a child runs before its program, so that the kernel kills it when ``parent`` dies."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return ask
