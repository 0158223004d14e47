"""The ledger balances to the page, tells where pages went, and agrees with what was recorded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.program import CAPTURES
from conformance.sources import case_name, load_json, paths
from conformance.test_conformance_log import Replay
from conformance.test_conformance_setup import KERNELS, _config
from xenp2m import catalogue
from xenp2m.boot import Guest, GuestConfig, boot, domu_config, host_map, libxl_e820_host
from xenp2m.boot.guest import Origin, Placement
from xenp2m.capture import MemoryFigures, read_files
from xenp2m.check.ledger import Agreement, Ledger, make_ledger
from xenp2m.check.spans import common, joined, without
from xenp2m.machine import E820Entry, Machine, MapSource
from xenp2m.prediction import WhatIf, predict
from xenp2m.rules import rules_for
from xenp2m.units import GIB, KIB, MIB

HOST = (
    E820Entry(0, 0x9FC00, 1),
    E820Entry(0x9FC00, 0x10_0000, 2),
    E820Entry(0x10_0000, 2 * GIB, 1),
    E820Entry(2 * GIB, 2 * GIB + 64 * MIB, 5),
    E820Entry(0xFEE0_0000, 0xFEF0_0000, 2),
    E820Entry(4 * GIB, 6 * GIB, 1),
)
RECORDED = [path.parent for path in paths("capture", "*/balloon.txt")]


def dom0(kernel: str, nr_pages: int = GIB // 4096, maximum: int = 3 * GIB // 4096, **options: Any) -> Guest:
    config = GuestConfig(nr_pages=nr_pages, e820=HOST, max_reservation=maximum, **options)
    return boot(config, rules_for(kernel))


def lines(ledger: Ledger, name: str) -> dict[str, int | None]:
    """Return the lines of a view that are not 0."""
    account = ledger.account(name)
    assert account is not None
    return {line.key: line.pages for line in account.lines if line.pages != 0}


def test_spans() -> None:
    assert joined([(5, 9), (0, 2), (2, 3), (8, 12), (4, 4)]) == [(0, 3), (5, 12)]
    assert without([(0, 10)], [(2, 3), (5, 20)]) == [(0, 2), (3, 5)]
    assert common([(0, 4), (6, 9)], [(3, 7)]) == [(3, 4), (6, 7)]


def test_a_dom0_of_1_gib_that_may_grow_to_3_under_6_1() -> None:
    ledger = make_ledger(dom0("6.1"), p2m_cost=False)
    assert ledger.is_well
    assert lines(ledger, "domain") == {"in_place": 0x40000 - 97, "moved": 97}
    assert lines(ledger, "growth") == {"now": 0x40000, "balloon": 2 * 0x40000}
    assert lines(ledger, "frames") == {
        "ram": 0x40000,
        "balloon": 2 * 0x40000,
        "discarded": 4 * 0x40000 + (64 * MIB >> 12) - 3 * 0x40000 - 97,
        "edge": 1,
        "isa": 96,
        "hole": (2 * GIB - 64 * MIB) >> 12,
    }


def test_old_kernels_give_frames_back_and_ask_for_others() -> None:
    ledger = make_ledger(dom0("3.15"), p2m_cost=False)
    assert ledger.is_well
    assert lines(ledger, "domain") == {"in_place": 0x40000 - 97, "fresh": 97, "given_back": 97}
    assert lines(ledger, "host")["domain"] == 0x40000
    refused = make_ledger(dom0("3.15", populate_limit=0), p2m_cost=False)
    assert refused.balances
    assert lines(refused, "host")["domain"] == 0x40000 - 97
    assert lines(refused, "host")["given_back"] == 97


def test_the_hosts_view() -> None:
    ledger = make_ledger(dom0("6.1"), p2m_cost=False)
    assert lines(ledger, "host") == {
        "domain": 0x40000,
        "rest": 0x9F + 0x7FF00 + 0x80000 - 0x40000,
        "edges": 1,
        "unusable": 64 * MIB >> 12,
    }
    host = ledger.account("host")
    assert host is not None
    assert [line.pages for line in host.remarks] == [None, None]


def test_what_xen_keeps_follows_from_a_dom0_of_default_size() -> None:
    capture = read_files([CAPTURES / "dom0-all"])
    host = make_ledger(predict(capture, "6.1").guest, capture.machine, p2m_cost=False).account("host")
    assert host is not None
    assert host.pages("xen") + host.pages("free") == host.pages("rest")
    assert all(line.estimated for line in host.remarks)
    # the image, 32 bytes a page of frame table and 8 of the M2P, and what starts up
    assert 3000 < host.pages("xen") < 4000


def test_a_domain_past_the_limit_of_old_kernels_loses_pages() -> None:
    e820 = (E820Entry(0, 600 * GIB, 1),)
    config = GuestConfig(nr_pages=600 * GIB // 4096, e820=e820)
    old = make_ledger(boot(config, rules_for("3.15")), p2m_cost=False)
    assert old.balances
    assert not old.is_well
    assert any("at most 500 GiB" in finding for finding in old.findings)
    assert make_ledger(boot(config, rules_for("6.1")), p2m_cost=False).is_well


def test_mem_cuts_off_ram_that_stays_allocated() -> None:
    ledger = make_ledger(dom0("3.15", mem_limit=GIB // 2), p2m_cost=False)
    assert ledger.balances
    assert lines(ledger, "frames")["cut"] == 0x20000 + 97
    assert not ledger.is_well


def test_a_plain_domu_has_ram_under_the_isa_range() -> None:
    ledger = make_ledger(boot(domu_config(GIB, 2 * GIB), rules_for("6.1")), p2m_cost=False)
    assert ledger.is_well
    assert ledger.account("host") is None
    assert lines(ledger, "frames") == {"ram": 0x40000 - 96, "balloon": 0x40000, "isa_ram": 96}


def test_pages_of_tree_and_list() -> None:
    tree, series, linear = (make_ledger(dom0(name)) for name in ("3.15", "series", "6.1"))
    for ledger in (tree, series, linear):
        assert ledger.balances
        slots = ledger.account("slots")
        assert slots is not None
        assert slots.total == 512 * 512
    assert lines(series, "p2m")["top"] == (lines(tree, "p2m")["top"] or 0) + 1
    assert lines(linear, "p2m")["leaf"] == 3 * 512 + 1
    area = linear.account("p2m")
    assert area is not None
    assert area.pages("area") == GIB // 4096


def tampered(guest: Guest) -> dict[str, Guest]:
    """Break a guest in ways that a view of its own would not show."""
    first, *rest = guest.placements
    return {
        "in the p2m twice": replace(guest, placements=(*guest.placements, first)),
        "placements": replace(guest, placements=tuple(rest)),
        "counts": replace(guest, ballooned=guest.ballooned + 1),
        "logs": replace(guest, log=replace(guest.log, remapped=1)),
        "RAM frames": replace(guest, placements=(*guest.placements, Placement(9, 10, Origin.HOST, 9))),
    }


@pytest.mark.parametrize("word", ["in the p2m twice", "placements", "counts", "logs", "RAM frames"])
def test_what_does_not_add_up_is_told(word: str) -> None:
    guest = dom0("6.1")
    ledger = make_ledger(tampered(guest)[word], p2m_cost=False)
    assert not ledger.balances
    assert not ledger.is_well
    assert any(word in imbalance for imbalance in ledger.imbalances)


def test_a_page_given_back_and_in_use_is_told() -> None:
    guest = dom0("3.15")
    placed = (Placement(0xA0, 0xA1, Origin.BUILDER, 0xA0), *guest.placements)
    ledger = make_ledger(replace(guest, placements=placed), p2m_cost=False)
    assert any("given back and are in the p2m" in imbalance for imbalance in ledger.imbalances)


@pytest.mark.parametrize("folder", RECORDED, ids=lambda folder: folder.name)
def test_recorded_figures_agree(folder: Path) -> None:
    truth = load_json(folder / "truth.json")
    capture = read_files([folder])
    prediction = predict(capture, truth["kernel"])
    ledger = make_ledger(prediction.guest, prediction.machine, capture.memory)
    assert ledger.is_well
    found = {comparison.name: comparison.agreement for comparison in ledger.comparisons}
    assert found == {
        "balloon: current": Agreement.AGREES,
        "balloon: low + high": Agreement.AGREES,
        "balloon: target": Agreement.AGREES,
        "meminfo: DirectMap": Agreement.AGREES,
        "boot log: Memory": Agreement.AGREES,
        "meminfo: MemTotal": Agreement.EXPLAINED,
    }
    ram = sum(pages for _, pages, kind, _ in truth["runs"] if kind == "ram")
    assert lines(ledger, "frames")["ram"] == ram


def test_a_recorded_domu() -> None:
    folder = CAPTURES / "domu-e820-host"
    given = load_json(folder / "truth.json")["guest"]
    machine = read_files([folder / "host-xen-console.txt"]).machine
    memory, maxmem = given["memory_kib"], given["maxmem_kib"]
    e820 = libxl_e820_host(host_map(machine)[0], memory, maxmem)
    guest = boot(domu_config(memory * KIB, maxmem * KIB, e820=e820), rules_for("6.1"))
    figures = read_files([folder / "dmesg.txt"]).memory
    ledger = make_ledger(guest, machine, figures)
    assert ledger.is_well
    assert [comparison.agreement for comparison in ledger.comparisons] == [Agreement.AGREES]
    assert lines(ledger, "host")["domain"] == memory // 4


def test_ballooning_since_boot_explains_a_difference() -> None:
    guest = dom0("6.1")
    now, space = GIB // KIB, 2 * GIB // KIB
    figures = MemoryFigures(current_kb=now - 4096, low_kb=space + 4096, high_kb=0, target_kb=now - 4096)
    found = make_ledger(guest, figures=figures, p2m_cost=False)
    assert found.is_well
    assert {c.agreement for c in found.comparisons} == {Agreement.EXPLAINED}
    assert "4 MiB given back by the balloon driver since boot" in found.comparisons[0].reason


def test_a_difference_without_a_reason_is_told() -> None:
    guest = dom0("6.1")
    figures = MemoryFigures(current_kb=GIB // KIB - 4, low_kb=2 * GIB // KIB, mem_total_kb=2 * GIB // KIB)
    found = make_ledger(guest, figures=figures, p2m_cost=False)
    assert found.balances
    assert not found.is_well
    assert [(c.name, c.agreement, c.difference) for c in found.comparisons] == [
        ("balloon: current", Agreement.DIFFERS, -1),
        ("balloon: low + high", Agreement.AGREES, 0),
        ("meminfo: MemTotal", Agreement.DIFFERS, 0x40000 + 1),
    ]


def test_a_target_that_is_not_reached() -> None:
    figures = MemoryFigures(current_kb=GIB // KIB, target_kb=2 * GIB // KIB)
    found = make_ledger(dom0("6.1"), figures=figures, p2m_cost=False)
    assert found.is_well
    assert found.comparisons[1].reason == "set since boot, and not reached yet"


@pytest.mark.parametrize("path", paths("setup", "*.json", "*.json.gz"), ids=case_name)
def test_recorded_setups_balance(path: Path) -> None:
    case = load_json(path)
    for generation in case["out"]:
        ledger = make_ledger(boot(_config(case), rules_for(KERNELS[generation])))
        assert ledger.imbalances == (), generation


@pytest.mark.parametrize("path", paths("log", "*.json", "*.json.gz"), ids=case_name)
def test_recorded_logs_balance(path: Path) -> None:
    replay = Replay(load_json(path))
    ledger = make_ledger(boot(replay.config(), replay.rules()))
    assert ledger.imbalances == ()
    assert ledger.findings == ()


def test_real_machines_balance(record_property: Any) -> None:
    what_ifs = (WhatIf(), WhatIf(dom0_mem="1G,max:2G"), WhatIf(domu_memory=4 * GIB, e820_host=True))
    machines = balanced = 0
    for entry in catalogue.entries():
        if entry.lack:
            continue
        capture = entry.capture
        machines += 1
        for kernel in ("3.15", "series", "3.18", "6.1", "6.12"):
            for what_if in what_ifs:
                prediction = predict(capture, kernel, what_if)
                ledger = make_ledger(prediction.guest, prediction.machine, p2m_cost=False)
                assert ledger.imbalances == (), (entry.id, kernel, what_if)
                balanced += 1
    record_property("machines", machines)
    assert balanced == machines * 15 > 0


def test_a_map_that_dom0_made_may_lack_ram() -> None:
    machine = Machine(e820=HOST, e820_source=MapSource.DOM0_FINAL, nr_pages=GIB // 4096)
    prediction = predict(machine, "6.1")
    host = make_ledger(prediction.guest, machine, p2m_cost=False).account("host")
    assert host is not None
    assert "may have left RAM out" in host.sources[0].why
    assert host.pages("unusable") == 0
