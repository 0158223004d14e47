"""The machines that come with the program: whole, named, found, and honest about what they lack."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from xenp2m import catalogue
from xenp2m.capture import require_map
from xenp2m.catalogue import Entry, RecordKind
from xenp2m.errors import MissingFactError, UsageError
from xenp2m.machine import MapSource

T7610 = "a1e81a7903a5"
PERSONAL = re.compile(
    rb"@[\w-]+\.(?:com|org|net|de|fr|uk|io)\b|(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])|serial", re.I
)


def entry_with(**fields: Any) -> Entry:
    known = catalogue.lookup(T7610)
    return replace(known, record={**known.record, **fields})


def test_every_machine_tells_its_source_and_reads() -> None:
    entries = list(catalogue.entries())
    assert len(entries) == len({entry.id for entry in entries}) == 517
    assert [entry.id for entry in entries] == sorted(entry.id for entry in entries)
    for entry in entries:
        assert entry.source.repo
        capture = entry.capture
        assert len(capture.machine.bars) <= len(entry.record["bars"])
        assert bool(capture.machine.e820) is not bool(entry.lack)
        if entry.lack:
            with pytest.raises(MissingFactError, match=re.escape(entry.lack)):
                require_map(capture)
        else:
            require_map(capture)
            assert entry.ram > 0
            assert max(item.end for item in capture.machine.e820) == entry.map_end
    assert sum(not entry.lack for entry in entries) == 314


def test_a_machine() -> None:
    entry = catalogue.lookup(T7610)
    assert (entry.product, entry.firmware_year) == ("Dell Inc. Precision T7610 (0NK70N)", 2019)
    assert entry.kind is RecordKind.FIRMWARE
    assert entry.bars_end == 0x21FFF820000
    assert entry.machine.e820_source is MapSource.FIRMWARE
    assert entry.machine.kernel_release == "6.0.0"
    assert not entry.caveats


def test_what_cannot_be_predicted_says_why() -> None:
    lacks = Counter((entry.kind.value, entry.lack) for entry in catalogue.entries() if entry.lack)
    assert {kind: sum(n for (k, _), n in lacks.items() if k == kind) for kind, _ in lacks} == {
        "bars-only": 160,
        "facter": 4,
        "fbsd-physmem": 29,
        "bios": 5,
        "iomem": 4,
        "xen-hv": 1,
    }
    assert "left out lines" in entry_with(elided=True).lack
    assert "no PC" in entry_with(e820=[[0, 1 << 30, 1]]).lack
    assert (
        "not whole" in entry_with(e820=[[0, 0x9F000, 1], [0x9F000, 0xA0000, 2], [1 << 20, 1 << 30, 1]]).lack
    )
    assert entry_with(e820=[[0, 0x9F000, 1], [1 << 20, 1 << 30, 1], [1 << 30, 1 << 31, 2]]).lack == ""


def test_what_can_be_predicted_says_its_limits() -> None:
    def notes(**fields: Any) -> str:
        return " ".join(entry_with(**fields).caveats)

    assert "moved by the kernel" in notes(bars_moved=3)
    assert "typed by hand" in notes(transcribed=True)
    assert "no BARs" in notes(bars=[])
    dom0 = next(entry for entry in catalogue.entries() if entry.kind is RecordKind.DOM0)
    assert "the host's is not known" in dom0.caveats[0]
    assert any("the host's is not known" in str(note) for note in dom0.capture.notes)
    assert sum("virtual machine" in " ".join(entry.caveats) for entry in catalogue.entries()) == 14


@pytest.mark.parametrize(
    "name", [T7610, f"catalogue:{T7610}", "a1e8", "dell inc. precision t7610 (0nk70n)", "T7610", "t7610 dell"]
)
def test_lookup(name: str) -> None:
    assert catalogue.lookup(name).id == T7610


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a1e81a7903a6", ("no such machine", T7610)),
        ("Precision T7611", ("no such machine", "Precision T7610")),
        ("XPS 13", ("several machines", "an id", "more")),
        ("a1e", ("no such machine",)),
        ("", ("no such machine",)),
        ("qqqq", ("no such machine", "xenp2m catalogue")),
    ],
)
def test_lookup_of_no_machine_or_of_several(name: str, words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as raised:
        catalogue.lookup(name)
    for word in words:
        assert word in str(raised.value)


def test_search_takes_all_words() -> None:
    assert len(catalogue.search(())) == 517
    assert {entry.kind.value for entry in catalogue.search(["fbsd"])} == {"fbsd-physmem"}
    both = catalogue.search(["DELL", "xps"])
    assert both
    assert all("Dell" in entry.product and "XPS" in entry.product for entry in both)
    assert catalogue.search(["dell", "no such word"]) == []


def test_nothing_personal_is_in_the_data() -> None:
    for entry in catalogue.entries():
        named = " ".join((entry.product, entry.firmware, str(entry.record.get("kernel", "")))).encode()
        # Versions of firmware look like addresses, of which only kernels and products could have any.
        assert not PERSONAL.search(named.replace(entry.firmware.encode(), b"")), entry.id
        assert re.fullmatch(r"(\d+(\.\d+)+(-rc\d+)?)?", str(entry.record.get("kernel", ""))), entry.id
        assert entry.record.keys() <= {
            *("id", "kind", "virt", "bios_year", "year", "xen", "e820", "dom0_e820", "bars", "bars_moved"),
            *("windows", "elided", "transcribed", "product", "firmware", "kernel", "source"),
        }


def test_it_is_loaded_when_it_is_used() -> None:
    code = (
        "import sys, xenp2m, xenp2m.cli, xenp2m.capture, xenp2m.cli.options;"
        "print([name for name in sys.modules if 'catalogue' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_data_file_is_small() -> None:
    packed = Path(catalogue.__file__).with_name("machines.ndjson.zst")
    assert packed.stat().st_size < 120_000
