"""Texts of a PV domU: told from dom0's where they can be, and never taken for the host's."""

from __future__ import annotations

from pathlib import Path

import pytest

from capture.writers import LAPTOP, linux_new, plain, xen_new
from conformance.sources import TESTS, load_json
from xenp2m.capture import Capture, Severity, read_files, read_text
from xenp2m.errors import MissingFactError, UsageError
from xenp2m.machine import E820Entry, MapSource
from xenp2m.prediction import WhatIf, predict
from xenp2m.units import GIB, MIB

RECORDED = TESTS / "data/captures/domu-e820-host"
BANNER = ["Linux version 6.1.0 (b) (gcc) #1", "Hypervisor detected: Xen PV"]
PLAIN = (E820Entry(0, 0xA0000, 1), E820Entry(0xA0000, MIB, 2), E820Entry(MIB, 2 * GIB, 1))
ACPI_OFF = "ACPI in unprivileged domain disabled"
BAR = "pci 0000:00:00.0: reg 0x10: [mem 0xd0000000-0xd0000fff]"


def log(*lines: str, entries: tuple[E820Entry, ...] = LAPTOP) -> Capture:
    return read_text(plain([*BANNER, *linux_new(entries, "Xen"), *lines]), "dmesg")


def untold(capture: Capture) -> bool:
    return any("does not say whether" in note.text for note in capture.notes)


def test_the_log_of_a_recorded_domu_alone_gives_its_p2m() -> None:
    """Its memory= and maxmem= are in no line: they follow from its map and from what it moved."""
    capture = read_files([RECORDED / "dmesg.txt"])
    assert capture.machine.e820_source is MapSource.GUEST
    assert capture.dom0_final is None
    prediction = predict(capture, "6.1")
    assert not prediction.guest.config.is_dom0
    found = [(run.pfn, run.pages, run.kind.label) for run in prediction.guest.p2m]
    assert found == [tuple(run[:3]) for run in load_json(RECORDED / "truth.json")["runs"]]
    assert {text.what for text in prediction.assumptions} == {
        "a PV domU",
        "the domU starts with 160 MiB (40960 frames)",
    }


@pytest.mark.parametrize("sign", [ACPI_OFF, "PCI: setting up Xen PCI frontend stub"])
def test_lines_that_only_a_domu_prints(sign: str) -> None:
    capture = log(sign)
    assert capture.machine.e820_source is MapSource.GUEST
    assert not untold(capture)


@pytest.mark.parametrize("sign", ["ACPI: RSDP 0x00000000000F0000 000024", "IOAPIC[0]: apic_id 0, version 32"])
def test_lines_that_only_dom0_prints(sign: str) -> None:
    capture = log(sign)
    assert capture.machine.e820_source is MapSource.DOM0_FINAL
    assert not untold(capture)


def test_a_map_of_ram_only_is_no_hosts_if_it_is_whole() -> None:
    last_pfn = "last_pfn = 0x80000 max_arch_pfn = 0x400000000"
    assert log(last_pfn, entries=PLAIN).machine.e820_source is MapSource.GUEST
    for cut in (log(entries=PLAIN), log("last_pfn = 0x27e000 max_arch_pfn = 0x400000000", entries=PLAIN)):
        assert cut.machine.e820_source is MapSource.DOM0_FINAL
        assert untold(cut)


def test_where_no_line_tells_it_is_said_and_can_be_told() -> None:
    capture = log(BAR)
    assert untold(capture)
    assert predict(capture, "6.1").guest.config.is_dom0
    told = predict(capture, "6.1", WhatIf(guest="domU"))
    assert not told.guest.config.is_dom0
    assert told.guest.config.e820 == LAPTOP


def test_the_guest_can_be_named_against_the_log() -> None:
    capture = log(ACPI_OFF)
    for asked in (WhatIf(guest="dom0"), WhatIf(dom0_mem="1G")):
        assert predict(capture, "6.1", asked).guest.config.is_dom0
    described = predict(capture, "6.1", WhatIf(guest="domU", domu_memory=GIB))
    assert described.guest.config.e820 == (E820Entry(0, GIB, 1),)
    with pytest.raises(MissingFactError, match="no memory map of the host"):
        predict(capture, "6.1", WhatIf(guest="domU", domu_memory=GIB, e820_host=True))
    host = read_text(plain(xen_new(LAPTOP)), "xen")
    with pytest.raises(UsageError, match="needs --memory"):
        predict(host, "6.1", WhatIf(guest="domU"))


def test_the_devices_in_its_log_are_passed_through() -> None:
    over_ram = log(ACPI_OFF, "pci 0000:00:00.0: reg 0x10: [mem 0x40000000-0x40000fff]", entries=PLAIN)
    (conflict,) = predict(over_ram, "6.1").passthrough
    assert conflict.entry.is_ram
    assert predict(log(ACPI_OFF, BAR), "6.1").passthrough == ()


def test_beside_a_hosts_map_it_says_nothing_of_dom0(tmp_path: Path) -> None:
    console, dmesg = RECORDED / "host-xen-console.txt", RECORDED / "dmesg.txt"
    alone, both = read_files([console]), read_files([dmesg, console])
    assert both.machine.e820 == alone.machine.e820
    assert (both.dom0_final, both.observed, both.memory) == (None, None, None)
    assert any("a PV domU's" in note.text for note in both.notes if note.severity is Severity.LACK)
    pasted = tmp_path / "both.txt"
    pasted.write_bytes(console.read_bytes() + dmesg.read_bytes())
    assert read_files([pasted]).machine.e820 == alone.machine.e820


@pytest.mark.parametrize("kind", ["Xen HVM", "Xen PVH", "Xen with PVH extensions"])
def test_guests_that_are_not_pv_have_a_firmware_map(kind: str) -> None:
    lines = ["Linux version 6.1.0 (b) (gcc) #1", *linux_new(LAPTOP)]
    capture = read_text(
        plain([*lines, f"Booting paravirtualized kernel on {kind}", "Released 0 page(s)"]), "x"
    )
    assert capture.machine.e820_source is MapSource.FIRMWARE
    assert capture.observed is None
