"""Cases for the rules: recorded boots and setups, a recorded machine with a what-if, made-up machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from conformance.sources import SOURCES, TESTS, load_json
from xenp2m.arch import arch_of
from xenp2m.boot import GuestConfig, boot
from xenp2m.capture import Capture, read_files, read_text
from xenp2m.catalogue import lookup
from xenp2m.check.bars import judge_bars
from xenp2m.check.findings import Case, Finding, all_rules, check_capture, findings_of
from xenp2m.machine import Bar, E820Entry, E820Type, Machine
from xenp2m.prediction import Prediction, WhatIf
from xenp2m.rules import rules_for
from xenp2m.units import GIB, MIB

CAPTURES = TESTS / "data/captures"
SERVER = lookup("a1e81a7903a5").capture
"""A recorded machine: 64-bit BARs above 2 TiB, RAM on both sides of 4 GiB."""

Findings = tuple[Finding, ...]
Raising = Callable[[], Findings]

RAM, RESERVED = E820Type.RAM, E820Type.RESERVED


BDF = "0000:03:00.0"


def bar(start: int, size: int = MIB) -> Bar:
    return Bar(BDF, 2, start, size, is_64bit=True)


def entry(start: int, end: int, kind: int = RAM) -> E820Entry:
    return E820Entry(start, end, kind)


def recorded(name: str, kernel: str, **what_if: Any) -> Raising:
    """A recorded boot, with all of its texts."""
    return lambda: check_capture(read_files([CAPTURES / name]), [kernel], WhatIf(**what_if))


def texts(kernel: str, *names: str) -> Raising:
    """Single files of recorded boots, read as one machine."""
    return lambda: check_capture(read_files([CAPTURES / name for name in names]), [kernel])


def changed(name: str, file: str, kernel: str, old: str, new: str) -> Raising:
    """A recorded boot in which one line of one text says something else."""

    def look() -> Findings:
        folder = CAPTURES / name
        text = (folder / file).read_text()
        assert old in text
        capture = read_text(text.replace(old, new).encode(), file)
        whole = read_files([folder])
        return check_capture(
            replace(whole, observed=capture.observed, dom0_final=capture.dom0_final), [kernel]
        )

    return look


def server(kernel: str, *bars: Bar, machine: dict[str, Any] | None = None, **what_if: Any) -> Raising:
    """The recorded server, with BARs or facts of its machine changed."""

    def look() -> Findings:
        capture = SERVER
        capture = replace(capture, machine=replace(capture.machine, **(machine or {})))
        return check_capture(capture, [kernel], WhatIf(bars=bars, **what_if))

    return look


def made_up(kernel: str, e820: Sequence[E820Entry], *bars: Bar, **what_if: Any) -> Raising:
    """A machine of these entries and BARs; BARs replace none of a recorded one."""
    machine = Machine(e820=tuple(e820), bars=bars, name="made up")
    return lambda: check_capture(Capture(machine=machine), [kernel], WhatIf(**what_if))


def setup(name: str, kernel: str, **changes: Any) -> Raising:
    """A recorded memory setup: the inputs of one run of the kernel's own code."""

    def look() -> Findings:
        folder = SOURCES["setup"].own
        vector = load_json(folder / f"{name}.json.gz")
        config = replace(config_of(vector), **changes)
        return case_findings(config, kernel)

    return look


def case_findings(config: GuestConfig, kernel: str, *bars: Bar) -> Findings:
    """Return what all rules find in one boot."""
    rules = rules_for(kernel)
    guest = boot(config, rules)
    machine = Machine(e820=config.e820 or (), bars=bars, name="setup")
    prediction = Prediction(rules=rules, machine=machine, guest=guest, bars=judge_bars(guest, bars))
    return findings_of(Case(capture=Capture(machine=machine), prediction=prediction), all_rules())


def config_of(vector: dict[str, Any]) -> GuestConfig:
    given = vector["in"]
    ranges: dict[str, Any] = {
        name: tuple(given[name])
        for name in ("kernel", "page_tables", "ramdisk", "p2m_frames")
        if given.get(name) and given[name][1]
    }
    return GuestConfig(
        nr_pages=given["nr_pages"],
        e820=None if given.get("enosys") else tuple(E820Entry(*row) for row in given["host_e820"]),
        arch=arch_of(vector["bits"]),
        is_dom0=given["dom0"],
        max_reservation=given["max_reservation"],
        ibft=bool(given.get("ibft")),
        populate_limit=given.get("populate_limit"),
        release_limit=given.get("release_limit"),
        **ranges,
    )


def log(text: str) -> Raising:
    """A pasted boot log, under its own kernel or the newest."""
    from xenp2m.cli.options import kernel_names

    def look() -> Findings:
        capture = read_text(text.encode(), "dmesg.txt")
        return check_capture(capture, kernel_names((), capture))

    return look


def boot_log(release: str, *more: str) -> str:
    """A short boot log of a machine with 8 GiB."""
    lines = [
        f"Linux version {release} (a@b) (gcc) #1 SMP",
        "BIOS-provided physical RAM map:",
        "BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable",
        "BIOS-e820: [mem 0x0000000000100000-0x00000000bfffffff] usable",
        "BIOS-e820: [mem 0x0000000100000000-0x000000023fffffff] usable",
        *more,
    ]
    return "".join(f"[    0.000000] {line}\n" for line in lines)


BAR_LINE = "pci 0000:01:00.0: reg 0x10: [mem 0xd0000000-0xd1ffffff 64bit pref]"

SMALL = (
    entry(0, 0x9F000),
    entry(MIB, GIB),
    entry(0xFEC00000, 0xFEC01000, RESERVED),
)
"""A PC with 1 GiB."""
