"""Real texts of every kind: each gives its map and BARs, or says what it lacks.

The texts are third-party and not part of this project; they are read where they lie.  ``EXPECTED.json``
beside them holds what a quick extractor counted.  It is a cross-check: where it and a text differ for one of
the reasons below, the text is right.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from conformance.sources import SOURCES, load_json, paths
from xenp2m.capture import Capture, Severity, SourceNote, read_files
from xenp2m.errors import MissingFactError
from xenp2m.machine import MapSource

FORMATS = {
    "bios": "Linux boot log",
    "xen-dom0": "Linux boot log",
    "iomem": "/proc/iomem",
    "xen-hv": "Xen console",
    "fbsd-physmem": "FreeBSD boot log",
    "bars-only": "lspci",
    "facter": "nixos-facter report",
}
SOURCE_OF_MAP = {
    "bios": MapSource.FIRMWARE,
    "xen-dom0": MapSource.DOM0_FINAL,
    "iomem": MapSource.IOMEM,
    "xen-hv": MapSource.XEN,
    "fbsd-physmem": MapSource.PHYSMEM,
}
COLLISION = re.compile(rb"(\S+:\S+\.\d): BAR (\d+): address space collision")


def expected() -> dict[str, list[dict[str, Any]]]:
    folder = SOURCES["raw"].folder
    listed = folder / "EXPECTED.json" if folder else None
    return load_json(listed) if listed and listed.is_file() else {}


TEXTS = [path for path in paths("raw", "*.txt") if path.name != "SOURCES.txt"]


@pytest.mark.skipif(
    SOURCES["raw"].folder is None, reason="the raw texts are not here (XENP2M_RAW names them)"
)
@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_raw_text(path: Path) -> None:
    try:
        capture = read_files([path])
    except MissingFactError:
        assert not expected().get(path.name)
        return
    check_it_says_what_it_lacks(capture)
    for record in expected().get(path.name, ()):
        check_record(path, capture, record)


def check_it_says_what_it_lacks(capture: Capture) -> None:
    lacks = {note.lacks for note in capture.notes if note.severity is Severity.LACK}
    has_map = bool(capture.machine.e820) and capture.machine.e820_source is not MapSource.PHYSMEM
    assert has_map or "map" in lacks
    assert has_map or capture.machine.bars or capture.machine.e820 or len(lacks) > 0


def check_record(path: Path, capture: Capture, record: dict[str, Any]) -> None:
    source = next(s for s in capture.sources if s.format == FORMATS[record["kind"]])
    assert source.entries == record["e820"]
    check_bars(path, source, record)
    if record["dom0_e820"]:
        assert capture.dom0_final is not None
        assert len(capture.dom0_final) == record["dom0_e820"]
    if capture.machine.e820_source is SOURCE_OF_MAP.get(record["kind"]):
        top = max((entry.end for entry in capture.machine.e820 if entry.is_ram), default=0)
        assert top == int(record["ram_end"], 16)


def check_bars(path: Path, source: SourceNote, record: dict[str, Any]) -> None:
    """The extractor counts BARs that could not be claimed where old kernels call that a collision."""
    collisions = len(set(COLLISION.findall(path.read_bytes())))
    assert source.bars in {record["bars"], record["bars"] - collisions}
