"""How the frames of columns divide by kind: what every drawn map is made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from xenp2m.entry import Kind
from xenp2m.runs import Ambiguous, RunMap

UNTOLD = len(Kind)
"""Stands after the kinds for frames whose kind the source of a map does not tell."""


def frames_by_kind(
    frame_map: RunMap, edges: Sequence[int], unknown: Sequence[Ambiguous] = ()
) -> NDArray[np.int64]:
    """Count the frames between neighbouring ``edges`` (sorted frame numbers): a row a column, an item a kind.

    The last item of a row counts the ``unknown`` frames, which are then not missing ones.
    """
    at = np.array(edges, np.int64)
    starts = frame_map.starts.astype(np.int64)
    ends = np.append(starts[1:], frame_map.end_pfn)[: len(starts)]
    counts = np.zeros((len(at) - 1, UNTOLD + 1), np.int64)
    for kind in Kind:
        chosen = frame_map.kinds == kind
        counts[:, kind] = np.diff(_covered(starts[chosen], ends[chosen], at))
    past = np.maximum(at - frame_map.end_pfn, 0)
    counts[:, frame_map.beyond] += np.diff(past)
    if unknown:
        ranges = np.array([each[:2] for each in unknown], np.int64)
        ranges = ranges[np.argsort(ranges[:, 0])]
        counts[:, UNTOLD] = np.diff(_covered(ranges[:, 0], ranges[:, 1], at))
        counts[:, Kind.MISSING] -= counts[:, UNTOLD]
    return counts


def _covered(starts: NDArray[np.int64], ends: NDArray[np.int64], at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many frames below each of ``at`` lie in the ranges, which are sorted and do not overlap."""
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(ends - starts)])
    index = np.searchsorted(starts, at, side="right")
    last = np.maximum(index - 1, 0)
    over = np.maximum(ends[last] - at, 0) if len(ends) else np.zeros_like(at)
    covered: NDArray[np.int64] = before[index] - np.where(index > 0, over, 0)
    return covered


def most(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what most frames of each column are: a Kind, or UNTOLD; of equals, the first Kind."""
    kinds: NDArray[np.int64] = np.argmax(counts, axis=1)
    return kinds
