"""``xenp2m inspect`` on reduced real dumps and on written ones, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.program import CAPTURES, DATA, assert_one_clear_error, run
from writers import containers as write
from writers.guest import Shape, write_guest
from writers.host import write_host
from xenp2m.arch import X86_64
from xenp2m.entry import Kind
from xenp2m.runs import Run, RunMap

DUMPS = DATA / "dumps"
NAMES = sorted(path.name.removesuffix(".truth.json") for path in DUMPS.glob("*.truth.json"))
END = 1 << 27


def inspected(*args: str | Path) -> dict[str, Any]:
    result = run("inspect", *args, "--json")
    assert (result.status, result.err) == (0, "")
    value: dict[str, Any] = json.loads(result.out)
    assert value["format"] == "xenp2m.inspection/1"
    return value


@pytest.mark.parametrize("name", NAMES)
def test_real_dumps_as_json(name: str) -> None:
    value = inspected(DUMPS / name)
    truth = json.loads((DUMPS / f"{name}.truth.json").read_text())
    domains = {domain["id"]: domain for domain in value["domains"]}
    for want in truth.get("domains", [truth]):
        have = domains[want["domain"] if isinstance(want["domain"], int) else None]
        assert have["ambiguous"] == []
        known = RunMap.from_json(have["map"])
        assert have["counts"] == {kind.label: count for kind, count in known.counts().items()}
        kinds = [[run.pfn, run.pages, run.kind.label] for run in known.without_mfns()]
        if not want.get("ram_only"):
            assert kinds == [row[:3] for row in want["runs"]]
        for _, _, kind, mfn in have["map"]["runs"]:
            assert (mfn is None) == (kind in ("missing", "identity"))
        assert have["mappings"]["kernel"]["own_ram"] > 0


@pytest.mark.parametrize("name", NAMES)
def test_real_dumps_for_people(name: str) -> None:
    result = run("inspect", DUMPS / name)
    assert (result.status, result.err) == (0, "")
    assert "█" in result.out
    assert "Traceback" not in result.out
    assert "ffffffffffff" not in result.out.replace("0xffffffff", "")


def test_plain_terminal() -> None:
    result = run("inspect", DUMPS / NAMES[0], env={"PYTHONIOENCODING": "ascii"})
    assert result.status == 0
    assert result.out.isascii()


def test_bar_and_what_the_old_kernel_would_have_made() -> None:
    """The BAR that a process maps in the dump of 3.16: 3.15 serves PCI sysfs only."""
    value = inspected(DUMPS / "k316-bar.reduced.elf.zst", "--find-bar", "0x200000000+16M")
    (found,) = value["found"]
    (mapping,) = found["mappings"]
    assert (mapping["mfn"], mapping["pages"], mapping["user"]) == (0x200100, 8, True)
    (old,) = mapping["3.15"]
    assert old["kind"] == "missing"
    assert old["mappers"]["sysfs"]["works"]
    assert old["mappers"]["dev_mem"] | {"text": ""} == {"pte": 0x200, "works": False, "text": ""}


def test_bars_of_captures() -> None:
    dump = DUMPS / "k316-bar.reduced.elf.zst"
    result = run("inspect", dump, "--machine", CAPTURES / "k316-bar", "--no-mappings")
    assert result.status == 0
    assert "BAR 0000:00:02.0/2: frames [0x200000, 0x201000)" in result.out
    assert "/dev/mem: 0x200" in " ".join(result.out.split())
    assert "assumed" not in result.out


def test_frame_and_address() -> None:
    dump = DUMPS / "k314-bar.reduced.elf.zst"
    value = inspected(dump, "--find-frame", "0x200100", "--va", "0x7f10603c5000", "--va", "0x1000")
    (mapping,) = value["found"][0]["mappings"]
    assert mapping["va"] == 0x7F10_603C_5000
    first, second = value["addresses"]
    assert first["machine"] == 0x2_0010_0000
    assert [step[0] for step in first["steps"]] == [4, 3, 2, 1]
    assert second["machine"] is None
    assert "not present" in second["text"]
    text = run("inspect", dump, "--va", "0xffff880000000000").out
    assert "level 1" in text
    assert "RAM: guest frame 0x0" in text


def test_map_file_and_domains(tmp_path: Path) -> None:
    dump = DUMPS / "domu-live.reduced.elf.zst"
    maps = {}
    for domid in (0, 1):
        path = tmp_path / f"{domid}.json"
        result = run("inspect", dump, "--domain", str(domid), "--map", path, "--no-mappings")
        assert result.status == 0
        assert f"domain {domid}:" in result.out
        maps[domid] = RunMap.from_json(json.loads(path.read_text()))
    assert maps[0].counts()[Kind.FOREIGN] == 2
    assert maps[1].counts()[Kind.RAM] == 40960
    assert_one_clear_error(run("inspect", dump, "--domain", "7"), "no domain 7", "0, 1")


def test_symbols_make_it_certain() -> None:
    dump = DUMPS / "small-bar.reduced.elf.zst"
    without = inspected(dump)["domains"][0]["p2m"]["confidence"]
    symbols = DUMPS / "symbols/linux-6.1.192.kallsyms"
    assert without != "certain"
    assert inspected(dump, "--symbols", symbols)["domains"][0]["p2m"]["confidence"] == "certain"


def written(tmp_path: Path, known: RunMap, shape: Shape = Shape.LIST) -> Path:
    path = tmp_path / "dump"
    path.write_bytes(write.core_dump(write_guest(known, shape)))
    return path


def test_what_cannot_be_told(tmp_path: Path) -> None:
    known = RunMap(X86_64, 600, Kind.MISSING, [Run(0, 600, Kind.RAM, 4096)])
    dump = written(tmp_path, known, Shape.BUILDER)
    result = run("inspect", dump, "--map", tmp_path / "map")
    assert "cannot tell" in result.out
    assert json.loads((tmp_path / "map").read_text())["ambiguous"][0][0] == 600
    answer = run("translate", dump, "--pfn", "0x1000", "--pfn", "3", "--json")
    unknown, ram = json.loads(answer.out)
    assert (unknown["kind"], unknown["mfn"]) == (None, None)
    assert "cannot tell" in unknown["answer"]
    assert ram["mfn"] == 4099
    same = run("translate", tmp_path / "map", "--pfn", "0x1000", "--pfn", "3", "--json")
    assert same.out == answer.out


def test_split_dump(tmp_path: Path) -> None:
    known = RunMap(
        X86_64, END, Kind.IDENTITY, [Run(0, 900, Kind.RAM, 64), Run(1024, END - 1024, Kind.IDENTITY, None)]
    )
    host = write_host([write_guest(known, Shape.LIST)])
    end = max(host.pages) + 1
    parts = []
    for index, part in enumerate([(0, 500), (500, end)]):
        parts.append(tmp_path / f"part{index}")
        parts[-1].write_bytes(write.kdump(host.pages, write.qemu_notes(host.root), part=part))
    assert RunMap.from_json(inspected(*parts)["domains"][0]["map"]) == known


def test_raw_image(tmp_path: Path) -> None:
    known = RunMap(
        X86_64, END, Kind.IDENTITY, [Run(0, 900, Kind.RAM, 64), Run(1024, END - 1024, Kind.IDENTITY, None)]
    )
    path = tmp_path / "image"
    path.write_bytes(write.raw_image(write_host([write_guest(known, Shape.LIST)]).pages))
    assert_one_clear_error(run("inspect", path), "not a known dump", "raw")
    assert RunMap.from_json(inspected(path, "--raw")["domains"][0]["map"]) == known


def test_markup_in_a_dump_is_text(tmp_path: Path) -> None:
    known = RunMap(
        X86_64, END, Kind.IDENTITY, [Run(0, 600, Kind.RAM, 64), Run(1024, END - 1024, Kind.IDENTITY, None)]
    )
    path = written(tmp_path, known)
    path.write_bytes(path.read_bytes().replace(b".7\0\0\0\0\0\0\0\0", b".[/b]\x1b[1m\0", 1))
    odd = path.rename(tmp_path / "a[bold]dump")
    result = run("inspect", odd)
    assert result.status == 0
    assert "4.17.[/b][1m" in result.out
    assert "a[bold]dump" in result.out
    assert "\x1b" not in result.out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], ["give a dump"]),
        (["--live", "x"], ["no dump"]),
        (["absent"], ["cannot read"]),
        ([CAPTURES / "pc-1g/dmesg.txt"], ["not a known dump"]),
        ([DUMPS / NAMES[0], "--find-bar", "0x1000"], ["START+SIZE"]),
        ([DUMPS / NAMES[0], "--find-bar", "0x1000+0"], ["no such range"]),
        ([DUMPS / NAMES[0], "--find-frame", "0x10000000000000"], ["no machine"]),
        ([DUMPS / NAMES[0], "--va", "0x900000000000000"], ["not a virtual address"]),
        ([DUMPS / NAMES[0], "--symbols", "absent"], ["absent"]),
    ],
)
def test_bad_usage(args: list[str | Path], words: list[str]) -> None:
    assert_one_clear_error(run("inspect", *args), *words)


def test_no_domain(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_bytes(write.elf_dump({3: np.zeros(512, np.uint64)}, write.qemu_notes(3)))
    result = run("inspect", path)
    assert result.status == 2
    assert "no PV domain" in result.err
    assert result.err.count("\n") == 1
    assert json.loads(run("inspect", path, "--json").out)["domains"] == []


def test_live_outside_a_pv_guest() -> None:
    if Path("/sys/hypervisor/type").exists():
        pytest.skip("this machine is a guest of Xen")
    assert_one_clear_error(run("inspect", "--live"), "not a Xen guest")
