"""Guests to judge: of recorded boots, and made up."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from conformance.sources import SOURCES, load_json
from xenp2m.arch import X86_64, Arch
from xenp2m.boot import BootLog, Guest, GuestConfig, P2mOp, boot
from xenp2m.entry import Kind
from xenp2m.machine import Bar, E820Entry
from xenp2m.rules import rules_for
from xenp2m.runs import Run, RunMap
from xenp2m.units import GIB, PAGE_SIZE, parse_size

_LINE = re.compile(r"Xen: \[mem 0x([0-9a-f]+)-0x([0-9a-f]+)\] (\w+)")


def guest(
    kernel: str,
    runs: Sequence[Run],
    e820: Sequence[E820Entry],
    *,
    arch: Arch = X86_64,
    extra: Sequence[tuple[int, int]] = (),
    dom0: bool = True,
    end_pfn: int | None = None,
    ops: Sequence[P2mOp] = (),
) -> Guest:
    """Make a guest of its p2m, its balloon regions and the map that it was given."""
    rules = rules_for(kernel)
    beyond = Kind.IDENTITY if rules.high_identity else Kind.MISSING
    pages = end_pfn if end_pfn is not None else max(run.end for run in runs)
    return Guest(
        rules=rules,
        config=GuestConfig(nr_pages=1, e820=tuple(e820), arch=arch, is_dom0=dom0),
        e820=tuple(e820),
        extra=tuple(extra),
        p2m=RunMap(arch, pages, beyond, runs),
        placements=(),
        ops=tuple(ops),
        log=BootLog(),
        max_p2m_pfn=pages,
        ballooned=0,
    )


def example(kernel: str, arch: Arch = X86_64, *, dom0: bool = True) -> Guest:
    """A host of 18 GiB whose guest has 12 GiB; its map ends with its RAM."""
    rules = rules_for(kernel)
    e820 = [
        E820Entry(0, 0xA0000, 1),
        E820Entry(0xF0000, 0x10_0000, 2),
        E820Entry(0x10_0000, 0xC000_0000, 1),
        E820Entry(0xFEE0_0000, 0xFEE0_1000, 2),
        E820Entry(4 * GIB, 18 * GIB, 1),
    ]
    runs = [
        Run(0, 0xA0, Kind.RAM, None),
        Run(0xA0, 0x60, Kind.IDENTITY, None),
        Run(0x100, 0xC_0000 - 0x100, Kind.RAM, None),
        Run(0xC_0000, 0x4_0000, Kind.IDENTITY, None),
        Run(0x10_0000, 0x20_0000, Kind.RAM, None),
        Run(0x30_0000, 0x18_0000, Kind.MISSING, None),
    ]
    if rules.high_identity:
        runs.append(Run(0x48_0000, arch.max_p2m_pfn - 0x48_0000, Kind.IDENTITY, None))
    extra = [(12 * GIB, 16 * GIB)]
    return guest(kernel, runs, e820, arch=arch, extra=extra, dom0=dom0, end_pfn=arch.max_p2m_pfn)


def recorded(name: str) -> tuple[Guest, tuple[Bar, ...]]:
    """Boot a recorded machine again, and return it with its BARs; the p2m is the one it really had."""
    folder = SOURCES["capture"].own / name
    truth = load_json(folder / "truth.json")
    kinds = {kind.label: kind for kind in Kind}
    e820 = _e820_of(folder / "dmesg.txt")
    (dom0_mem,) = (option for option in truth["shape"]["xen_options"] if option.startswith("dom0_mem="))
    nr_pages = parse_size(dom0_mem.removeprefix("dom0_mem=")) // PAGE_SIZE
    booted = boot(GuestConfig(nr_pages=nr_pages, e820=tuple(e820)), rules_for(truth["kernel"]))
    runs = [Run(pfn, pages, kinds[kind], None) for pfn, pages, kind, _ in truth["runs"]]
    assert booted.p2m == RunMap(X86_64, truth["end_pfn"], booted.p2m.beyond, runs)
    bars = tuple(
        Bar(bdf, int(index), int(start, 16), int(last, 16) + 1 - int(start, 16))
        for bdf, index, start, last in truth["bars"]
    )
    return booted, bars


def _e820_of(path: Path) -> list[E820Entry]:
    types = {"usable": 1, "reserved": 2}
    return [
        E820Entry(int(start, 16), int(last, 16) + 1, types[kind])
        for start, last, kind in _LINE.findall(path.read_text())
    ]
