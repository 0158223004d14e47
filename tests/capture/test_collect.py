"""Collecting from recorded systems and from the machine at hand, and reading the result back."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.test_properties import bars, maps
from xenp2m.capture import Capture, MemoryFigures, Observed, read_text
from xenp2m.capture.captured import Collected, Lack, Resizable, SystemKind, to_json
from xenp2m.capture.collect import collect
from xenp2m.capture.collect.paste import pasted
from xenp2m.capture.model import LoggedRange
from xenp2m.errors import FormatError, InputError
from xenp2m.machine import Bar, E820Entry, Machine, MapSource, Window
from xenp2m.prediction import predict
from xenp2m.units import GIB, MIB

TREES = Path(__file__).resolve().parent.parent / "data/trees"
NAMES = ("bare-metal", "dom0", "dom0-unprivileged", "domu")
PERSONAL = (
    "alice",
    "hunter2",
    "cryptkey",
    "placeholder",
    "00:16:3e",
    "SERIAL",
    "7XK2Q91",
    "4C530001",
    "192.0.2.17",
    "0c9ea6b4",
    "9a1c5a10",
    "ACME",
)


def written(collected: Collected) -> str:
    return json.dumps(to_json(collected))


def facts(collected: Collected) -> set[str]:
    return {lack.fact for lack in collected.lacks}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the recorded dom0, to take things away from."""
    return Path(shutil.copytree(TREES / "dom0", tmp_path / "dom0"))


@pytest.mark.parametrize("name", NAMES)
def test_the_trees_hold_personal_data_and_none_comes_out(name: str) -> None:
    held = "".join(path.read_text() for path in (TREES / name).rglob("*") if path.is_file())
    assert sum(word in held for word in PERSONAL) > 3
    collected = collect(TREES / name)
    for text in (written(collected), pasted(collected)):
        for word in PERSONAL:
            assert word.lower() not in text.lower()


@pytest.mark.parametrize("name", NAMES)
def test_a_collected_system_reads_back(name: str) -> None:
    collected = collect(TREES / name)
    machine = replace(collected.capture.machine, name="")
    back = read_text(written(collected), "capture.json")
    assert replace(back.machine, name="") == machine
    assert back.dom0_final == collected.capture.dom0_final
    assert back.observed == collected.capture.observed
    assert back.memory == (collected.capture.memory if collected.system.is_pv else None)
    assert predict(back, "6.1").guest.stopped is None


@pytest.mark.parametrize("name", NAMES)
def test_the_text_reads_back_to_the_same(name: str) -> None:
    collected = collect(TREES / name)
    as_json = read_text(written(collected), "capture.json")
    as_text = read_text(pasted(collected), "mail")
    assert replace(as_text.machine, name="") == replace(as_json.machine, name="")
    assert as_text.dom0_final == as_json.dom0_final
    assert as_text.memory == as_json.memory
    if as_json.observed is not None:
        assert as_text.observed == as_json.observed


def test_bare_metal() -> None:
    collected = collect(TREES / "bare-metal")
    machine = collected.capture.machine
    assert collected.system is SystemKind.NO_XEN
    assert collected.lacks == ()
    assert machine.e820_source is MapSource.FIRMWARE
    assert len(machine.e820) == 9
    assert [bar.label for bar in machine.bars] == ["0000:03:00.0/0", "0000:03:00.0/2", "0000:03:00.0/5"]
    assert Window("0000:00:1c.0", 0x80000000, 0x90000000) in machine.windows
    assert (machine.cpu_vendor, machine.cpu_family, machine.physical_bits) == ("Intel", 6, 46)
    assert machine.io_apics == (0xFEC00000, 0xFEC40000)
    assert machine.local_apic == 0xFEE00000
    (resizable,) = collected.resizable
    assert resizable.sizes == tuple(MIB << bit for bit in range(8, 14))


def test_resizable_bars_are_told_when_read_back() -> None:
    notes = read_text(written(collect(TREES / "bare-metal")), "x").notes
    assert any("0000:03:00.0/0 to 8 GiB" in note.text for note in notes)


def test_dom0() -> None:
    collected = collect(TREES / "dom0")
    capture = collected.capture
    assert collected.system is SystemKind.DOM0
    assert collected.lacks == ()
    assert capture.machine.e820_source is MapSource.XEN
    assert capture.dom0_final is not None
    assert (capture.machine.xen_version, capture.machine.dom0_mem) == ("4.17.7", "1G")
    assert capture.machine.nr_pages == GIB >> 12
    assert capture.memory is not None
    assert capture.memory.current_kb == 1 << 20
    assert capture.observed is not None
    assert capture.observed.remapped == 97


def test_dom0_without_privilege_says_what_root_would_add() -> None:
    collected = collect(TREES / "dom0-unprivileged")
    assert collected.system is SystemKind.DOM0
    assert facts(collected) == {"xen", "log", "iomem"}
    assert all(lack.needs_root for lack in collected.lacks)
    assert collected.capture.machine.e820_source is MapSource.DOM0_FINAL
    assert len(collected.capture.machine.bars) == 4


def test_domu() -> None:
    collected = collect(TREES / "domu")
    assert collected.system is SystemKind.PV
    assert facts(collected) == {"host", "bars"}
    assert collected.capture.machine.mem_limit == 3 * GIB
    assert collected.capture.machine.e820_source is MapSource.GUEST
    assert collected.capture.dom0_final is None


def test_the_versions_of_xen_come_from_xl_info_where_its_log_has_lost_them(tree: Path) -> None:
    (tree / "commands/xl-dmesg").write_text("(XEN) d0v0 something late\n")
    shutil.rmtree(tree / "sys/hypervisor/version")
    collected = collect(tree)
    assert collected.capture.machine.xen_version == "4.17.7"
    assert collected.capture.machine.dom0_mem == "1G"
    assert [(lack.fact, lack.needs_root) for lack in collected.lacks] == [("xen", False)]


def test_the_log_comes_from_where_it_still_has_its_start(tree: Path) -> None:
    records = (tree / "dev/kmsg").read_text()
    banner = next(line for line in records.splitlines() if "Linux version" in line)
    log = "".join(line.partition(";")[2] + "\n" for line in records.splitlines() if ";" in line)
    (tree / "dev/kmsg").write_text("6,900,1,-;usb 1-1: new device\n")
    assert "log" in facts(collect(tree))
    stale = log.replace("6.1.0-56-amd64", "4.9.0-1-amd64")
    (tree / "var/log").mkdir(parents=True)
    (tree / "var/log/dmesg").write_text(stale)
    assert "log" in facts(collect(tree))
    (tree / "var/log/dmesg").write_text(log)
    assert "log" not in facts(collect(tree))
    (tree / "var/log/dmesg").unlink()
    (tree / "commands/journalctl--q--k--b--o-cat---no-pager").write_text(log)
    assert "log" not in facts(collect(tree))
    (tree / "commands/journalctl--q--k--b--o-cat---no-pager").unlink()
    (tree / "dev/kmsg").unlink()
    (tree / "commands/dmesg").write_text(log)
    assert "log" not in facts(collect(tree))
    assert "6.1.0-56-amd64" in banner


@pytest.mark.parametrize(
    ("guest", "capabilities", "kind"),
    [
        ("PVH", "control_d\n", SystemKind.PVH_DOM0),
        ("", "control_d\n", SystemKind.DOM0),
        ("HVM", "\n", SystemKind.HVM),
        ("PVH", "\n", SystemKind.PVH),
        ("", "\n", SystemKind.PV),
    ],
)
def test_kinds_of_systems(guest: str, capabilities: str, kind: SystemKind, tree: Path) -> None:
    (tree / "sys/hypervisor/guest_type").write_text(guest)
    (tree / "proc/xen/capabilities").write_text(capabilities)
    assert collect(tree).system is kind


@pytest.mark.parametrize("guest", ["PV", ""])
def test_dom0_without_xenfs_is_known_by_its_acpi(guest: str, tree: Path) -> None:
    (tree / "sys/hypervisor/guest_type").write_text(guest)
    (tree / "proc/xen/capabilities").unlink()
    (tree / "sys/firmware/acpi/tables").mkdir(parents=True)
    assert collect(tree).system is SystemKind.DOM0


def test_a_guest_of_unknown_kind(tree: Path) -> None:
    for path in ("dev", "sys/hypervisor/guest_type", "proc/xen/capabilities", "commands"):
        if (tree / path).is_dir():
            shutil.rmtree(tree / path)
        else:
            (tree / path).unlink()
    assert collect(tree).system is SystemKind.GUEST


def test_a_system_without_a_firmware_map(tree: Path) -> None:
    shutil.rmtree(tree / "sys/firmware")
    shutil.rmtree(tree / "commands")
    (tree / "dev/kmsg").unlink()
    collected = collect(tree)
    assert collected.capture.machine.e820_source is MapSource.IOMEM
    as_text = read_text(pasted(collected), "mail")
    assert as_text.machine.e820 == collected.capture.machine.e820
    assert as_text.machine.e820_source is MapSource.IOMEM
    (tree / "proc/iomem").write_text("00000000-00000000 : System RAM\n")
    lacking = collect(tree)
    assert lacking.lacks[0].fact == "map"
    assert lacking.lacks[0].needs_root
    assert "memory map" in str(read_text(written(lacking), "x").notes[0])


def test_no_system(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no system to read"):
        collect(tmp_path)


def test_odd_files_in_sysfs_are_passed_over(tree: Path) -> None:
    device = tree / "sys/bus/pci/devices"
    (device / "not-a-function").mkdir()
    (device / "not-a-function/resource").write_text("x\n")
    (device / "0000:00:02.0/resource0_resize").write_text("not hex\n")
    (device / "0000:00:03.0/resource").write_text("")
    (tree / "sys/firmware/memmap/0/end").unlink()
    (tree / "proc/cpuinfo").write_bytes(b"\xff\xfe cpu family : x\n")
    collected = collect(tree)
    assert collected.resizable == ()
    assert "0000:00:03.0" in {bar.bdf for bar in collected.capture.machine.bars}


def test_this_machine() -> None:
    """Whatever the tests run on: it is read without an error, and what is lacking is said."""
    collected = collect()
    machine = collected.capture.machine
    assert machine.kernel_release
    assert machine.e820 or "map" in facts(collected)
    assert machine.bars or "bars" in facts(collected)
    assert read_text(written(collected), "here.json").machine.e820 == machine.e820


ranges = st.tuples(st.integers(0, 1 << 40), st.integers(0, 1 << 40), st.integers(0, 1 << 40))


@given(
    maps(),
    bars(),
    st.sampled_from(SystemKind),
    st.lists(ranges, max_size=3),
    st.none() | st.integers(0, 1 << 40),
    st.booleans(),
)
def test_any_capture_reads_back(
    entries: tuple[E820Entry, ...],
    found: tuple[Bar, ...],
    system: SystemKind,
    freed: list[tuple[int, int, int]],
    released: int | None,
    with_memory: bool,
) -> None:
    observed = Observed(freed=tuple(LoggedRange(*row) for row in freed), released=released)
    is_domu = system is SystemKind.PV
    source = MapSource.GUEST if is_domu else MapSource.XEN
    capture = Capture(
        machine=Machine(e820=entries, e820_source=source, bars=found, nr_pages=released),
        dom0_final=None if is_domu else entries[:1],
        observed=observed,
        memory=MemoryFigures(current_kb=released, mem_total_kb=5) if with_memory else None,
    )
    resizable = tuple(Resizable(bar.bdf, bar.index or 0, (MIB, GIB)) for bar in found)
    lacks = (Lack("log", "the start of the log"),)
    text = written(Collected(system=system, capture=capture, resizable=resizable, lacks=lacks))
    back = read_text(text, "x")
    assert replace(back.machine, name="") == capture.machine
    assert (back.dom0_final, back.observed) == (capture.dom0_final, capture.observed)
    assert back.memory == (capture.memory if system.is_pv else None)


@pytest.mark.parametrize(
    "change",
    [
        {"system": "a toaster"},
        {"machine": 5},
        {"machine": {}},
        {"dom0_final": [[1, 2]]},
        {"dom0_final": [[5, 2, 1]]},
        {"observed": {"colour": 5}},
        {"observed": {"freed": [[1]]}},
        {"observed": {"released": "many"}},
        {"observed": [1]},
        {"memory": {"current_kb": -1}},
        {"memory": 3},
        {"resizable": [["nowhere", 0, [1]]]},
        {"resizable": 7},
        {"lacks": [["map"]]},
        {"surprise": 1},
    ],
)
def test_malformed_captures(change: dict[str, object]) -> None:
    value = to_json(collect(TREES / "dom0")) | change
    with pytest.raises(FormatError):
        read_text(json.dumps(value), "x")
