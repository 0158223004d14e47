"""QEMU's control protocol, as much of it as the lab needs."""

from __future__ import annotations

import json
import socket
from typing import Any

from xenp2m.lab.errors import GuestError, LabError

_MOST_BYTES = 1 << 24


class Qmp:
    """A connection to QEMU's monitor.

    Every answer must come within ``timeout`` seconds, dumps excepted, which say their own.
    """

    def __init__(self, connection: socket.socket, timeout: float) -> None:
        """Greet QEMU on a connected socket.  Raises GuestError when it does not answer."""
        self._socket = connection
        self._rest = b""
        self._timeout = timeout
        self._message(timeout)
        self.execute("qmp_capabilities")

    def execute(
        self, command: str, arguments: dict[str, Any] | None = None, *, timeout: float | None = None
    ) -> Any:
        """Run a command and return what it returns.  Raises LabError when QEMU refuses it."""
        return self._exchange(command, arguments or {}, [], timeout or self._timeout)

    def dump_memory(self, file: int, form: str, timeout: float) -> None:
        """Write the machine's memory to an open file descriptor; ``form`` is QEMU's name of the format."""
        self._exchange("getfd", {"fdname": "dump"}, [file], self._timeout)
        wanted = {"paging": False, "protocol": "fd:dump"}
        if form != "elf":
            wanted["format"] = form
        self._exchange("dump-guest-memory", wanted, [], timeout)

    def _exchange(self, command: str, arguments: dict[str, Any], files: list[int], timeout: float) -> Any:
        request = json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n"
        try:
            self._socket.settimeout(timeout)
            if files:
                socket.send_fds(self._socket, [request], files)
            else:
                self._socket.sendall(request)
        except OSError as error:
            raise GuestError("QEMU's monitor is gone", found=f"{command}: {error}") from error
        while True:
            answer = self._message(timeout)
            if "error" in answer:
                raise LabError(f"QEMU refused {command}", found=str(answer["error"].get("desc")))
            if "return" in answer:
                return answer["return"]

    def _message(self, timeout: float) -> dict[str, Any]:
        self._socket.settimeout(timeout)
        while b"\n" not in self._rest:
            try:
                data = self._socket.recv(1 << 16)
            except TimeoutError as error:
                raise GuestError(
                    "QEMU's monitor does not answer", expected=f"within {timeout:g} s"
                ) from error
            except OSError as error:
                raise GuestError("QEMU's monitor is gone", found=str(error)) from error
            if not data or len(self._rest) > _MOST_BYTES:
                raise GuestError("QEMU's monitor is gone")
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        try:
            value = json.loads(line)
        except ValueError as error:
            raise GuestError("QEMU's monitor speaks no JSON", found=repr(line[:80])) from error
        return value if isinstance(value, dict) else {}
