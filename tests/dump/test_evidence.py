"""Which shared page is which: evidence that agrees, that contradicts itself, and none at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from writers import containers as write
from writers.guest import Guest, Shape, write_guest
from writers.host import write_host
from writers.judge import assert_honest
from xenp2m.arch import X86_64
from xenp2m.dump import Confidence, inspect, open_dump, symbols
from xenp2m.dump.evidence import Vote, decide, from_order
from xenp2m.dump.layout import RO_M2P_START, RW_M2P_START, SELF_MAP_SLOT
from xenp2m.entry import Kind
from xenp2m.runs import Run, RunMap

END = 1 << 27


def vote(frame: int, kind: Kind, confidence: Confidence) -> Vote:
    return Vote(frame, kind, "", confidence)


def test_elimination() -> None:
    shared = decide([vote(8, Kind.MISSING, Confidence.STRONG)], {8, 7})
    assert (shared.identity, shared.missing, shared.confidence) == (7, 8, Confidence.STRONG)


def test_symbols_outweigh_the_rest() -> None:
    votes = [vote(8, Kind.MISSING, Confidence.CERTAIN), vote(8, Kind.IDENTITY, Confidence.LIKELY)]
    shared = decide(votes, {7, 8})
    assert (shared.identity, shared.missing, shared.confidence) == (7, 8, Confidence.CERTAIN)
    assert any(text.startswith("outweighed") for text in shared.evidence)


def test_contradiction_decides_nothing() -> None:
    votes = [vote(8, Kind.IDENTITY, Confidence.LIKELY), vote(7, Kind.IDENTITY, Confidence.LIKELY)]
    shared = decide(votes, {7, 8})
    assert shared.identity is None
    assert shared.missing is None
    assert shared.confidence is Confidence.UNKNOWN
    assert decide([], {7, 8}).identity is None


def test_order_of_allocation() -> None:
    downwards = from_order({0x100: 0x102}, {0x102, 0x103})  # identity_pte, missing_pte, identity, missing
    upwards = from_order({0x103: 0x101}, {0x100, 0x101})  # missing, identity, missing_pte, identity_pte
    assert downwards is not None
    assert downwards.frame == 0x102
    assert upwards is not None
    assert upwards.frame == 0x101
    assert from_order({0x200: 0x102}, {0x102, 0x103}) is None
    assert from_order({0x100: 0x102}, {0x102}) is None


def tree_guest() -> Guest:
    runs = [Run(0, 600, Kind.RAM, 100), Run(600, 424, Kind.IDENTITY, None), Run(4096, 20, Kind.RAM, 800)]
    return write_guest(
        RunMap(X86_64, END, Kind.IDENTITY, [*runs, Run(5120, END - 5120, Kind.IDENTITY, None)]), Shape.TREE_B
    )


def published_guest() -> Guest:
    """A guest without the kernel's own tree."""
    guest = tree_guest()
    for words in guest.pages.values():
        if int(words[0]) >> 32 == 0xFFFF_FFFF or int(words[0]) >> 40 == 0xFFFF88:
            words[:] = 0
    return guest


def test_frame_list_alone_leaves_the_tail_open(tmp_path: Path) -> None:
    guest = published_guest()
    (tmp_path / "core").write_bytes(write.core_dump(guest))
    (domain,) = inspect(open_dump(tmp_path / "core")).domains
    assert domain.p2m is not None
    assert domain.p2m.source.startswith("frame list list")
    assert domain.p2m.map.entry(600 + 424 - 1).kind is Kind.IDENTITY
    assert any(each.end == END for each in domain.p2m.ambiguous)
    assert_honest(domain.p2m, guest.map)


@pytest.mark.parametrize("other", [1, 2])
def test_a_page_of_frames_in_two_places_is_believed_in_neither(tmp_path: Path, other: int) -> None:
    guest = published_guest()
    mid = guest.pages[int(guest.pages[guest.frame_list_list][0])]
    mid[other] = mid[0]
    (tmp_path / "core").write_bytes(write.core_dump(guest))
    (domain,) = inspect(open_dump(tmp_path / "core")).domains
    assert domain.p2m is not None
    for slot in (0, other):
        assert {run.kind for run in domain.p2m.map.within(slot * 512, slot * 512 + 512)} == {Kind.MISSING}
        assert any(
            each.start <= slot * 512 < slot * 512 + 512 <= each.end and "several places" in each.reason
            for each in domain.p2m.ambiguous
        )


def test_shared_page_that_was_written_to(tmp_path: Path) -> None:
    guest = tree_guest()
    (tmp_path / "kallsyms").write_text(guest.kallsyms())
    known = symbols.load(tmp_path / "kallsyms")
    blank = [mfn for mfn, words in guest.pages.items() if (words == np.uint64((1 << 64) - 1)).all()]
    for mfn in blank:
        guest.pages[mfn][77] = 4242  # what setting a frame below the shared identity leaf does before 3.19
    (tmp_path / "core").write_bytes(write.core_dump(guest))
    for names in (None, known):
        (domain,) = inspect(open_dump(tmp_path / "core"), names).domains
        assert domain.p2m is not None
        assert any("not all ones" in note for note in domain.p2m.notes)
        assert_honest(domain.p2m, guest.map)


@pytest.mark.parametrize("guests_view", [False, True])
def test_restricted_root_is_passed_over(tmp_path: Path, guests_view: bool) -> None:
    """With XPTI the noted page table lacks Xen's own slots; it can have the guests' view of the M2P."""
    host = write_host([tree_guest()])
    restricted = max(host.pages) + 1
    host.pages[restricted] = np.zeros(512, np.uint64)
    host.pages[restricted][SELF_MAP_SLOT] = (restricted << 12) | 0x63
    if guests_view:
        host.pages[restricted][RO_M2P_START >> 39 & 511] = host.pages[host.root][RW_M2P_START >> 39 & 511]
    (tmp_path / "elf").write_bytes(write.elf_dump(host.pages, write.qemu_notes(restricted)))
    found = inspect(open_dump(tmp_path / "elf"))
    assert found.root == host.root
    assert found.m2p is not None
    assert [domain.domid for domain in found.domains] == [0]


def test_the_guests_view_of_the_m2p_is_better_than_none(tmp_path: Path) -> None:
    host = write_host([tree_guest()])
    table = host.pages[host.root]
    table[RO_M2P_START >> 39 & 511] = table[RW_M2P_START >> 39 & 511]
    table[RW_M2P_START >> 39 & 511] = 0
    (tmp_path / "elf").write_bytes(write.elf_dump(host.pages, write.qemu_notes(host.root)))
    found = inspect(open_dump(tmp_path / "elf"))
    assert found.m2p is not None
    assert "the guests' view" in found.m2p.found_by


def test_symbols_of_another_kernel_are_not_believed(tmp_path: Path) -> None:
    guest = tree_guest()
    (tmp_path / "core").write_bytes(write.core_dump(guest))
    (tmp_path / "kallsyms").write_text(
        "".join(
            f"{0xFFFF_FFFF_8000_0000 + 4096 * n:x} b {name}\n" for n, name in enumerate(guest.symbols, 20)
        )
    )
    (domain,) = inspect(open_dump(tmp_path / "core"), symbols.load(tmp_path / "kallsyms")).domains
    assert_honest(domain.p2m, guest.map)
    assert domain.p2m is not None
    assert domain.p2m.confidence is not Confidence.CERTAIN


@pytest.mark.parametrize("shape", [Shape.TREE_B, Shape.LIST], ids=lambda shape: shape.name)
def test_a_guest_that_has_published_nothing_yet(tmp_path: Path, shape: Shape) -> None:
    guest = tree_guest() if shape is Shape.TREE_B else write_guest(tree_guest().map, shape)
    guest.max_pfn = 0
    guest.p2m_cr3 = 0
    (tmp_path / "core").write_bytes(write.core_dump(guest))
    (domain,) = inspect(open_dump(tmp_path / "core")).domains
    assert domain.p2m is not None
    assert domain.p2m.source.startswith("page list")
    assert_honest(domain.p2m, guest.map)


def test_a_list_of_shared_tables_only(tmp_path: Path) -> None:
    guest = write_guest(tree_guest().map, Shape.LIST)
    flags = {mfn: set((words & np.uint64(0xFFF)).tolist()) for mfn, words in guest.pages.items()}
    table = next(mfn for mfn, found in flags.items() if found == {0x65, 0x67})  # shared leaves and own ones
    guest.pages[table][:] = guest.pages[table][511]
    (tmp_path / "core").write_bytes(write.core_dump(guest))
    (domain,) = inspect(open_dump(tmp_path / "core")).domains
    assert domain.p2m is not None
    assert [run.kind for run in domain.p2m.map] == [Kind.IDENTITY]
    assert any("page list" in note for note in domain.notes)
