"""Compare what was read from a dump with what is true."""

from __future__ import annotations

from itertools import pairwise

from xenp2m.dump import P2m
from xenp2m.entry import Kind
from xenp2m.runs import RunMap


def assert_honest(p2m: P2m | None, truth: RunMap) -> None:
    """What is stated is true; what is not known is stated as such, and is no address."""
    assert p2m is not None
    found, unknown = p2m.map, p2m.ambiguous
    for start, end, among, _ in unknown:
        for run in truth.within(start, min(end, truth.end_pfn)):
            assert run.kind in among
        for run in found.within(start, min(end, found.end_pfn)):
            assert run.kind is Kind.MISSING
    edges = sorted({0, truth.end_pfn, *(edge for each in unknown for edge in each[:2])})
    for start, end in pairwise(edges):
        if end <= truth.end_pfn and not any(each.start <= start < each.end for each in unknown):
            assert found.within(start, end) == truth.within(start, end)
