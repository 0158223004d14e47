"""A map, written as a guest keeps it into a dump of every kind, is read back as it was."""

from __future__ import annotations

import gzip
import lzma
from itertools import pairwise
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from writers import containers as write
from writers.guest import Guest, Shape, write_guest
from writers.host import write_host
from writers.judge import assert_honest
from writers.maps import guest_maps
from xenp2m.arch import X86_32, X86_64, Arch
from xenp2m.dump import Confidence, inspect, open_dump, symbols
from xenp2m.dump.inspection import Domain, Inspection
from xenp2m.entry import Kind
from xenp2m.runs import RunMap

few = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
KERNEL_SHAPES = [Shape.LIST, Shape.TREE_A, Shape.TREE_B]


def dump_of(tmp_path: Path, data: bytes, name: str = "dump") -> Inspection:
    path = tmp_path / name
    path.write_bytes(data)
    return inspect(open_dump(path))


def only(found: Inspection) -> Domain:
    assert len(found.domains) == 1
    return found.domains[0]


@pytest.mark.parametrize("arch", [X86_64, X86_32], ids=lambda arch: arch.name)
@pytest.mark.parametrize("shape", KERNEL_SHAPES, ids=lambda shape: shape.name)
@few
@given(data=st.data())
def test_core_dump(tmp_path: Path, shape: Shape, arch: Arch, data: st.DataObject) -> None:
    truth = data.draw(guest_maps(shape, arch))
    found = dump_of(tmp_path, write.core_dump(write_guest(truth, shape)))
    domain = only(found)
    assert domain.arch == arch
    assert f"PV, {arch.bits}-bit" in found.container
    assert_honest(domain.p2m, truth)
    if shape is Shape.LIST:
        assert domain.p2m is not None
        assert domain.p2m.map == truth
        assert domain.p2m.ambiguous == ()


@pytest.mark.parametrize("shape", KERNEL_SHAPES, ids=lambda shape: shape.name)
@few
@given(data=st.data())
def test_symbols_leave_nothing_open(tmp_path: Path, shape: Shape, data: st.DataObject) -> None:
    truth = data.draw(guest_maps(shape))
    guest = write_guest(truth, shape)
    (tmp_path / "kallsyms").write_text(guest.kallsyms())
    (tmp_path / "core").write_bytes(write.core_dump(guest))
    found = inspect(open_dump(tmp_path / "core"), symbols.load(tmp_path / "kallsyms"))
    p2m = only(found).p2m
    assert p2m is not None
    assert p2m.map == truth
    assert p2m.ambiguous == ()
    assert p2m.confidence is Confidence.CERTAIN


@pytest.mark.parametrize("arch", [X86_64, X86_32], ids=lambda arch: arch.name)
@few
@given(data=st.data())
def test_builders_list(tmp_path: Path, arch: Arch, data: st.DataObject) -> None:
    truth = data.draw(guest_maps(Shape.BUILDER, arch))
    domain = only(dump_of(tmp_path, write.core_dump(write_guest(truth, Shape.BUILDER))))
    assert domain.p2m is not None
    assert domain.p2m.source.startswith("domain builder's list")
    assert domain.p2m.map == truth


@pytest.mark.parametrize("shape", KERNEL_SHAPES, ids=lambda shape: shape.name)
@few
@given(data=st.data())
def test_page_list_alone(tmp_path: Path, shape: Shape, data: st.DataObject) -> None:
    truth = data.draw(guest_maps(shape))
    domain = only(dump_of(tmp_path, write.core_dump(write_guest(truth, shape), shared_info=False)))
    assert_honest(domain.p2m, truth)
    assert domain.p2m is not None
    assert domain.p2m.map.counts()[Kind.RAM] == truth.counts()[Kind.RAM]


@few
@given(data=st.data())
def test_hvm(tmp_path: Path, data: st.DataObject) -> None:
    truth = data.draw(guest_maps(Shape.BUILDER))
    domain = only(dump_of(tmp_path, write.core_dump(Guest(truth, Shape.BUILDER), hvm=True)))
    assert domain.p2m is not None
    assert domain.p2m.map == RunMap(X86_64, truth.end_pfn, Kind.MISSING, truth).without_mfns()


@pytest.mark.parametrize("form", ["elf", "vmcore", "zlib", "lzo", "snappy", "zstd", "none", "flat", "old"])
@settings(parent=few, max_examples=4)
@given(data=st.data())
def test_host(tmp_path: Path, form: str, data: st.DataObject) -> None:
    shapes = [data.draw(st.sampled_from(KERNEL_SHAPES)) for _ in range(2)]
    first = data.draw(guest_maps(shapes[0], holes=False))
    top = max(run.mfn + run.pages for run in first if run.mfn is not None and run.kind is Kind.RAM)
    second = data.draw(guest_maps(shapes[1], base_mfn=top + 10))
    guests = [write_guest(first, shapes[0]), write_guest(second, shapes[1])]
    host = write_host(guests)
    notes = write.qemu_notes(host.root)
    if form == "elf":
        content = write.elf_dump(host.pages, notes)
    elif form == "vmcore":
        notes = write.xen_notes(host.root, guests[0].frame_list_list)
        content = write.elf_dump(host.pages, notes, misalign=0)
    elif form == "flat":
        content = write.flatten(write.kdump(host.pages, notes), twice=True)
    elif form == "old":
        content = write.kdump(host.pages, notes, version=4)
    else:
        content = write.kdump(host.pages, notes, method=form)
    found = dump_of(tmp_path, content)
    assert [domain.domid for domain in found.domains] == [0, 1]
    assert found.m2p is not None
    for domain, truth in zip(found.domains, (first, second), strict=True):
        assert_honest(domain.p2m, truth)
    if form == "vmcore":
        assert "crash note agrees" in found.domains[0].found_by
        assert found.domains[0].confidence is Confidence.CERTAIN


@pytest.mark.parametrize("shape", KERNEL_SHAPES, ids=lambda shape: shape.name)
@pytest.mark.parametrize("arch", [X86_64, X86_32], ids=lambda arch: arch.name)
@settings(parent=few, max_examples=4)
@given(data=st.data())
def test_host_without_xen(tmp_path: Path, shape: Shape, arch: Arch, data: st.DataObject) -> None:
    truth = data.draw(guest_maps(shape, arch))
    host = write_host([write_guest(truth, shape)], xen=False)
    (tmp_path / "raw").write_bytes(write.raw_image(host.pages))
    found = inspect(open_dump(tmp_path / "raw", as_raw=True))
    assert found.m2p is None
    assert "structure of shared_info" in only(found).found_by
    assert only(found).arch == arch
    assert_honest(only(found).p2m, truth)


@settings(parent=few, max_examples=4)
@given(data=st.data())
def test_crash_note_alone(tmp_path: Path, data: st.DataObject) -> None:
    truth = data.draw(guest_maps(Shape.TREE_B))
    guest = write_guest(truth, Shape.TREE_B)
    content = write.elf_dump(guest.pages, write.xen_notes(0, guest.frame_list_list))
    domain = only(dump_of(tmp_path, content))
    assert domain.domid == 0
    assert "crash note" in domain.found_by
    assert_honest(domain.p2m, truth)


@pytest.fixture(scope="module")
def list_guest() -> Guest:
    from xenp2m.runs import Run

    runs = [Run(0, 159, Kind.RAM, 900), Run(159, 97, Kind.IDENTITY, None), Run(256, 700, Kind.RAM, 100)]
    runs.append(Run(1024, (1 << 27) - 1024, Kind.IDENTITY, None))
    return write_guest(RunMap(X86_64, 1 << 27, Kind.IDENTITY, runs), Shape.LIST)


def test_split_dump(tmp_path: Path, list_guest: Guest) -> None:
    host = write_host([list_guest])
    end = max(host.pages) + 1
    cuts = [0, 301, 500, end]
    paths = []
    for index, part in enumerate(pairwise(cuts)):
        data = write.kdump(host.pages, write.qemu_notes(host.root), part=part)
        paths.append(tmp_path / f"part{index}")
        paths[-1].write_bytes(data if index != 1 else write.flatten(data))
    dump = open_dump([paths[2], paths[0], paths[1]])
    assert "split" in dump.container
    assert dump.remarks == ()
    p2m = only(inspect(dump)).p2m
    assert p2m is not None
    assert p2m.map == list_guest.map
    alone = open_dump(paths[1])
    assert len(alone.remarks) == 2


@pytest.mark.parametrize("method", ["zstd", "xz", "gzip"])
def test_compressed(tmp_path: Path, list_guest: Guest, method: str) -> None:
    data = write.core_dump(list_guest)
    packed = {
        "zstd": lambda: zstandard.ZstdCompressor().compress(data),
        "xz": lambda: lzma.compress(data),
        "gzip": lambda: gzip.compress(data),
    }[method]()
    (tmp_path / "core").write_bytes(packed)
    seen: list[tuple[int, int]] = []
    dump = open_dump(tmp_path / "core", progress=lambda done, total: seen.append((done, total)))
    p2m = only(inspect(dump)).p2m
    assert p2m is not None
    assert p2m.map == list_guest.map
    assert seen[-1] == (len(packed), len(packed))


def test_odd_generation_is_stated(tmp_path: Path, list_guest: Guest) -> None:
    guest = write_guest(list_guest.map, Shape.LIST, generation=7)
    p2m = only(dump_of(tmp_path, write.core_dump(guest))).p2m
    assert p2m is not None
    assert any("odd" in note for note in p2m.notes)


def test_json(tmp_path: Path, list_guest: Guest) -> None:
    value = dump_of(tmp_path, write.core_dump(list_guest)).to_json()
    assert value["format"] == "xenp2m.inspection/1"
    domain = value["domains"][0]
    assert RunMap.from_json(domain["map"]) == list_guest.map
    assert domain["counts"]["ram"] == 859
