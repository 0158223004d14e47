"""A recorded boot held against its prediction, and against what it was not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cli.program import CAPTURES
from xenp2m.arch import X86_64
from xenp2m.entry import KIND_BY_LABEL, Kind
from xenp2m.lab.bars import BarUse
from xenp2m.lab.judge import judge, truth
from xenp2m.lab.result import Boot, Outcome, Result
from xenp2m.lab.shape import chosen_shapes
from xenp2m.runs import Run, RunMap

FOLDER = CAPTURES / "bar-512g"
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
    return Boot({"dmesg.txt": (FOLDER / "dmesg.txt").read_text()}, (USED,), known, known)


def result(boot: Boot, kernel: str | None = None) -> Result:
    (shape,) = chosen_shapes(("bar-512g",))
    return Result(shape, boot, judge(boot, FOLDER, kernel)[0], seconds={"shell": 1.0, "total": 2.0})


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
    assert boot.dump is not None
    runs = list(boot.dump)
    odd = [*runs[:-1], runs[-1]._replace(pages=9), Run(runs[-1].pfn + 9, 1, Kind.MISSING, None)]
    odd.append(Run(runs[-1].pfn + 10, runs[-1].pages - 10, Kind.IDENTITY, None))
    found = result(replace(boot, dump=RunMap(X86_64, 1 << 27, Kind.IDENTITY, odd)))
    assert found.outcome is Outcome.DIFFERS
    at = runs[-1].pfn + 9
    assert found.to_json()["comparisons"][0]["first"] == [[at, at + 1, "identity", "missing"]]


def test_a_map_that_could_not_be_read_is_no_difference(boot: Boot) -> None:
    found = result(replace(boot, live=None, notes=("in dom0: no kcore",)))
    assert found.outcome is Outcome.EQUAL
    assert [each["equal"] for each in found.to_json()["comparisons"]] == [True, None, None]
    assert result(replace(boot, live=None, dump=None)).outcome is Outcome.DIFFERS


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
    judgement, capture = judge(boot, FOLDER)
    written = truth(shape, boot, judgement, capture, 3.0)
    recorded = json.loads((FOLDER / "truth.json").read_text())
    assert written["runs"] == recorded["runs"]
    assert {name: written["printed"][name] for name in ("released", "remapped")} == {
        name: recorded["printed"][name] for name in ("released", "remapped")
    }


def test_the_recording_is_there() -> None:
    assert Path(FOLDER).is_dir()
