"""Replay recorded memory setups: every generation of every case, every recorded field."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from conformance.sources import case_name, load_json, paths
from xenp2m.arch import arch_of
from xenp2m.boot import Guest, GuestConfig, boot
from xenp2m.entry import Kind
from xenp2m.machine import E820Entry
from xenp2m.rules import rules_for

# The recordings of B316 have no "1-1 mapping on" lines: 3.16.0 prints them, 3.17 does not.
KERNELS = {"A0": "3.2", "A": "3.15", "B316": "3.17", "B318": "3.18", "B319": "3.19"} | {
    "C64": "6.1",
    "C416": "4.16",
    "C612": "6.12",
}
CLASSES = {"builder": "ram", "fresh": "new", "host": "host"}
_HEX = re.compile(r"[0-9a-f]{2,}")
_WARNED_MFN = "which has an mfn!"
_STOP = re.compile(r"(\w+): BUG(?:_ON\((.*)\)|(?:: (.*))?)")


def _config(case: dict[str, Any]) -> GuestConfig:
    given = case["in"]
    known = {"nr_pages", "dom0", "max_reservation", "host_e820", "enosys", "populate_limit", "release_limit"}
    known |= {"maxmem_bytes", "kernel", "page_tables", "ramdisk", "p2m_frames", "ibft", "cmdline"}
    assert not set(given) - known
    options: dict[str, Any] = {}
    for option in (given.get("cmdline") or "").split():
        name, _, value = option.partition("=")
        assert name == "xen_512gb_limit", f"option without a meaning here: {option}"
        options["limit_512gb"] = value not in ("0", "off", "no", "n", "N")
    if "maxmem_bytes" in given:
        options["maxmem"] = given["maxmem_bytes"]
    return GuestConfig(
        nr_pages=given["nr_pages"],
        e820=None if given.get("enosys") else tuple(E820Entry(*entry) for entry in given["host_e820"]),
        arch=arch_of(case["bits"]),
        is_dom0=given["dom0"],
        max_reservation=given["max_reservation"],
        kernel=_range(given, "kernel"),
        page_tables=_range(given, "page_tables"),
        ramdisk=_range(given, "ramdisk"),
        p2m_frames=_range(given, "p2m_frames"),
        ibft=bool(given.get("ibft")),
        populate_limit=given.get("populate_limit"),
        release_limit=given.get("release_limit"),
        **options,
    )


def _range(given: dict[str, Any], name: str) -> tuple[int, int] | None:
    value = given.get(name)
    return None if value is None or value[1] == 0 else (value[0], value[1])


def _classes(guest: Guest) -> list[list[Any]]:
    """Return the p2m as the recordings have it: [start, end, class, source]."""
    rows = [[place.start, place.end, CLASSES[place.origin.value], place.base] for place in guest.placements]
    rows += [
        [run.pfn, run.end, run.kind.label, 0]
        for run in guest.p2m
        if run.kind in (Kind.IDENTITY, Kind.MISSING)
    ]
    return sorted(rows)


def _predicted(guest: Guest) -> dict[str, Any]:
    log = guest.log
    rows = _classes(guest)
    ramdisk = guest.config.ramdisk
    found: dict[str, Any] = {
        "status": "ok",
        "printed": {
            "freed": [list(count) for count in log.freed],
            "populated": [list(count) for count in log.populated],
            "one_to_one_ranges": [list(pair) for pair in log.identity_ranges],
            "released": log.released,
            "set_1to1": log.set_identity,
            "remapped": log.remapped,
            "last_pfn": log.last_pfn,
            "unable_to_find": log.unable_to_find,
            "remapped_nonram": log.remapped_nonram,
        },
        "e820": [list(entry) for entry in guest.e820],
        "extra": [list(region) for region in guest.extra],
        "p2m": rows,
        "identity": [row[:2] for row in rows if row[2] == "identity"],
        "missing": [row[:2] for row in rows if row[2] == "missing"],
        "identity_set_during_setup": [list(pair) for pair in guest.identity_calls],
        "released_var": guest.ballooned,
        "warnings": guest.warning_count,
        "warn_kinds": sorted(
            {_HEX.sub("#", text).replace(_WARNED_MFN, "which has # mfn!") for text in guest.warnings}
        ),
        "relocated_p2m": guest.p2m_relocated is not None,
        "ramdisk_at": guest.initrd_moved[2] if guest.initrd_moved else ramdisk[0] if ramdisk else 0,
        "max_p2m_pfn": guest.max_p2m_pfn,
        "too_many_entries": guest.ignored_entries,
    }
    if guest.last_p2m_pfn is not None:
        found["last_p2m_pfn"] = guest.last_p2m_pfn
    if guest.initrd_moved is not None:
        found["initrd_moved"] = list(guest.initrd_moved)
    return found


def _stopped(guest: Guest) -> dict[str, Any]:
    match = _STOP.fullmatch(guest.stopped or "")
    assert match is not None, guest.stopped
    function, condition, console = match.groups()
    return {"status": f"bug: {condition or function}", "console": console}


def _cases() -> list[Any]:
    return [
        pytest.param(path, generation, id=f"{case_name(path)}-{generation}")
        for path in paths("setup", "*.json", "*.json.gz")
        for generation in load_json(path)["out"]
    ]


@pytest.mark.parametrize(("path", "generation"), _cases())
def test_setup(path: Path, generation: str) -> None:
    case = load_json(path)
    expected = dict(case["out"][generation])
    guest = boot(_config(case), rules_for(KERNELS[generation]))
    if guest.stopped is not None or expected["status"] != "ok":
        assert _stopped(guest) == expected
        return
    expected["relocated_p2m"] = bool(expected["relocated_p2m"])
    assert sorted(expected.pop("warn_kinds")) == (found := _predicted(guest)).pop("warn_kinds")
    assert expected.pop("console", None) is None
    if expected.get("initrd_moved") is None:
        expected.pop("initrd_moved", None)
    assert found == expected
