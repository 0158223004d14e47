"""Maps that a guest can really have, small enough to be written in a test."""

from __future__ import annotations

from hypothesis import strategies as st

from writers.guest import Shape
from xenp2m.arch import X86_64, Arch
from xenp2m.entry import Kind
from xenp2m.runs import Run, RunMap

_ISA_HOLE = (159, 97)


def end_of(shape: Shape, arch: Arch, ram_end: int) -> int:
    if shape is Shape.BUILDER:
        return ram_end
    if shape is Shape.LIST:
        return 1 << 27 if arch.bits == 64 else 1 << 20
    return arch.max_p2m_pfn


def beyond_of(shape: Shape) -> Kind:
    return Kind.IDENTITY if shape in (Shape.LIST, Shape.TREE_B) else Kind.MISSING


@st.composite
def guest_maps(
    draw: st.DrawFn, shape: Shape, arch: Arch = X86_64, *, base_mfn: int = 64, holes: bool = True
) -> RunMap:
    """Maps with RAM in scattered pieces, the ISA hole, and above it missing, identity and foreign frames."""
    pages = draw(st.integers(400, 900))
    cuts = sorted(draw(st.sets(st.integers(1, pages - 130), max_size=5)))
    pieces = list(zip([0, *cuts], [*cuts, pages], strict=True))
    order = draw(st.permutations(range(len(pieces) - 1)))
    mfn = base_mfn
    mfns: dict[int, int] = {}
    for index in [*order, len(pieces) - 1]:  # the last piece stays whole, so that the kernel's pages adjoin
        start, end = pieces[index]
        mfns[index] = mfn
        mfn += end - start + draw(st.integers(0, 3))
    hole_start, hole = _ISA_HOLE if holes and shape is not Shape.BUILDER else (0, 0)
    runs: list[Run] = []
    for index, (start, end) in enumerate(pieces):
        for at in range(start, end):
            pfn = at if at < hole_start else at + hole
            runs.append(Run(pfn, 1, Kind.RAM, mfns[index] + at - start))
        if start <= hole_start < end and hole:
            runs.append(Run(hole_start, hole, Kind.IDENTITY, None))
    runs.sort()
    at = runs[-1].end
    ram_end = at
    if shape is Shape.BUILDER:
        return RunMap(arch, at, Kind.MISSING, runs)
    end = end_of(shape, arch, ram_end)
    per = arch.pfns_per_leaf
    for _ in range(draw(st.integers(0, 3))):
        count = draw(st.sampled_from([1, 7, per, 3 * per, per * per // 2]))
        kind = draw(st.sampled_from([Kind.MISSING, Kind.IDENTITY, Kind.FOREIGN]))
        if kind is Kind.FOREIGN:
            count = min(count, 7)
        if at + count > end:
            break
        runs.append(Run(at, count, kind, 1 << 20 if kind is Kind.FOREIGN else None))
        at += count
    tail = beyond_of(shape)
    if tail is Kind.IDENTITY and at < end:
        runs.append(Run(at, end - at, tail, None))
    return RunMap(arch, end, tail, runs)
