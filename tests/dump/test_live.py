"""The running kernel, as recorded: the map is the one that it has, and everything else is one clear line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from writers.guest import Guest, Shape, write_guest
from writers.kcore import write_live
from writers.maps import guest_maps
from xenp2m.arch import X86_32, X86_64, Arch
from xenp2m.dump import PageTables, inspect, open_dump, symbols
from xenp2m.dump.live import inspect_live
from xenp2m.entry import Kind
from xenp2m.errors import InputError, MissingFactError
from xenp2m.runs import Run, RunMap

DUMPS = Path(__file__).resolve().parent.parent / "data/dumps"
few = settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))


def small(shape: Shape, arch: Arch = X86_64) -> RunMap:
    end = (1 << 27 if arch.bits == 64 else 1 << 20) if shape is Shape.LIST else arch.max_p2m_pfn
    tail = Kind.MISSING if shape is Shape.TREE_A else Kind.IDENTITY
    runs = [Run(0, 100, Kind.RAM, 200), Run(100, 156, Kind.IDENTITY, None), Run(256, 400, Kind.RAM, 1000)]
    return RunMap(arch, end, tail, [*runs, Run(8192, end - 8192, tail, None)])


@pytest.mark.parametrize("arch", [X86_64, X86_32], ids=lambda arch: arch.name)
@pytest.mark.parametrize("shape", [Shape.LIST, Shape.TREE_A, Shape.TREE_B], ids=lambda shape: shape.name)
@few
@given(data=st.data())
def test_map_of_a_running_kernel(
    tmp_path_factory: pytest.TempPathFactory, shape: Shape, arch: Arch, data: st.DataObject
) -> None:
    truth = data.draw(guest_maps(shape, arch))
    root = write_live(tmp_path_factory.mktemp("live"), write_guest(truth, shape))
    found = inspect_live(root)
    (domain,) = found.domains
    assert domain.p2m is not None
    assert domain.p2m.map == truth
    assert domain.p2m.ambiguous == ()
    assert domain.domid == 0
    assert found.m2p is None
    assert any("M2P" in note for note in found.notes)


@pytest.mark.parametrize("name", ["k314-bar", "k316-bar", "small-bar"])
def test_real_kernels(tmp_path: Path, name: str) -> None:
    """The memory of a real dump offered as a running kernel offers it, with that kernel's own symbols."""
    dump = DUMPS / f"{name}.reduced.elf.zst"
    release = json.loads(dump.with_name(f"{dump.name}.truth.json").read_text())["kernel_release"]
    known = symbols.load(DUMPS / f"symbols/linux-{release}.kallsyms")
    (domain,) = inspect(open_dump(dump), known).domains
    assert domain.p2m is not None
    assert domain.info is not None
    memory = open_dump(dump).memory
    shape = Shape.LIST if "xen_p2m_addr" in known.linux else Shape.TREE_B
    guest = Guest(domain.p2m.map, shape, max_pfn=domain.info.max_pfn, symbols=dict(known.linux))
    for run in domain.p2m.map:
        if run.kind is Kind.RAM and run.mfn is not None:
            pages = memory.read_pages(np.arange(run.mfn, run.mfn + run.pages, dtype=np.uint64))
            held = np.flatnonzero(pages.present)
            guest.pages |= {run.mfn + index: pages.words[index] for index in held.tolist()}
    offset = 0xFFFF_8880_0000_0000 if shape is Shape.LIST else None
    live = inspect_live(write_live(tmp_path, guest, direct_map=offset)).domains[0].p2m
    assert live is not None
    assert live.map == domain.p2m.map
    assert live.ambiguous == ()


def test_memory_and_page_tables(tmp_path: Path) -> None:
    guest = write_guest(small(Shape.LIST), Shape.LIST)
    found = inspect_live(write_live(tmp_path, guest, dom0=False))
    (domain,) = found.domains
    assert domain.domid is None
    assert domain.roots == (guest.cr3,)
    assert found.memory.held == 500
    pages = found.memory.read_pages(np.array([guest.cr3, 5], np.uint64))
    assert pages.present.tolist() == [True, False]
    assert (pages.words[0] == guest.pages[guest.cr3]).all()
    assert PageTables(found.memory, guest.cr3).translate(guest.p2m_vaddr).mfn is not None
    assert found.memory.read_guest_pages(np.array([150, 300], np.uint64)).present.tolist() == [False, True]


@pytest.mark.parametrize(
    ("handle", "domid"),
    [("00000000-0000-0000-0000-000000000000", 0), ("3b6cfe0e-0b9c-4a2b-9f0e-1d3e5c7a9b24", None)],
)
def test_dom0_is_known_where_xenfs_is_not_mounted(tmp_path: Path, handle: str, domid: int | None) -> None:
    root = write_live(tmp_path, write_guest(small(Shape.LIST), Shape.LIST), dom0=False)
    (root / "sys/hypervisor/uuid").write_text(f"{handle}\n")
    assert inspect_live(root).domains[0].domid == domid


def test_not_a_pv_guest(tmp_path: Path) -> None:
    with pytest.raises(MissingFactError, match="not a Xen guest"):
        inspect_live(tmp_path)
    root = write_live(tmp_path / "a", write_guest(small(Shape.LIST), Shape.LIST), guest_type="PVH")
    with pytest.raises(MissingFactError, match="not a PV guest"):
        inspect_live(root)


def test_without_the_right_to(tmp_path: Path) -> None:
    root = write_live(tmp_path, write_guest(small(Shape.LIST), Shape.LIST))
    kallsyms = root / "proc/kallsyms"
    hidden = "".join(f"{'0' * 16}{line[16:]}\n" for line in kallsyms.read_text().splitlines())
    kallsyms.write_text(hidden)
    with pytest.raises(MissingFactError, match="needs root"):
        inspect_live(root)
    kallsyms.write_text("ffffffff81000000 T _text\n")
    with pytest.raises(MissingFactError, match="p2m_top"):
        inspect_live(root)


@pytest.mark.parametrize("damage", ["absent", "cut", "empty", "garbage"])
def test_damaged_kcore(tmp_path: Path, damage: str) -> None:
    root = write_live(tmp_path, write_guest(small(Shape.LIST), Shape.LIST))
    kcore = root / "proc/kcore"
    data = kcore.read_bytes()
    if damage == "absent":
        kcore.unlink()
    else:
        kcore.write_bytes({"cut": data[:4096], "empty": b"", "garbage": b"MZ" * 4096}[damage])
    with pytest.raises(InputError):
        inspect_live(root)
