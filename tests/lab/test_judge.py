"""A recorded boot held against its prediction, and against what it was not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cli.program import CAPTURES
from xenp2m.arch import X86_64
from xenp2m.capture import read_files
from xenp2m.check.diff import Side
from xenp2m.check.passthrough import Cause, ClaimConflict
from xenp2m.entry import KIND_BY_LABEL, Kind
from xenp2m.lab.bars import BarUse
from xenp2m.lab.judge import judge, judge_domu, truth, used_as_predicted
from xenp2m.lab.result import Boot, DomuBoot, Judgement, Outcome, Reading, Result
from xenp2m.lab.shape import Domu, Shape
from xenp2m.lab.shapefile import chosen_shapes
from xenp2m.machine import Bar, E820Entry
from xenp2m.prediction import predict
from xenp2m.runs import Run, RunMap
from xenp2m.units import KIB

FOLDER = CAPTURES / "bar-512g"
DOMU_FOLDER = CAPTURES / "domu-e820-host"
USED = BarUse(
    bdf="0000:00:02.0",
    start=0x80_0000_0000,
    size=1 << 26,
    sysfs=True,
    dev_mem=True,
    host_sees=True,
    guest_sees=True,
)


@pytest.fixture
def boot() -> Boot:
    rows = json.loads((FOLDER / "truth.json").read_text())["runs"]
    runs = [Run(pfn, count, KIND_BY_LABEL[kind], mfn) for pfn, count, kind, mfn in rows]
    known = RunMap(X86_64, 1 << 27, Kind.IDENTITY, runs)
    maps: dict[str, Side] = {name: Side(name, known) for name in (Reading.DOM0, Reading.DUMP)}
    return Boot({"dmesg.txt": (FOLDER / "dmesg.txt").read_text()}, (USED,), maps)


def with_maps(boot: Boot, **maps: Side | None) -> Boot:
    changed: dict[str, Side | None] = {**boot.maps, **{Reading[name]: side for name, side in maps.items()}}
    return replace(boot, maps={name: side for name, side in changed.items() if side is not None})


def result(boot: Boot, kernel: str | None = None) -> Result:
    (shape,) = chosen_shapes(("bar-512g",))
    return Result(shape, boot, judge(boot, shape, FOLDER, kernel)[0], seconds={"shell": 1.0, "total": 2.0})


def test_a_boot_as_predicted(boot: Boot) -> None:
    found = result(boot)
    assert found.outcome is Outcome.EQUAL, found.to_json()
    assert [each["equal"] for each in found.to_json()["comparisons"]] == [True] * 3


def test_another_kernels_rules_do_not_fit(boot: Boot) -> None:
    found = result(boot, "3.15")
    assert found.outcome is Outcome.DIFFERS
    first = found.to_json()["comparisons"][0]
    assert not first["equal"]
    assert first["first"][0][2:] == ["missing", "identity"]


def test_one_wrong_frame_is_found(boot: Boot) -> None:
    runs = list(boot.maps[Reading.DUMP].map)
    odd = [*runs[:-1], runs[-1]._replace(pages=9), Run(runs[-1].pfn + 9, 1, Kind.MISSING, None)]
    odd.append(Run(runs[-1].pfn + 10, runs[-1].pages - 10, Kind.IDENTITY, None))
    found = result(with_maps(boot, DUMP=Side("dump", RunMap(X86_64, 1 << 27, Kind.IDENTITY, odd))))
    assert found.outcome is Outcome.DIFFERS
    at = runs[-1].pfn + 9
    assert found.to_json()["comparisons"][0]["first"] == [[at, at + 1, "identity", "missing"]]


def test_a_map_that_could_not_be_read_is_no_difference(boot: Boot) -> None:
    found = result(replace(with_maps(boot, DOM0=None), notes=("in dom0: no kcore",)))
    assert found.outcome is Outcome.EQUAL
    assert [each["equal"] for each in found.to_json()["comparisons"]] == [True, None, None]
    assert result(with_maps(boot, DOM0=None, DUMP=None)).outcome is Outcome.DIFFERS


def test_a_bar_that_does_not_work_is_found(boot: Boot) -> None:
    found = result(replace(boot, bars=(replace(USED, dev_mem=False),)))
    assert found.outcome is Outcome.DIFFERS
    (text,) = found.to_json()["bars_not_as_predicted"]
    assert "predicted maps, failed" in text
    assert result(replace(boot, bars=(replace(USED, host_sees=False),))).outcome is Outcome.DIFFERS
    assert result(replace(boot, bars=())).outcome is Outcome.DIFFERS


def test_a_line_that_was_not_logged_is_found(boot: Boot) -> None:
    log = boot.texts["dmesg.txt"].replace("Released 0 page(s)", "Released 7 page(s)")
    found = result(replace(boot, texts={"dmesg.txt": log}))
    assert found.outcome is Outcome.DIFFERS
    assert "Released 0 page(s)" in found.to_json()["unlogged"]


def test_the_truth_that_is_written_is_that_of_the_recorded_boot(boot: Boot) -> None:
    (shape,) = chosen_shapes(("bar-512g",))
    judgement, capture = judge(boot, shape, FOLDER)
    written = truth(shape, boot.measured, boot.bars, judgement.rules, capture)
    recorded = json.loads((FOLDER / "truth.json").read_text())
    assert written["runs"] == recorded["runs"]
    assert {name: written["printed"][name] for name in ("released", "remapped")} == {
        name: recorded["printed"][name] for name in ("released", "remapped")
    }


@pytest.fixture
def domu() -> DomuBoot:
    known = json.loads((DOMU_FOLDER / "truth.json").read_text())
    given = known["guest"]
    runs = [Run(pfn, count, KIND_BY_LABEL[kind], mfn) for pfn, count, kind, mfn in known["runs"]]
    p2m = RunMap(X86_64, known["end_pfn"], Kind.IDENTITY, runs)
    names = (Reading.DOMU, Reading.CORE, Reading.LISTED, Reading.MFNDUMP, Reading.LATER_DUMP)
    wanted = Domu(
        name="u",
        memory=given["memory_kib"] * KIB,
        maxmem=given["maxmem_kib"] * KIB,
        e820_host=given["e820_host"],
    )
    texts = {"dmesg.txt": (DOMU_FOLDER / "dmesg.txt").read_text()}
    return DomuBoot(wanted, 1, texts, (), {name: Side(name, p2m) for name in names})


def judged(domu: DomuBoot, kernel: str = "6.1", *, live: bool = False) -> Judgement:
    shape = Shape(name="x", memory=1 << 30, domu=(domu.domu,), live=live)
    return judge_domu(domu, shape, read_files([DOMU_FOLDER / "host-xen-console.txt"]), (), kernel)


def test_a_domu_as_predicted(domu: DomuBoot) -> None:
    found = judged(domu)
    assert found.equal, found.to_json()
    assert len(found.comparisons) == 6


def test_a_domu_of_another_size_does_not_fit(domu: DomuBoot) -> None:
    found = judged(replace(domu, domu=replace(domu.domu, maxmem=None)))
    assert not found.equal
    assert [each.equal for each in found.comparisons] == [False, False, True, True, True, True]


def test_a_reading_of_a_domu_that_is_not_there_is_a_difference(domu: DomuBoot) -> None:
    found = judged(domu, live=True)
    assert not found.equal
    assert found.comparisons[-1].reason == "no map from inspect --live"
    maps = {name: side for name, side in domu.maps.items() if name != Reading.LATER_DUMP}
    assert not judged(replace(domu, maps=maps)).equal


def test_a_bar_that_must_not_be_claimed() -> None:
    refused = replace(USED, bdf="0000:00:00.0", sysfs=False, dev_mem=False, host_sees=False, guest_sees=False)
    bar = Bar("0000:00:03.0", 2, USED.start, USED.size, is_64bit=True)
    entry = E820Entry(USED.start, USED.start + USED.size, 1)
    conflict = ClaimConflict(bar, entry, entry.start, entry.end, Cause.APPENDED)
    prediction = replace(predict(read_files([FOLDER]), "6.1"), passthrough=(conflict,))
    said = {"dmesg.txt": "pcifront pci-0: Could not claim resource 0000:00:00.0/2! Device offline.\n"}
    assert used_as_predicted(prediction, (refused,), said) == ()
    assert used_as_predicted(prediction, (refused,), {"dmesg.txt": ""})
    assert used_as_predicted(prediction, (USED,), said)


def test_the_recording_is_there() -> None:
    assert Path(FOLDER).is_dir()
