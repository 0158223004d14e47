"""Texts that give BARs only, RAM only, or nothing, and machines as JSON."""

from __future__ import annotations

import json

import pytest

from capture.writers import LAPTOP
from xenp2m.capture import Severity, read_record, read_text, require_map
from xenp2m.errors import FormatError, MissingFactError, UsageError
from xenp2m.machine import Bar, E820Entry, Machine, MapSource, machine_to_json

FREEBSD = """\
FreeBSD 13.0-STABLE GENERIC amd64
  Origin="GenuineIntel"  Id=0x206c2  Family=0x6  Model=0x2c  Stepping=2
real memory  = 4294967296 (4096 MB)
Physical memory chunk(s):
0x0000000000010000 - 0x000000000009ffff, 589824 bytes (144 pages)
0x0000000000200000 - 0x00000000bfffffff, 3219128320 bytes (785920 pages)
avail memory = 4100000000 (3910 MB)
found->\tvendor=0x8086, dev=0x0001, revid=0x13
\tdomain=0, bus=2, slot=31, func=1
\tmap[10]: type Memory, range 64, base 0x4000000000, size 14, enabled
\tmap[18]: type I/O Port, range 32, base 0xd000, size  5, enabled
\tmap[1c]: type Prefetchable Memory, range 32, base 0xe0000000, size 28, enabled
\tmap[20]: type Memory, range 32, base 0, size 12, memory disabled
"""


def test_freebsd_lists_ram_only() -> None:
    capture = read_text(FREEBSD, "dmesg")
    assert capture.machine.e820 == (E820Entry(0x10000, 0xA0000, 1), E820Entry(0x200000, 0xC0000000, 1))
    assert capture.machine.e820_source is MapSource.PHYSMEM
    assert capture.machine.bars == (
        Bar("0000:02:1f.1", 0, 0x4000000000, 0x4000, True, False),
        Bar("0000:02:1f.1", 3, 0xE0000000, 0x10000000, False, True),
    )
    assert (capture.machine.cpu_vendor, capture.machine.cpu_family) == ("Intel", 6)
    with pytest.raises(MissingFactError, match="2 chunks of RAM"):
        require_map(capture)


@pytest.mark.parametrize("prefix", ["[1] ", "Feb 11 10:00:00 host kernel: "])
def test_freebsd_log_through_syslog(prefix: str) -> None:
    text = "".join(f"{prefix}{line}\n" for line in FREEBSD.splitlines())
    assert read_text(text, "dmesg").machine == read_text(FREEBSD, "dmesg").machine


def test_freebsd_bar_whose_size_was_cut() -> None:
    capture = read_text(FREEBSD[: FREEBSD.index("size 28") + len("size 2")], "dmesg")
    assert [bar.index for bar in capture.machine.bars] == [0]


def test_freebsd_log_with_the_firmware_map() -> None:
    smap = (
        "SMAP type=01 base=0000000000000000 len=00000000000a0000\n"
        "SMAP type=02 base=00000000000f0000 len=0000000000010000\n"
    )
    machine = require_map(read_text(smap + FREEBSD, "dmesg")).machine
    assert machine.e820 == (E820Entry(0, 0xA0000, 1), E820Entry(0xF0000, 0x100000, 2))
    assert machine.e820_source is MapSource.FIRMWARE


def test_dmidecode_has_no_map() -> None:
    text = (
        "# dmidecode 3.3\nHandle 0x1300, DMI type 19, 31 bytes\nMemory Array Mapped Address\n"
        "\tStarting Address: 0x00000000000\n\tEnding Address: 0x0007FFFFFFF\n"
    )
    capture = read_text(text, "dmi")
    assert capture.machine.e820 == ()
    assert capture.machine.bars == ()
    with pytest.raises(MissingFactError, match="dmidecode has no memory map"):
        require_map(capture)
    mailed = read_text("".join(f"> {line}\n" for line in text.splitlines()), "mail")
    assert "0x0-0x7fffffff" in mailed.notes[0].text


def facter(*resources: dict[str, object]) -> str:
    device = {"sysfs_bus_id": "0000:64:00.0", "resources": list(resources)}
    return json.dumps({"version": 1, "hardware": {"graphics_card": [device, {"sysfs_bus_id": None}]}})


def test_facter_report() -> None:
    mem = {"type": "mem", "base": 0x2400000000, "range": 0x10000000, "prefetch": "yes"}
    capture = read_text(facter(mem, {"type": "io", "base": 4096, "range": 256}), "facter")
    assert capture.machine.bars == (Bar("0000:64:00.0", None, 0x2400000000, 0x10000000, True, True),)
    assert any(note.severity is Severity.LACK for note in capture.notes)
    with pytest.raises(FormatError):
        read_text(facter({"type": "mem"}), "facter")


def test_own_machine_round_trip() -> None:
    machine = Machine(
        e820=LAPTOP,
        e820_source=MapSource.XEN,
        bars=(
            Bar("0000:03:00.0", 2, 0x4000000000, 0x1000, True, True),
            Bar("0000:04:00.0", None, 0xF0000000, 0x10),
        ),
        nr_pages=262144,
        io_apics=(0xFEC00000,),
        kernel=(0x1000000, 0x2000000),
        name="invented",
    )
    assert read_text(json.dumps(machine_to_json(machine), indent=1), "machine").machine == machine


RECORD = {
    "id": "abc",
    "kind": "bios",
    "e820": [list(entry) for entry in LAPTOP],
    "bars": [
        ["0000:03:00.0", 2, 0x4000000000, 0x1000, True, True],
        ["04:00.0", None, 0xF0000000, 0x10, False, False],
    ],
    "windows": [["0000:00", 0x80000000, 0xE0000000]],
    "kernel": "6.1.0",
}


def test_record_of_facts() -> None:
    machine = read_text(json.dumps(RECORD), "record").machine
    assert machine.e820 == LAPTOP
    assert machine.name == "abc"
    assert [bar.label for bar in machine.bars] == ["0000:03:00.0/2", "0000:04:00.0/?"]
    for kind, source in [
        ("iomem", MapSource.IOMEM),
        ("xen-hv", MapSource.XEN),
        ("xen-dom0", MapSource.DOM0_FINAL),
    ]:
        assert read_text(json.dumps(RECORD | {"kind": kind}), "record").machine.e820_source is source


def test_record_without_a_map_says_so() -> None:
    for kind in ("bars-only", "facter"):
        capture = read_text(json.dumps(RECORD | {"kind": kind, "e820": []}), "record")
        with pytest.raises(MissingFactError, match="BARs only"):
            require_map(capture)
    physical = read_text(json.dumps(RECORD | {"kind": "fbsd-physmem"}), "record")
    with pytest.raises(MissingFactError, match="chunks of RAM"):
        require_map(physical)


@pytest.mark.parametrize(
    "broken", [{"e820": [[1]]}, {"bars": [["x", 0, 0, 0, 0, 0]]}, {"e820": [[9, 1, 1]]}, {"bars": 3}]
)
def test_broken_record(broken: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        read_record(RECORD | broken, "record 7")


def test_several_machines_in_one_file() -> None:
    with pytest.raises(UsageError, match="several machines"):
        read_text(json.dumps(RECORD) + "\n" + json.dumps(RECORD) + "\n", "fleet")


def test_values_of_odd_types() -> None:
    assert read_text(json.dumps(RECORD | {"kind": ["bios"]}), "x").machine.e820 == LAPTOP
    report = json.loads(facter())
    report["hardware"]["graphics_card"][0]["resources"] = 5
    assert read_text(json.dumps(report), "facter").machine.bars == ()
