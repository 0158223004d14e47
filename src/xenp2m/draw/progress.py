"""Progress on a terminal: what is being done, how far it is, and how long it takes.

One line on standard error, which vanishes when the loop that it shows ends.  Nothing is shown of commands
that are quick, and nothing on dumb terminals and where standard error is no terminal.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

_PATIENCE = 0.5
"""Seconds that a command may take before anything is shown."""
_PAUSE = 0.1
"""Seconds between two drawings."""


class Bar:
    """Draws the loop that runs; the command's time counts from when the bar is made.

    It has no thread of its own: it draws when it is told something.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console
        self._start = self._drawn = time.monotonic()
        self._shown: Progress | None = None
        self._told = ("", 0, 0)

    def advance(self, what: str, done: int, total: int) -> None:
        """Draw that ``done`` of ``total`` are done; a loop that is done is shown no more.

        A loop goes on under another name as long as its total is the same and nothing is taken back.
        """
        _, last_done, last_total = self._told
        self._told = (what, done, total)
        if done >= total or total != last_total or done < last_done:
            self.close()
        self.tick()

    def tick(self) -> None:
        """Draw what was last told, if it is time to."""
        what, done, total = self._told
        now = time.monotonic()
        if done >= total or now - self._start < _PATIENCE or now - self._drawn < _PAUSE:
            return
        self._drawn = now
        size = None if total == 1 else total
        if self._shown is None:
            self._shown = _progress(self._console)
            self._shown.start()
            self._shown.add_task(what, total=size)
        self._shown.update(self._shown.task_ids[0], description=what, completed=done, total=size)
        self._shown.refresh()

    def close(self) -> None:
        """Take the line away."""
        if self._shown is not None:
            self._shown.stop()
            self._shown = None


def _progress(console: Console | None) -> Progress:
    # Most commands are done before anything is to be drawn.
    from rich import progress  # noqa: PLC0415

    from xenp2m.draw.console import stderr  # noqa: PLC0415

    return progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(bar_width=20),
        progress.TaskProgressColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("left"),
        progress.TimeRemainingColumn(compact=True),
        console=console or stderr(),
        transient=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    )
