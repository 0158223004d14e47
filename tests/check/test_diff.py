"""Maps compared: against a plain comparison frame by frame, and with what a side does not know."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strategies import run_maps
from writers import containers as write
from writers.guest import Shape, write_guest
from writers.host import write_host
from xenp2m.arch import X86_64
from xenp2m.check.diff import Half, Side, Status, diff_maps
from xenp2m.dump import inspect, open_dump, symbols
from xenp2m.entry import NO_MFN, Kind
from xenp2m.machine import E820Entry, Machine
from xenp2m.prediction import predict
from xenp2m.rules import Structure
from xenp2m.runs import END_OF_FRAMES, Ambiguous, Run, RunMap
from xenp2m.units import KIB, MIB

END = 64


def plain(a: RunMap, b: RunMap, *, mfns: bool) -> set[int]:
    """The frames that differ, looked at one by one."""
    found = set()
    for pfn in range(END + 8):
        one, other = a.entry(pfn), b.entry(pfn)
        known = one.mfn is not None and other.mfn is not None
        if one.kind is not other.kind or (mfns and known and one.mfn != other.mfn):
            found.add(pfn)
    return found


@settings(max_examples=200, deadline=None)
@given(a=run_maps(end_pfn=END), b=run_maps(end_pfn=END), ignore=st.booleans())
def test_frame_by_frame(a: RunMap, b: RunMap, ignore: bool) -> None:
    diff = diff_maps(Side("a", a), Side("b", b), ignore_mfns=ignore)
    found = [pfn for piece in diff.pieces for pfn in range(piece.start, min(piece.end, END + 8))]
    assert len(found) == len(set(found))
    assert set(found) == plain(a, b, mfns=not ignore)
    assert diff.exit_status == int(bool(found))
    for piece in diff.pieces:
        assert piece.a.kind is a.entry(piece.start).kind
        assert piece.b.kind is b.entry(piece.start).kind
    if a.beyond is not b.beyond:
        assert diff.pieces[-1].end == END_OF_FRAMES
    total = sum(piece.pages for piece in diff.pieces)
    assert sum(diff.counts().values()) == total == sum(piece.pages for piece in diff.regions())
    for before, after in pairwise(diff.pieces):
        goes_on = [
            old.kind is new.kind and new.mfn == (None if old.mfn is None else old.mfn + before.pages)
            for old, new in ((before.a, after.a), (before.b, after.b))
        ]
        assert (before.end, before.status) != (after.start, after.status) or not all(goes_on)


@settings(max_examples=50, deadline=None)
@given(known=run_maps(end_pfn=END))
def test_a_map_is_the_same_as_itself(known: RunMap) -> None:
    assert diff_maps(Side("a", known), Side("b", known)).pieces == ()
    assert diff_maps(Side("a", known), Side("b", known.without_mfns(), predicted=True)).exit_status == 0


@settings(max_examples=50, deadline=None)
@given(a=run_maps(end_pfn=END), b=run_maps(end_pfn=END))
def test_a_prediction_on_either_side_leaves_kinds_to_compare(a: RunMap, b: RunMap) -> None:
    kinds = diff_maps(Side("a", a), Side("b", b), ignore_mfns=True).pieces
    assert diff_maps(Side("a", a, predicted=True), Side("b", b)).pieces == kinds
    assert diff_maps(Side("a", a), Side("b", b, predicted=True)).pieces == kinds


def three(kind: Kind, mfn: int | None = None) -> RunMap:
    return RunMap(X86_64, 8, Kind.MISSING, [Run(0, 8, kind, mfn)])


@pytest.mark.parametrize(
    ("kind", "among", "status"),
    [
        (Kind.IDENTITY, (Kind.IDENTITY, Kind.MISSING), Status.UNKNOWN),
        (Kind.MISSING, (Kind.IDENTITY, Kind.MISSING), Status.UNKNOWN),
        (Kind.RAM, (Kind.IDENTITY, Kind.MISSING), Status.DIFFERS),
    ],
)
def test_what_a_dump_cannot_tell(kind: Kind, among: tuple[Kind, ...], status: Status) -> None:
    untold = Ambiguous(2, 5, among, "why")
    dump = Side(
        "dump", RunMap(X86_64, 8, Kind.MISSING, [Run(0, 2, kind, None), Run(5, 3, kind, None)]), (untold,)
    )
    diff = diff_maps(Side("prediction", three(kind), predicted=True), dump)
    (piece,) = diff.pieces
    assert (piece.start, piece.end, piece.status) == (2, 5, status)
    assert piece.b == Half(None, None)
    assert diff.exit_status == (2 if status is Status.UNKNOWN else 1)
    assert diff.amount(Status.UNKNOWN) == ("3 frames" if status is Status.UNKNOWN else "")


def test_certain_differences_outweigh_what_is_not_known() -> None:
    dump = Side("dump", three(Kind.RAM, 100), (Ambiguous(0, 2, (Kind.IDENTITY, Kind.MISSING), "why"),))
    diff = diff_maps(Side("a", three(Kind.MISSING)), dump)
    assert diff.exit_status == 1
    assert [piece.status for piece in diff.pieces] == [Status.UNKNOWN, Status.DIFFERS]


def test_machine_frames() -> None:
    moved = RunMap(X86_64, 8, Kind.MISSING, [Run(0, 4, Kind.RAM, 100), Run(4, 4, Kind.RAM, 200)])
    diff = diff_maps(Side("a", three(Kind.RAM, 100)), Side("b", moved))
    assert [(piece.start, piece.end, piece.a.mfn, piece.b.mfn) for piece in diff.pieces] == [(4, 8, 104, 200)]
    assert diff.mfns
    value = diff.to_json()
    assert value["pieces"] == [[4, 8, ["ram", 104], ["ram", 200], "differs"]]
    assert value["counts"] == [["ram", "ram", "differs", 4]]
    assert diff_maps(Side("a", three(Kind.RAM, 100)), Side("b", moved), ignore_mfns=True).pieces == ()


def test_no_address_for_a_missing_or_unknown_frame() -> None:
    diff = diff_maps(Side("a", three(Kind.RAM, 100)), Side("b", three(Kind.MISSING)))
    assert diff.pieces[0].b == Half(Kind.MISSING, None)
    assert str(NO_MFN) not in str(diff.to_json())


KERNELS = ["3.14", "3.15", "3.16", "series", "3.18", "6.1"]


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    """A few megabytes of RAM with a hole, reserved entries, and a dom0 that has less or more than that."""
    low = draw(st.integers(3, 8)) * MIB
    gap = draw(st.integers(1, 64)) * 4 * KIB
    high = low + gap + draw(st.integers(1, 200)) * 4 * KIB
    entries = [E820Entry(0, 0x9F000, 1), E820Entry(MIB, low, 1), E820Entry(low + gap, high, 1)]
    if draw(st.booleans()):
        entries.append(E820Entry(0xFEC0_0000, 0xFEC0_1000, 2))
    if draw(st.booleans()):
        entries.append(E820Entry(1 << draw(st.sampled_from([36, 40])), (1 << 40) + (1 << 30), 2))
    return Machine(name="small", e820=tuple(sorted(entries)), nr_pages=draw(st.integers(400, 900)))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("form", ["core", "elf"])
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_predict_write_inspect_diff(
    tmp_path_factory: pytest.TempPathFactory, kernel: str, form: str, data: st.DataObject
) -> None:
    """A prediction, written as a guest of that kernel keeps it, is read back without a difference."""
    tmp_path = tmp_path_factory.mktemp("dump")
    prediction = predict(data.draw(machines()), kernel)
    at = data.draw(st.integers(64, 4096))
    runs = []
    for run in prediction.guest.p2m:
        if run.kind is Kind.RAM:
            runs.append(run._replace(mfn=at))
            at += run.pages + data.draw(st.integers(0, 3))
        else:
            runs.append(run)
    known = prediction.guest.p2m
    truth = RunMap(known.arch, known.end_pfn, known.beyond, runs)
    rules = prediction.rules
    tree = Shape.TREE_B if rules.compact_mid else Shape.TREE_A
    guest = write_guest(truth, Shape.LIST if rules.structure is Structure.LIST else tree)
    (tmp_path / "kallsyms").write_text(guest.kallsyms())
    host = write_host([guest])
    content = (
        write.core_dump(guest) if form == "core" else write.elf_dump(host.pages, write.qemu_notes(host.root))
    )
    (tmp_path / "dump").write_bytes(content)
    a = Side(rules.name, known, predicted=True)
    for names in (symbols.load(tmp_path / "kallsyms"), None):
        (domain,) = inspect(open_dump(tmp_path / "dump"), names).domains
        assert domain.p2m is not None
        diff = diff_maps(a, Side("dump", domain.p2m.map, domain.p2m.ambiguous))
        assert not diff.differs
        assert names is None or diff.pieces == ()
