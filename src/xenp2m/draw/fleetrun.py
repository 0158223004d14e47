"""A fleet's run on the terminal: how far it is and how fast, and what came of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from xenp2m.draw.console import stderr
from xenp2m.draw.palette import BAD, GOOD
from xenp2m.fleet.run import Tally
from xenp2m.units import format_size

_UNITS = 1000


@dataclass
class RunProgress:
    """What a run tells goes here; it is drawn on standard error where that is a terminal."""

    _progress: Progress | None
    _started: float = field(default_factory=time.monotonic)
    _task: TaskID | None = None
    _joining: TaskID | None = None

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._started

    def told(self, tally: Tally) -> None:
        """Draw how far the run is."""
        if self._progress is None:
            return
        if self._task is None:
            self._task = self._progress.add_task("", total=_UNITS)
        text = f"{tally.inputs:,} inputs, {tally.predictions:,} results"
        text += f", {tally.predictions / self.seconds:,.0f}/s"
        if tally.failures:
            text += f", {tally.failures:,} failures"
        self._progress.update(self._task, description=text, completed=int(tally.share * _UNITS))

    def joining(self, done: int, total: int) -> None:
        """Draw how far the joining of parts is."""
        if self._progress is None:
            return
        if self._joining is None:
            self._joining = self._progress.add_task("joining the tables")
        self._progress.update(self._joining, completed=done, total=total)


@contextmanager
def run_progress() -> Iterator[RunProgress]:
    """Show a run's progress while the context lasts."""
    if not sys.stderr.isatty():
        yield RunProgress(None)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("left"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=stderr(), transient=True) as progress:
        yield RunProgress(progress)


def print_run(
    console: Console, tally: Tally, *, machines: int, inputs: int, size: int, place: str, seconds: float
) -> None:
    """Print what a run did and what the fleet holds now: ``size`` are the bytes of its tables."""
    done = f"{tally.predictions:,} results in {seconds:.1f} s"
    if tally.predictions:
        done += f", {tally.predictions / seconds:,.0f} a second"
    if tally.kept:
        done += f"; {tally.kept:,} of {tally.inputs:,} inputs were done before"
    console.print(Text(done), soft_wrap=True)
    style = GOOD if machines else BAD
    whole = f"{place}: {machines:,} machines of {inputs:,} inputs, {format_size(size)}"
    console.print(Text(whole, style=style), soft_wrap=True)
    if inputs > machines:
        text = f"{inputs - machines:,} inputs cannot be predicted: xenp2m fleet summary {place} says why"
        console.print(Text(text), soft_wrap=True)
