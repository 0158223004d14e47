"""Telling how far a long loop is, to whoever listens.

Nobody listens unless a command shows progress on a terminal (``xenp2m.draw.progress``); without a listener
``track`` hands back what it was given, and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

_T = TypeVar("_T")


class Listener(Protocol):
    """Who is told."""

    def advance(self, what: str, done: int, total: int) -> None:
        """Learn that ``done`` of ``total`` units of ``what`` are done; the last call has done = total.

        A total of 1 is one step of unknown length.
        """

    def tick(self) -> None:
        """Learn that what was last told still goes on."""


_listener: ContextVar[Listener | None] = ContextVar("xenp2m progress", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell ``listener`` of the loops that run in this context, of this thread."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def reporter(what: str) -> Callable[[int, int], None] | None:
    """Return what a loop calls with (done, total), the last time with both equal; None: nobody listens."""
    listener = _listener.get()
    if listener is None:
        return None

    def report(done: int, total: int) -> None:
        listener.advance(what, done, total)

    return report


def alive() -> None:
    """Say that whatever goes on still does: for loops that wait."""
    listener = _listener.get()
    if listener is not None:
        listener.tick()


def track(
    what: str, items: Iterable[_T], total: int, size: Callable[[_T], int] | None = None
) -> Iterable[_T]:
    """Return ``items``, telling who listens how far a loop over them is.

    ``size`` says how many of the ``total`` units an item is; by default each is one.
    """
    report = reporter(what)
    return items if report is None else _tracked(items, total, size, report)


def _tracked(
    items: Iterable[_T], total: int, size: Callable[[_T], int] | None, report: Callable[[int, int], None]
) -> Iterator[_T]:
    done = 0
    try:
        for item in items:
            report(min(done, total - 1), total)
            yield item
            done += 1 if size is None else size(item)
    finally:
        report(total, total)
