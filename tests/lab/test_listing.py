"""The toolstack's listings: RAM frame for frame, and no word on what they do not tell."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from writers import containers as write
from writers.guest import Shape, write_guest
from xenp2m.arch import X86_64
from xenp2m.check.diff import Side, diff_maps
from xenp2m.dump import open_dump
from xenp2m.entry import Kind
from xenp2m.errors import FormatError
from xenp2m.lab.listing import of_core, of_mfndump
from xenp2m.lab.result import Comparison
from xenp2m.runs import Run, RunMap

OWN = RunMap(
    X86_64,
    1 << 27,
    Kind.IDENTITY,
    [
        Run(0, 160, Kind.RAM, 4096),
        Run(160, 96, Kind.IDENTITY, None),
        Run(256, 300, Kind.RAM, 9000),
        Run(1024, (1 << 27) - 1024, Kind.IDENTITY, None),
    ],
)


def printed(known: RunMap, frames: int = 1024) -> bytes:
    """Return what xen-mfndump prints: words as they are in the list, whole 1:1 pages as missing."""
    words = known.to_words(0, frames).tolist()
    for start in range(0, frames, 512):
        if all(word >> 62 == 1 or word == (1 << 64) - 1 for word in words[start : start + 512]):
            words[start : start + 512] = [(1 << 64) - 1] * 512
    rows = [f"  pfn={pfn:#x} ==> mfn={word:#x} (type 0x0)" for pfn, word in enumerate(words)]
    head = [" --- Dumping P2M for domain 1 ---", f" Guest Width: 8, PT Levels: 4 P2M size: = {frames}"]
    return "\n".join([*head, *rows, " --- End of P2M for domain 1 ---", ""]).encode()


def compared(a: RunMap, b: Side) -> Comparison:
    return Comparison("a", "b", diff_maps(Side("a", a), b), partial=True)


def test_a_listing_of_the_same_frames_is_equal() -> None:
    assert compared(OWN, of_mfndump(printed(OWN), "listing")).equal


def test_one_other_machine_frame_is_found() -> None:
    text = re.sub(rb"(pfn=0x12c ==> mfn=)0x\w+", rb"\g<1>0x7", printed(OWN))
    found = compared(OWN, of_mfndump(text, "listing"))
    assert not found.equal
    assert found.to_json()["first"] == [[300, 301, "ram", "ram"]]


@pytest.mark.parametrize(("pfn", "word"), [(300, (1 << 64) - 1), (900, 5)])
def test_ram_on_one_side_only_is_found(pfn: int, word: int) -> None:
    text = re.sub(rb"(pfn=%#x ==> mfn=)0x\w+" % pfn, rb"\g<1>%#x" % word, printed(OWN))
    assert not compared(OWN, of_mfndump(text, "listing")).equal


@pytest.mark.parametrize("cut", [b"", b" --- Dumping P2M", b"Could not map domain 1 memory information\n"])
def test_what_is_no_listing_is_an_error(cut: bytes) -> None:
    with pytest.raises(FormatError):
        of_mfndump(cut, "listing")
    with pytest.raises(FormatError):
        of_mfndump(printed(OWN)[:-40], "listing")


def test_the_list_in_a_core(tmp_path: Path) -> None:
    guest = write_guest(OWN, Shape.LIST)
    (tmp_path / "core").write_bytes(write.core_dump(guest))
    listed = of_core(open_dump(tmp_path / "core"), ".xen_p2m")
    assert compared(guest.map, listed).equal
    runs = [run._replace(mfn=run.mfn + 1) if run.mfn == 9000 else run for run in guest.map]
    assert not compared(RunMap(X86_64, 1 << 27, Kind.IDENTITY, runs), listed).equal
