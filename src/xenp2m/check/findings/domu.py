"""XP6: PV domUs with passed-through devices, and the map that libxl gives them."""

from __future__ import annotations

from collections.abc import Iterator

from xenp2m.boot.libxl import BALLOON_START
from xenp2m.check.findings.bars import described
from xenp2m.check.findings.causes import Cause
from xenp2m.check.findings.model import Case, Hit, Severity
from xenp2m.check.findings.registry import finding
from xenp2m.check.passthrough import Cause as Claim
from xenp2m.check.passthrough import claim_of
from xenp2m.check.places import given_map
from xenp2m.machine import type_name

_LIBXL = "tools/libs/light/libxl_x86.c, e820_sanitize (Xen 4.17)"


def _hits(case: Case, claim: Claim, reason: str) -> Iterator[Hit]:
    """Yield a hit for every BAR under RAM of a domU that came there as ``claim`` says."""
    if case.config.is_dom0:
        return
    for judged in case.bars:
        bar = judged.bar
        if judged.cause is Cause.OWN_MEMORY:
            claims = (
                claim_of(case.guest, entry)
                for entry in given_map(case.guest)
                if entry.is_ram and entry.start < bar.end and bar.start < entry.end
            )
            if next(claims, Claim.PLAIN) is claim:
                yield Hit.at_bar(bar, f"{reason}: {described(judged)}")


@finding(
    "XP601",
    "e820_host puts guest RAM at 4 GiB over a BAR",
    Severity.ERROR,
    why="Memory that finds no room below the host's first hole, and what the guest may balloon to, is "
    "appended as RAM. libxl means to put it after the host's highest entry, but the expression for that "
    "address yields a truth value, so it always starts at 4 GiB, whatever device is there.",
    kernels="all; Xen 4.2 to 4.20 and 4.23-unstable (libxl)",
    example="memory=4096 with a hole at 3 GiB: 1 GiB of RAM at 4 GiB, and the device's BAR at 0x100000000.",
    remedy="Set maxmem= to memory=, and keep memory= below the host's first hole.",
    source=_LIBXL,
)
def appended_over_bar(case: Case) -> Iterator[Hit]:
    """The RAM that e820_host appends at 4 GiB lies over a BAR of the host."""
    return _hits(case, Claim.APPENDED, "under guest RAM that libxl appended")


@finding(
    "XP602",
    "e820_host puts guest RAM over a reserved range",
    Severity.WARNING,
    why="The RAM that libxl appends at 4 GiB (see XP601) overlaps an entry that the host keeps. The guest's "
    "kernel takes the higher type, so that part of the memory is lost to it.",
    kernels="all; Xen 4.2 to 4.20 and 4.23-unstable (libxl)",
    example="maxmem=8192 on a host that has a reserved range at 5 GiB.",
    remedy="Set maxmem= to memory=, and keep memory= below the host's first hole.",
    source=_LIBXL,
)
def appended_over_reserved(case: Case) -> Iterator[Hit]:
    """The RAM that e820_host appends at 4 GiB overlaps an entry that is not RAM."""
    entries = case.config.e820
    if case.config.is_dom0 or not case.what_if.e820_host or not entries:
        return
    appended = entries[-1]
    if not appended.is_ram or appended.start != BALLOON_START:
        return
    for entry in entries:
        start, end = max(entry.start, appended.start), min(entry.end, appended.end)
        if not entry.is_ram and start < end:
            yield Hit.at_range(start, end, f"guest RAM over {type_name(entry.type)}")


@finding(
    "XP603",
    "BAR over guest RAM in a domU without the host's holes",
    Severity.ERROR,
    why="Without e820_host a PV domU has RAM from 0 to its size. A passed-through BAR within that range "
    "reaches the guest's own RAM, and pcifront cannot claim it.",
    kernels="all",
    example="A domU of 4 GiB with a network adapter whose BAR is at 0xf7c00000.",
    remedy="Set e820_host=1 in the guest's configuration (xl does it when pci= is given there).",
    source="drivers/pci/xen-pcifront.c (6.1); tools/xl/xl_parse.c (Xen 4.17)",
)
def bar_over_domu_ram(case: Case) -> Iterator[Hit]:
    """A BAR of the host lies in the memory of a domU that was not given the host's holes."""
    return _hits(case, Claim.PLAIN, "under the guest's memory")


@finding(
    "XP604",
    "e820_host lets guest RAM reach over a gap with a BAR",
    Severity.ERROR,
    why="The guest's first RAM goes up to the host's first entry that is not RAM. A gap between the host's "
    "RAM and that entry is in no entry of the host's map, so the RAM covers it, and the devices in it.",
    kernels="all; Xen 4.2 to 4.20 and 4.23-unstable (libxl)",
    example="Host RAM to 2 GiB, the first reserved range at 3 GiB, a BAR at 2.5 GiB, and memory=4096.",
    remedy="Keep memory= below the end of the host's RAM under 4 GiB.",
    source=_LIBXL,
)
def ram_over_gap(case: Case) -> Iterator[Hit]:
    """The first RAM of a domU with e820_host lies over a BAR in a gap of the host's map."""
    return _hits(case, Claim.FIRST_HOLE, "under guest RAM that reaches over a gap of the host's map")


@finding(
    "XP605",
    "e820_host marks a BAR as unusable memory",
    Severity.ERROR,
    why="libxl fills what lies between the guest's RAM and the host's first reserved range with an unusable "
    "entry, gaps included. The guest keeps it as a resource of its own: pcifront cannot claim a BAR there "
    "and takes the device offline.",
    kernels="all; Xen 4.2 to 4.20 and 4.23-unstable (libxl)",
    example="Host RAM to 2 GiB, the first reserved range at 3 GiB, a BAR at 2.5 GiB, and memory=1024.",
    remedy="Pass the device to a domU of another type (HVM, PVH).",
    source=f"{_LIBXL}; arch/x86/kernel/e820.c, e820__reserve_resources (6.1)",
)
def bar_marked_unusable(case: Case) -> Iterator[Hit]:
    """A BAR that is passed through lies in unusable memory of the domU's map."""
    for conflict in case.prediction.passthrough:
        if conflict.cause is Claim.FILLED:
            text = f"unusable [{conflict.entry.start:#x}, {conflict.entry.end:#x}) lies over it"
            yield Hit.at_bar(conflict.bar, text)
