"""Sets of frames as spans: joined, subtracted, intersected; the cost follows the number of spans."""

from __future__ import annotations

from collections.abc import Iterable

Span = tuple[int, int]
"""Frames ``[start, end)``."""


def joined(spans: Iterable[Span]) -> list[Span]:
    """Return the union of spans, sorted; empty and backward ones count for nothing."""
    found: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def length(spans: Iterable[Span]) -> int:
    """Return the number of frames in spans that do not overlap."""
    return sum(end - start for start, end in spans)


def without(spans: Iterable[Span], taken: Iterable[Span]) -> list[Span]:
    """Return the frames of ``spans`` that are not in ``taken``."""
    left = []
    gone = joined(taken)
    index = 0
    for start, end in joined(spans):
        at = start
        while index < len(gone) and gone[index][0] < end:
            first, last = gone[index]
            if at < first:
                left.append((at, first))
            at = max(at, last)
            if last > end:
                break
            index += 1
        if at < end:
            left.append((at, end))
    return left


def common(spans: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """Return the frames that are in both."""
    whole = joined(spans)
    return without(whole, without(whole, others))
