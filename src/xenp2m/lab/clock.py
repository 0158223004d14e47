"""The time that a machine takes, and how much of it is left."""

from __future__ import annotations

import time


class Clock:
    """Seconds since a start, kept under names; ``deadline`` is a time of ``time.monotonic()``."""

    def __init__(self, limit: float) -> None:
        """Start it; ``limit`` is in seconds."""
        self._start = time.monotonic()
        self.deadline = self._start + limit
        self.seconds: dict[str, float] = {}

    def mark(self, name: str) -> None:
        """Keep the time that has passed."""
        self.seconds[name] = time.monotonic() - self._start

    @property
    def left(self) -> float:
        """Seconds to the deadline, and at least one."""
        return max(self.deadline - time.monotonic(), 1.0)
