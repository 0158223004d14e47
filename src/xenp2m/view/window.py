"""The part of the frames that is shown large: where it starts, how far it goes, and how it moves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class Window:
    """Frames ``[start, start + span)`` of the ``end`` frames that there are.

    It is drawn in columns of equal size; where it has fewer frames than columns, a frame takes several.
    """

    start: int
    span: int
    end: int

    @classmethod
    def whole(cls, end: int) -> Self:
        """Return the window on everything."""
        return cls(0, end, end)

    @classmethod
    def around(cls, first: int, last: int, end: int) -> Self:
        """Return a window on the frames ``[first, last)`` with as much again about them."""
        pages = max(last - first, 1)
        return cls(0, end, end).at(first - pages // 2, max(2 * pages, 8))

    def column(self, frame: int, width: int) -> int:
        """Return the first column of a frame; less than 0 or at least ``width`` outside."""
        if self.span <= width:
            return -((self.start - frame) * width // self.span)
        return self.last_column(frame, width)

    def last_column(self, frame: int, width: int) -> int:
        """Return the last column of a frame."""
        return ((frame - self.start + 1) * width - 1) // self.span

    def frame(self, column: int, width: int) -> int:
        """Return the first frame of a column."""
        return self.start + column * self.span // width

    def edges(self, width: int) -> list[int]:
        """Return the first frame of each column and of the one past the last."""
        return [self.frame(column, width) for column in range(width + 1)]

    def holds(self, frame: int) -> bool:
        """Whether a frame is in it."""
        return self.start <= frame < self.start + self.span

    def zoomed(self, at: int, *, closer: bool) -> Self:
        """Return the window half or twice as large; the frame ``at`` stays where it is."""
        span = max(self.span // 2, 1) if closer else self.span * 2
        before = (at - self.start) * span // self.span
        return self.at(at - before, span)

    def moved(self, frames: int) -> Self:
        """Return the window moved by some frames, as far as there are frames."""
        return self.at(self.start + frames, self.span)

    def showing(self, frame: int) -> Self:
        """Return the window moved as little as needed to show a frame."""
        if frame < self.start:
            return self.moved(frame - self.start)
        return self.moved(max(frame + 1 - self.start - self.span, 0))

    def at(self, start: int, span: int) -> Self:
        """Return the window of another place and size, as far as there are frames."""
        size = min(span, self.end)
        return replace(self, start=min(max(start, 0), self.end - size), span=size)
