"""QEMU's monitor, played by a thread."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest

from xenp2m.lab.errors import GuestError, LabError
from xenp2m.lab.qmp import Qmp

GREETING = b'{"QMP": {"version": {}}}\r\n'


def play(end: socket.socket, reply: Callable[[dict[str, Any]], bytes]) -> Thread:
    """Answer every request on a socket until it is closed."""

    def serve() -> None:
        end.sendall(GREETING)
        with end, end.makefile("rb") as lines:
            for line in lines:
                end.sendall(reply(json.loads(line)))

    thread = Thread(target=serve, daemon=True)
    thread.start()
    return thread


def test_events_are_passed_over_and_values_returned() -> None:
    near, far = socket.socketpair()
    asked: list[str] = []

    def reply(request: dict[str, Any]) -> bytes:
        asked.append(request["execute"])
        return b'{"event": "STOP"}\n{"return": {"running": false}}\n'

    with near:
        play(far, reply)
        assert Qmp(near, 5).execute("query-status") == {"running": False}
    assert asked == ["qmp_capabilities", "query-status"]


def test_a_refusal_is_an_error() -> None:
    near, far = socket.socketpair()

    def reply(request: dict[str, Any]) -> bytes:
        if request["execute"] == "stop":
            return b'{"error": {"class": "GenericError", "desc": "not now"}}\n'
        return b'{"return": {}}\n'

    with near:
        play(far, reply)
        with pytest.raises(LabError, match=r"refused stop.*not now"):
            Qmp(near, 5).execute("stop")


def test_a_dump_goes_into_an_open_file() -> None:
    near, far = socket.socketpair()
    with near, far, tempfile.TemporaryFile() as file:
        far.sendall(GREETING + b'{"return": {}}\n' * 3)
        Qmp(near, 5).dump_memory(file.fileno(), "kdump-zlib", 5)
        data, passed, _, _ = socket.recv_fds(far, 1 << 16, 4)
        requests = [json.loads(line) for line in data.splitlines()]
        while len(requests) < 3:
            requests += [json.loads(line) for line in far.recv(1 << 16).splitlines()]
        for number in passed:
            assert os.path.sameopenfile(number, file.fileno())
            os.close(number)
    assert [each["execute"] for each in requests] == ["qmp_capabilities", "getfd", "dump-guest-memory"]
    assert requests[2]["arguments"] == {"paging": False, "protocol": "fd:dump", "format": "kdump-zlib"}


@pytest.mark.parametrize("said", [b"", b"SSH-2.0\n"])
def test_what_is_no_monitor_is_an_error(said: bytes) -> None:
    near, far = socket.socketpair()
    with near:
        far.sendall(said)
        far.close()
        with pytest.raises(GuestError):
            Qmp(near, 5)


def test_a_monitor_that_is_silent_runs_out_of_time() -> None:
    near, far = socket.socketpair()
    with near, far, pytest.raises(GuestError, match=r"within 0\.05 s"):
        Qmp(near, 0.05)
