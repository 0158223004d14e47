"""Hypothesis strategies shared by the property tests."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

from xenp2m.arch import X86_32, X86_64, Arch
from xenp2m.entry import Kind
from xenp2m.runs import Run, RunMap

arches = st.sampled_from([X86_64, X86_32])


@st.composite
def run_maps(draw: st.DrawFn, *, end_pfn: int = 4096, known_mfns: bool = False) -> RunMap:
    """Maps of up to a dozen runs over ``[0, end_pfn)``, with gaps."""
    arch: Arch = draw(arches)
    edges = sorted(draw(st.sets(st.integers(0, end_pfn), max_size=12)))
    runs = []
    for start, end in pairwise(edges):
        kind = draw(st.sampled_from(Kind))
        mfn = None
        if kind in (Kind.RAM, Kind.FOREIGN) and (known_mfns or draw(st.booleans())):
            mfn = draw(st.integers(0, 1 << 24))
        runs.append(Run(start, end - start, kind, mfn))
    beyond = draw(st.sampled_from([Kind.IDENTITY, Kind.MISSING]))
    return RunMap(arch, end_pfn, beyond, runs)
