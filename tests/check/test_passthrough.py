"""Devices passed through to a PV domU: where memory of the guest lies over their BARs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cli.program import CAPTURES
from conformance.sources import load_json
from xenp2m.capture import Capture, read_files
from xenp2m.check.bars import Verdict
from xenp2m.check.passthrough import Cause
from xenp2m.entry import Kind
from xenp2m.errors import MissingFactError
from xenp2m.machine import Bar, E820Entry, Machine, MapSource
from xenp2m.mmu.mappers import Mapper
from xenp2m.prediction import Prediction, WhatIf, predict
from xenp2m.units import GIB, KIB, MIB, pfn_down

LOW, NIC, GPU = "0000:05:00.0", "0000:03:00.0", "0000:82:00.0"
E820 = (
    E820Entry(0, 0xA0000, 1),
    E820Entry(0xA0000, MIB, 2),
    E820Entry(MIB, 2 * GIB, 1),
    E820Entry(2 * GIB, 2 * GIB + MIB, 4),
    E820Entry(0xFEE0_0000, 0xFEF0_0000, 2),
    E820Entry(4 * GIB, 8 * GIB, 1),
)
HOST = Machine(
    e820=E820,
    e820_source=MapSource.DOM0,
    bars=(
        Bar(LOW, 0, 0xD000_0000, MIB),
        Bar(NIC, 0, 4 * GIB + 512 * MIB, 32 * MIB, is_64bit=True),
        Bar(GPU, 2, 0x380_0000_0000, 256 * MIB, is_64bit=True),
    ),
)
WITHOUT_NVS = replace(HOST, e820=tuple(entry for entry in E820 if entry.type != 4))
SMALL = WhatIf(domu_memory=GIB, e820_host=True, pci=(LOW, NIC, GPU))
GROWING = replace(SMALL, domu_maxmem=2 * GIB)


def domu(what_if: WhatIf, machine: Machine = HOST, kernel: str = "6.1") -> Prediction:
    return predict(Capture(machine=machine), kernel, what_if)


def causes(prediction: Prediction) -> list[tuple[str, Cause]]:
    return [(conflict.bar.bdf, conflict.cause) for conflict in prediction.passthrough]


def test_the_hosts_holes_keep_every_bar_free() -> None:
    prediction = domu(SMALL)
    assert causes(prediction) == []
    assert {verdict.verdict for verdict in prediction.bars} == {Verdict.MAPS}


def test_ram_appended_at_4_gib_lies_over_a_bar_there() -> None:
    prediction = domu(GROWING)
    assert causes(prediction) == [(NIC, Cause.APPENDED)]
    (conflict,) = prediction.passthrough
    assert (conflict.start, conflict.end) == (4 * GIB + 512 * MIB, 4 * GIB + 544 * MIB)
    assert prediction.guest.p2m.entry(pfn_down(conflict.start)).kind is Kind.MISSING
    verdicts = {verdict.bar.bdf: verdict.verdict for verdict in prediction.bars}
    assert verdicts == {LOW: Verdict.MAPS, NIC: Verdict.COLLIDES, GPU: Verdict.MAPS}


@pytest.mark.parametrize("maxmem", [GIB + 512 * MIB, GIB + 512 * MIB + 4 * KIB])
def test_the_appended_ram_collides_from_its_first_page_over_the_bar(maxmem: int) -> None:
    conflicts = domu(replace(SMALL, domu_maxmem=maxmem)).passthrough
    assert [conflict.end - conflict.start for conflict in conflicts] == ([4 * KIB] if maxmem % MIB else [])


def test_memory_that_meets_the_first_hole_continues_at_4_gib() -> None:
    prediction = domu(replace(SMALL, domu_memory=3 * GIB))
    assert causes(prediction) == [(NIC, Cause.APPENDED)]
    assert prediction.guest.p2m.entry(pfn_down(4 * GIB)).kind is Kind.RAM


def test_without_the_hosts_holes_ram_goes_over_them() -> None:
    prediction = domu(replace(SMALL, e820_host=False, domu_memory=4 * GIB, domu_maxmem=8 * GIB))
    assert causes(prediction) == [(LOW, Cause.PLAIN), (NIC, Cause.PLAIN)]
    small = domu(replace(SMALL, e820_host=False))
    assert causes(small) == []


def test_a_host_without_a_reserved_range_below_its_pci_hole() -> None:
    assert causes(domu(replace(SMALL, pci=(LOW,)), WITHOUT_NVS)) == [(LOW, Cause.FILLED)]
    assert domu(replace(SMALL, pci=(LOW,)), WITHOUT_NVS).bars[0].verdict is Verdict.MAPS
    large = domu(replace(SMALL, pci=(LOW,), domu_memory=4 * GIB), WITHOUT_NVS)
    assert causes(large) == [(LOW, Cause.FIRST_HOLE)]
    assert large.bars[0].verdict is Verdict.COLLIDES


def test_only_the_functions_passed_through_are_judged() -> None:
    prediction = domu(replace(GROWING, pci=(GPU,)))
    assert [verdict.bar.bdf for verdict in prediction.bars] == [GPU]
    assert prediction.passthrough == ()
    assert len(prediction.machine.bars) == 3


def test_a_function_that_the_captures_do_not_have() -> None:
    with pytest.raises(MissingFactError, match=r"0000:99:00\.0.*0000:05:00\.0, 0000:03:00\.0"):
        domu(replace(SMALL, pci=("0000:99:00.0",)))
    with pytest.raises(MissingFactError, match="no BARs at all"):
        domu(SMALL, replace(HOST, bars=()))


def test_a_bar_that_was_added_can_be_passed_through() -> None:
    added = Bar("0000:99:00.0", 0, 4 * GIB + 768 * MIB, MIB, is_64bit=True)
    prediction = domu(replace(GROWING, bars=(added,), pci=(added.bdf,)))
    assert causes(prediction) == [(added.bdf, Cause.APPENDED)]


@pytest.mark.parametrize("kernel", ["3.15", "series", "3.18", "6.1"])
def test_a_bar_in_a_hole_maps_1_to_1_in_every_way(kernel: str) -> None:
    prediction = domu(replace(SMALL, pci=(LOW,)), kernel=kernel)
    (verdict,) = prediction.bars
    assert set(verdict.mappers.values()) == {Verdict.MAPS}
    assert prediction.guest.p2m.entry(verdict.bar.pfn_start).kind is Kind.IDENTITY


def test_a_bar_past_the_map_needs_the_series_in_a_domu_too() -> None:
    before = domu(replace(SMALL, pci=(GPU,)), kernel="3.15").bars[0]
    after = domu(replace(SMALL, pci=(GPU,)), kernel="series").bars[0]
    assert before.mappers[Mapper.DEV_MEM] is Verdict.FAILS
    assert after.verdict is Verdict.MAPS


def test_the_recorded_domu() -> None:
    folder = CAPTURES / "domu-e820-host"
    truth = load_json(folder / "truth.json")
    given = truth["guest"]
    what_if = WhatIf(
        domu_memory=given["memory_kib"] * KIB,
        domu_maxmem=given["maxmem_kib"] * KIB,
        e820_host=given["e820_host"],
    )
    guest = predict(read_files([folder / "host-xen-console.txt"]), truth["kernel"], what_if).guest
    found = [[run.pfn, run.pages, run.kind.label] for run in guest.p2m]
    assert found == [run[:3] for run in truth["runs"]]
