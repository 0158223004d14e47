from __future__ import annotations

import io

import pytest
from rich.console import Console

from xenp2m.draw.progress import Bar


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("xenp2m.draw.progress.time.monotonic", lambda: now[0])
    return now


def bar_into(out: io.StringIO) -> Bar:
    return Bar(Console(file=out, force_terminal=True, width=80, color_system=None))


def test_a_quick_loop_draws_nothing(clock: list[float]) -> None:
    out = io.StringIO()
    bar = bar_into(out)
    for done in range(11):
        clock[0] += 0.04
        bar.advance("reading", done, 10)
    assert out.getvalue() == ""


def test_a_slow_loop_is_drawn_and_taken_away(clock: list[float]) -> None:
    out = io.StringIO()
    bar = bar_into(out)
    for done in range(10):
        clock[0] += 0.3
        bar.advance("reading dmesg.txt", done, 10)
    drawn = out.getvalue()
    assert "reading dmesg.txt" in drawn
    assert "20%" in drawn
    assert "0:00:0" in drawn
    bar.advance("reading dmesg.txt", 10, 10)
    assert out.getvalue().endswith("\x1b[1A\x1b[2K")  # up to the line, and it is erased
    ended = out.getvalue()
    clock[0] += 1
    bar.tick()
    assert out.getvalue() == ended


def test_steps_of_one_loop_share_a_line(clock: list[float]) -> None:
    out = io.StringIO()
    bar = bar_into(out)
    clock[0] = 1
    bar.advance("machine: booting", 0, 6)
    clock[0] = 2
    bar.tick()
    clock[0] = 3
    bar.advance("machine: collecting", 1, 6)
    assert "machine: booting" in out.getvalue()
    assert "machine: collecting" in out.getvalue()
    assert out.getvalue().count("\x1b[?25l") == 1  # one line was begun


def test_a_single_step_has_no_percentage(clock: list[float]) -> None:
    out = io.StringIO()
    bar = bar_into(out)
    clock[0] = 1
    bar.advance("running dmesg", 0, 1)
    assert "running dmesg" in out.getvalue()
    assert "%" not in out.getvalue()
    bar.close()
