"""Predict the p2m of real boots from their texts and compare it with what the kernel had."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from conformance.sources import load_json, paths
from xenp2m.boot import Guest, boot, dom0_config, domu_config, host_map, libxl_e820_host
from xenp2m.capture import read_files
from xenp2m.rules import rules_for
from xenp2m.units import KIB

_STAMP = re.compile(r"\[ *\d+\.\d+\] ")
_HEADER = "BIOS-provided physical RAM map:"


def _guest(folder: Path, truth: dict[str, Any]) -> Guest:
    rules = rules_for(truth["kernel"])
    given = truth.get("guest")
    if given is None:
        machine = read_files([folder]).machine
        return boot(dom0_config(machine)[0], rules)
    assert given["type"] == "domU"
    memory, maxmem = given["memory_kib"], given["maxmem_kib"]
    e820 = None
    if given["e820_host"]:
        host = read_files([folder / "host-xen-console.txt"]).machine
        e820 = libxl_e820_host(host_map(host)[0], memory, maxmem)
    return boot(domu_config(memory * KIB, maxmem * KIB, e820=e820), rules)


def _kinds(runs: Iterable[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Join neighbours of one kind: machine frames of RAM are not for a prediction to know."""
    joined = []
    for kind, same in groupby(runs, key=lambda run: run[2]):
        rows = list(same)
        joined.append((rows[0][0], sum(pages for _, pages, _ in rows), kind))
    return joined


@pytest.mark.parametrize("path", paths("capture", "*/truth.json*"), ids=lambda path: path.parent.name)
def test_capture(path: Path, record_property: Any) -> None:
    truth = load_json(path)
    guest = _guest(path.parent, truth)
    assert guest.stopped is None
    assert guest.p2m.end_pfn == truth["end_pfn"]
    assert _kinds((run.pfn, run.pages, run.kind.label) for run in guest.p2m) == _kinds(
        (pfn, pages, kind) for pfn, pages, kind, _ in truth["runs"]
    )
    printed = {
        "released": guest.log.released,
        "remapped": guest.log.remapped,
        "set_1to1": guest.log.set_identity,
        "freed": [list(row) for row in guest.log.freed],
        "populated": [list(row) for row in guest.log.populated],
        "one_to_one": [list(row) for row in guest.log.identity_ranges],
    }
    assert {name: printed[name] for name in truth["printed"]} == truth["printed"]
    _check_lines(guest, path.parent, record_property)


def _check_lines(guest: Guest, folder: Path, record_property: Any) -> None:
    """Every predicted line is in the boot log, in order, and the map lines are all that it has."""
    text = (folder / "dmesg.txt").read_text(errors="replace")
    if _HEADER not in text:
        record_property("skipped", "log lines: the head of the boot log is not there")
        return
    logged = [_STAMP.sub("", line).rstrip() for line in text.splitlines()]
    rest = iter(logged)
    missing = [line for line in guest.log.lines if line.rstrip() not in rest]
    assert missing == []
    assert [line for line in logged if line.startswith("Xen: [mem ")] == [
        line for line in guest.log.lines if line.startswith("Xen: [mem ")
    ]
