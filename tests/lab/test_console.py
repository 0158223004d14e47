"""Waiting for words: recorded text through real sockets."""

from __future__ import annotations

import bz2
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from xenp2m.lab import collect
from xenp2m.lab.console import Conversation
from xenp2m.lab.errors import GuestError

PANIC = (
    b"(XEN) Xen version 4.17.7\r\r\n(XEN) ****************************************\r\n"
    b"(XEN) Panic on CPU 0:\r\n(XEN) Not enough RAM for domain 0 allocation\r\n(XEN) ****\r\n"
)


@dataclass
class Ends:
    talk: Conversation
    xen: socket.socket
    dom0: socket.socket


@pytest.fixture
def ends() -> Iterator[Ends]:
    (xen, far_xen), (dom0, far_dom0) = socket.socketpair(), socket.socketpair()
    yield Ends(Conversation(xen, dom0, time.monotonic() + 5), far_xen, far_dom0)
    for each in (xen, far_xen, dom0, far_dom0):
        each.close()


def answer(output: bytes, status: int = 0) -> bytes:
    packed = bz2.compress(output)
    return b"@@%d %d\n" % (status, len(packed)) + packed


def test_what_is_asked_is_answered(ends: Ends) -> None:
    ends.dom0.sendall(b"noise\r\n@@READY\r\n" + answer(b"one\r\n") + answer(b"@@0 5\nraw\n" * 9000, 3))
    ends.talk.wait_ready()
    assert ends.talk.ask("cat /proc/iomem").text == "one\n"
    second = ends.talk.ask("false")
    assert (second.status, second.output) == (3, b"@@0 5\nraw\n" * 9000)
    assert ends.dom0.recv(99) == b"cat /proc/iomem\nfalse\n"


def test_a_panic_ends_the_wait_with_its_reason(ends: Ends) -> None:
    ends.xen.sendall(PANIC)
    with pytest.raises(GuestError, match="Not enough RAM for domain 0"):
        ends.talk.wait_ready()


def test_a_machine_that_goes_away_is_noticed(ends: Ends) -> None:
    ends.xen.sendall(b"(XEN) Brought up 1 CPUs\r\n")
    ends.xen.close()
    ends.dom0.close()
    with pytest.raises(GuestError, match=r"went away.*Brought up 1 CPUs"):
        ends.talk.wait_ready()


def test_a_silent_machine_runs_out_of_time() -> None:
    (xen, far), (dom0, other) = socket.socketpair(), socket.socketpair()
    with xen, far, dom0, other, pytest.raises(GuestError, match=r"out of time.*silence"):
        Conversation(xen, dom0, time.monotonic() + 0.05).wait_ready()


def test_a_damaged_answer_is_an_error(ends: Ends) -> None:
    ends.dom0.sendall(b"@@0 4\nnone")
    with pytest.raises(GuestError, match="damaged"):
        ends.talk.ask("dmesg")


def test_a_capture_is_collected(ends: Ends) -> None:
    ends.xen.sendall(b"(XEN) Xen version 4.17.7\r\r\n[    0.0] Linux\r\n(XEN) Xen-e820 RAM map:\r\n@@\r\n")
    for name in collect.TEXTS:
        ends.dom0.sendall(answer(name.encode() + b"\n"))
    texts = collect.collect(ends.talk)
    assert collect.xen_console(ends.talk.log) == "(XEN) Xen version 4.17.7\n(XEN) Xen-e820 RAM map:\n"
    assert texts == {name: name + "\n" for name in collect.TEXTS}


def test_a_kernel_without_some_texts_still_gives_a_capture(ends: Ends) -> None:
    for name in collect.TEXTS:
        ends.dom0.sendall(answer(b"log\n") if name in collect.REQUIRED else answer(b"not found\n", 1))
    assert set(collect.collect(ends.talk)) == collect.REQUIRED


def test_a_boot_log_that_dom0_cannot_give_is_an_error(ends: Ends) -> None:
    ends.dom0.sendall(answer(b"dmesg: not found\n", 127))
    with pytest.raises(GuestError, match=r"dmesg\.txt.*not found"):
        collect.collect(ends.talk)
