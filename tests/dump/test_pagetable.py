"""Page tables: whole-level walks against a walk by hand, translation, and what is mapped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from conformance.sources import TESTS
from writers import containers as write
from writers.guest import BUILDER_ADDRESS, Shape, write_guest
from writers.host import write_host
from xenp2m.arch import X86_32, X86_64, Arch
from xenp2m.dump import Classifier, PageTables, Target, find_frames, inspect, list_mappings, open_dump
from xenp2m.dump.layout import FRAME_MASK
from xenp2m.dump.m2p import HostM2p
from xenp2m.dump.memory import ExtentMemory, Image, Memory, read_page
from xenp2m.entry import NO_MFN, Kind
from xenp2m.errors import UsageError
from xenp2m.runs import Run, RunMap

DUMPS = TESTS / "data/dumps"


def by_hand(memory: Memory, table: int, level: int, base: int) -> Iterator[tuple[int, int, int, int]]:
    """The four levels as a book explains them."""
    for index, entry in enumerate(read_page(memory, table).tolist()):
        va = base + (index << (12 + 9 * (level - 1)))
        if level == 4 and 256 <= index < 272:
            continue
        if level == 4 and index >= 256:
            va |= 0xFFFF << 48
        if not entry & 1:
            continue
        frame = (entry & FRAME_MASK) >> 12
        if level == 1 or (level < 4 and entry & 0x80):
            pages = 1 << (9 * (level - 1))
            yield va, entry, frame & ~(pages - 1), pages
        else:
            yield from by_hand(memory, frame, level - 1, va)


@pytest.mark.parametrize("name", ["small-bar.reduced.elf.zst", "k316-bar.reduced.elf.zst"])
def test_walk_against_a_walk_by_hand(name: str) -> None:
    dump = open_dump(DUMPS / name)
    root = dump.roots[0]
    found = PageTables(dump.memory, root).leaves()
    expected = np.array(list(by_hand(dump.memory, root, 4, 0)), np.uint64)
    assert len(expected) > 10_000
    assert (np.stack(found, axis=1) == expected).all()
    some = slice(None, None, 997)
    tables = PageTables(dump.memory, root)
    for va, mfn in zip(found.va[some].tolist(), found.mfn[some].tolist(), strict=True):
        assert tables.translate(va + 5).mfn == mfn
        assert tables.translate(va + 5).address == (mfn << 12) + 5


@pytest.mark.parametrize("arch", [X86_64, X86_32], ids=lambda arch: arch.name)
def test_translation_shows_its_steps(tmp_path: Path, arch: Arch) -> None:
    known = RunMap(arch, 300, Kind.MISSING, [Run(0, 300, Kind.RAM, 50)])
    guest = write_guest(known, Shape.BUILDER)
    (tmp_path / "core").write_bytes(write.core_dump(guest))
    dump = open_dump(tmp_path / "core")
    tables = PageTables(dump.memory, guest.cr3, arch)
    va = BUILDER_ADDRESS[arch.bits]
    shown = tables.translate(va + 8)
    levels = 4 if arch.bits == 64 else 3
    assert [step.level for step in shown.steps] == list(range(levels, 0, -1))
    assert shown.steps[0].table == guest.cr3
    assert shown.mfn is not None
    assert tables.read(va, 16) == guest.pages[shown.mfn].tobytes()[:16]
    assert tables.translate(0x1000).mfn is None
    assert "not present" in tables.translate(0x1000).stopped
    with pytest.raises(UsageError):
        tables.translate(1 << 50 if arch.bits == 64 else 1 << 32)


def test_large_pages(tmp_path: Path) -> None:
    words = np.zeros((4, 512), np.uint64)
    words[1, 0] = 0x2067
    words[2, 0], words[2, 1] = 0x3067, (1 << 30) | 0xE7
    words[3, 5] = (7 << 21) | 0xE7
    (tmp_path / "pages").write_bytes(words.tobytes())
    memory = ExtentMemory(Image(tmp_path / "pages"), np.array([[0, 4, 0]], np.int64))
    tables = PageTables(memory, 1)
    found = tables.leaves()
    assert found.va.tolist() == [5 << 21, 1 << 30]
    assert found.pages.tolist() == [512, 1 << 18]
    assert tables.translate((1 << 30) + 0x5432).address == (1 << 30) + 0x5432
    assert tables.translate((5 << 21) + 0x1234).address == (7 << 21) + 0x1234
    assert tables.leaves(1 << 30, (1 << 30) + 1).va.tolist() == [1 << 30]
    assert tables.leaves(0, 5 << 21).va.tolist() == []


def test_what_a_real_guest_maps() -> None:
    dump = open_dump(DUMPS / "small-bar.reduced.elf.zst")
    found = inspect(dump)
    (domain,) = found.domains
    assert domain.p2m is not None
    assert isinstance(found.m2p, HostM2p)
    classifier = Classifier(domain.p2m.map, found.m2p)
    bar = range(0x200000, 0x201000)
    mapped_by = [
        root
        for root in domain.roots
        if len(find_frames(PageTables(dump.memory, root), bar.start, bar.stop).va)
    ]
    assert len(mapped_by) == 2
    tables = PageTables(dump.memory, mapped_by[0])
    spans = [span for span in list_mappings(tables, classifier) if span.mfn in bar]
    assert [(span.target, span.pages, span.flags) for span in spans] == [
        (Target.IDENTITY, 8, 0x8000_0000_0000_0337)
    ]
    frame = spans[0].mfn + 3
    assert find_frames(tables, frame, frame + 1).va.tolist() == [spans[0].va + 3 * 4096]
    every = {
        span.target for span in list_mappings(PageTables(dump.memory, dump.roots[0]), classifier, xen=True)
    }
    assert {Target.OWN_RAM, Target.M2P, Target.XEN} <= every


def test_foreign_mappings_of_a_real_guest() -> None:
    dump = open_dump(DUMPS / "domu-live.reduced.elf.zst")
    found = inspect(dump)
    assert found.domains[0].p2m is not None
    classifier = Classifier(found.domains[0].p2m.map)
    foreign = [
        span
        for root in found.domains[0].roots
        for span in list_mappings(PageTables(dump.memory, root), classifier)
        if span.target is Target.FOREIGN
    ]
    assert sum(span.pages for span in foreign) == 16


def test_m2p_in_bulk(tmp_path: Path) -> None:
    known = RunMap(
        X86_64,
        1 << 27,
        Kind.IDENTITY,
        [Run(0, 400, Kind.RAM, 300), Run(400, (1 << 27) - 400, Kind.IDENTITY, None)],
    )
    host = write_host([write_guest(known, Shape.LIST)])
    (tmp_path / "elf").write_bytes(write.elf_dump(host.pages, write.qemu_notes(host.root)))
    (tmp_path / "core").write_bytes(write.core_dump(host.guests[0]))
    asked = np.array([[300, 699], [299, 1 << 40], [450, (1 << 64) - 1]], np.uint64)
    for name in ("elf", "core"):
        m2p = inspect(open_dump(tmp_path / name)).m2p
        assert m2p is not None
        assert m2p.lookup(asked).tolist() == [[0, 399], [NO_MFN, NO_MFN], [150, NO_MFN]]
        assert m2p.lookup(asked[:0]).shape == (0, 2)
