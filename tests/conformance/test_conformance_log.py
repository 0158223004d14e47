"""Replay boot logs from public reports: everything that a log's facts let one check.

What a log does not show cannot be checked; each test records it as the user property ``skipped``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conformance.sources import case_name, load_json, paths
from xenp2m.arch import arch_of
from xenp2m.boot import Guest, GuestConfig, boot
from xenp2m.boot.host import reserve_gaps
from xenp2m.boot.memspec import NO_MAXIMUM
from xenp2m.entry import Kind
from xenp2m.machine import E820Entry, E820Type
from xenp2m.rules import Conflicts, Rules, rules_for
from xenp2m.units import GIB, KIB, MIB, PAGE_SHIFT, pfn_down, pfn_up

KERNELS = {"A0": "3.2", "A": "3.8", "B316": "3.17", "B318": "3.18", "B319": "3.19"} | {
    "C64": "6.1",
    "C416": "4.16",
    "C612": "6.12",
}
ISA = 640 * KIB, MIB
TYPICAL = (
    E820Entry(0, ISA[0], E820Type.RAM),
    E820Entry(*ISA, E820Type.RESERVED),
    E820Entry(MIB, 2 * GIB, E820Type.RAM),
)
PRINTED = {
    "freed": "freed",
    "populated": "populated",
    "one_to_one_ranges": "identity_ranges",
    "released": "released",
    "set_1to1": "set_identity",
    "remapped": "remapped",
    "remapped_nonram": "remapped_nonram",
}


class Replay:
    """One log: its inputs, the guest that they give, and what had to be left out."""

    def __init__(self, log: dict[str, Any]) -> None:
        self.log = log
        self.skipped: list[str] = []
        self.is_dom0 = log["role"] == "dom0"
        self.seen = [E820Entry(start, last + 1, kind) for start, last, kind in log["dom0_e820"] or ()]
        self.map_is_whole = bool(self.seen) and log.get("dom0_e820_complete", True)

    def rules(self) -> Rules:
        if self.log["gen"] not in KERNELS:
            pytest.skip(f"generation {self.log['gen']} is not modelled")
        rules = rules_for(KERNELS[self.log["gen"]])
        return rules if self.log.get("nvs_swap", True) else replace(rules, conflicts=Conflicts.FATAL)

    def host_map(self) -> tuple[E820Entry, ...] | None:
        """Return the map that the kernel was given; reads the kernel's own map backwards where need be."""
        log = self.log
        if log.get("ram_frames"):
            return tuple(
                E820Entry(start << PAGE_SHIFT, end << PAGE_SHIFT, E820Type.RAM)
                for start, end in log["ram_frames"]
            )
        if log["xen_e820"] is not None:
            entries = [E820Entry(*entry) for entry in log["xen_e820"]]
            if self.is_dom0:
                for entry in self.seen:
                    if entry.type == E820Type.RESERVED:
                        entries = sorted([*entries, *reserve_gaps(entries, entry.start, entry.end)])
            return tuple(entries)
        if log.get("domu_isa_is_ram"):
            return self.plain_domu_map()
        if not self.seen:
            self.skipped.append("the host map is not known: a typical one stands in")
            return TYPICAL
        if self.is_dom0:
            return tuple(
                entry._replace(type=E820Type.RAM) if entry.type == E820Type.UNUSABLE else entry
                for entry in self.seen
            )
        return tuple(entry._replace(type=E820Type.RAM) if entry[:2] == ISA else entry for entry in self.seen)

    def plain_domu_map(self) -> tuple[E820Entry, ...] | None:
        """Return no map where the top shows the kernel's own 8 MiB of slack, else the toolstack's range."""
        top = max((entry.end for entry in self.seen), default=0)
        if not top or top == (self.log["nr_pages"] << PAGE_SHIFT) + 8 * MIB:
            return None
        return (E820Entry(0, top, E820Type.RAM),)

    def config(self) -> GuestConfig:
        log = self.log
        moved = log.get("initrd_moved")
        if log["nr_pages"] is None:
            self.skipped.append("the number of frames is not known")
        area = log.get("p2m_area_bytes")
        return GuestConfig(
            nr_pages=log["nr_pages"] or 1 << 18,
            e820=self.host_map(),
            arch=arch_of(log["bits"]),
            is_dom0=self.is_dom0,
            max_reservation=NO_MAXIMUM if log["max_reservation"] is None else log["max_reservation"],
            kernel=log.get("kernel_image") and tuple(log["kernel_image"]),
            page_tables=log.get("page_tables") and tuple(log["page_tables"]),
            ramdisk=moved and (moved[0], moved[1] - moved[0]),
            p2m_frames=log.get("p2m_frames") and tuple(log["p2m_frames"]),
            ibft=bool(log.get("ibft")),
            # An area below 1 GiB shows a kernel without CONFIG_XEN_MEMORY_HOTPLUG_LIMIT.
            hotplug_limit_gib=0 if area is not None and area < GIB else 512,
        )


@pytest.mark.parametrize("path", paths("log", "*.json", "*.json.gz"), ids=case_name)
def test_log(path: Path, record_property: Any) -> None:
    replay = Replay(load_json(path))
    rules = replay.rules()
    guest = boot(replay.config(), rules)
    assert guest.stopped is None
    _check_printed(replay, guest)
    _check_map(replay, guest)
    _check_others(replay, guest)
    for text in replay.skipped:
        record_property("skipped", text)


def _check_printed(replay: Replay, guest: Guest) -> None:
    assert set(replay.log["printed"]) <= set(PRINTED)
    for name, expected in replay.log["printed"].items():
        if expected is None:
            replay.skipped.append(f"{name} was not seen")
        elif replay.log["nr_pages"] is None and expected:
            replay.skipped.append(f"{name} follows from a map that is not known")
        else:
            found = getattr(guest.log, PRINTED[name])
            assert ([list(row) for row in found] if isinstance(expected, list) else found) == expected, (
                f"{name} differs"
            )


def _check_map(replay: Replay, guest: Guest) -> None:
    frames = replay.log.get("ram_frames")
    if frames:
        ram = [entry for entry in guest.e820 if entry.type == E820Type.RAM]
        assert [[pfn_up(entry.start), pfn_down(entry.end)] for entry in ram] == frames
    if replay.map_is_whole:
        assert list(guest.e820) == replay.seen
    else:
        replay.skipped.append("the kernel's own map was not seen, or not all of it")


def _check_others(replay: Replay, guest: Guest) -> None:
    log = replay.log
    if log.get("p2m_area_bytes") is not None:
        assert guest.log.p2m_area == log["p2m_area_bytes"]
    if log.get("initrd_moved") is not None:
        assert list(guest.initrd_moved or ()) == log["initrd_moved"]
    if log.get("domu_isa_is_ram"):
        assert guest.p2m.entry(pfn_down(ISA[0])).kind is Kind.RAM
    unavailable = log.get("facts", {}).get("zone_dma_unavailable_pages")
    if unavailable is not None:
        below_16m = guest.p2m.within(0, 16 * MIB >> PAGE_SHIFT)
        assert sum(run.pages for run in below_16m if run.kind is not Kind.RAM) == unavailable
