"""Prediction: what one kernel makes of one machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from xenp2m.arch import X86_64, arch_of
from xenp2m.boot import (
    Assumption,
    Guest,
    GuestConfig,
    MemorySpec,
    boot,
    dom0_config,
    domu_config,
    host_map,
    libxl_e820_host,
    own_domu_config,
    publish,
)
from xenp2m.capture import Capture, Note
from xenp2m.check.bars import BarVerdict, judge_bars
from xenp2m.check.passthrough import ClaimConflict, claim_conflicts
from xenp2m.display import Pictured
from xenp2m.errors import MissingFactError, UsageError
from xenp2m.machine import Bar, E820Entry, E820Type, Machine, MapSource
from xenp2m.rules import Rules, rules_for
from xenp2m.units import KIB, MIB

_WIDENED = Assumption(
    "a 64-bit kernel", "the capture is of a 32-bit one, and this kernel has no 32-bit PV guests"
)

_MOST_LISTED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """What to change about the machine or the guest before predicting.

    ``dom0_mem`` is Xen's option of that name; the memory sizes and ``mem_limit`` (the kernel's ``mem=``) are
    in bytes.  ``guest`` says whose texts the captures are, "dom0" or "domU", where they leave it open or are
    wrong.  ``domu_memory`` makes the guest a domU on that host, and ``e820_host`` gives it the host's holes.
    ``pci`` are the functions passed through to it, in full ("0000:3b:00.0"): then only their BARs are judged.
    ``bars`` replace BARs of the same function and index, or add them.  ``assumptions`` are those of whoever
    asks.
    """

    guest: str | None = None
    dom0_mem: str | None = None
    bits: int | None = None
    domu_memory: int | None = None
    domu_maxmem: int | None = None
    e820_host: bool = False
    mem_limit: int | None = None
    bars: tuple[Bar, ...] = ()
    pci: tuple[str, ...] = ()
    assumptions: tuple[Assumption, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Prediction(Pictured):
    """What a kernel makes of a machine: the guest, the verdicts on its BARs, and what had to be assumed.

    ``passthrough`` is where the BARs of passed-through devices cannot be claimed in a domU; those in its own
    texts are such.
    """

    rules: Rules
    machine: Machine
    guest: Guest
    bars: tuple[BarVerdict, ...]
    passthrough: tuple[ClaimConflict, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    notes: tuple[Note, ...] = ()

    @cached_property
    def pages(self) -> dict[str, int]:
        """The p2m pages that are the guest's own, by level: ``mid`` and ``leaf``."""
        from xenp2m.p2m.replay import page_counts  # noqa: PLC0415 - only JSON asks, and it is slow to import

        return page_counts(self.guest)


class Predictions(tuple[Prediction, ...], Pictured):
    """What one machine is under several kernels: a tuple that a notebook shows as one picture."""

    __slots__ = ()


def predict(
    source: Capture | Machine,
    kernel: str | Rules,
    what_if: WhatIf = WhatIf(),
) -> Prediction:
    """Predict what a kernel makes of a machine.

    ``kernel`` is a name (see ``rules_for``) or the rules themselves.  Raises UsageError for an unknown kernel
    or a malformed what-if, MissingFactError for a machine without a memory map of the host, or without BARs
    of a function that is passed through.
    """
    rules = rules_for(kernel) if isinstance(kernel, str) else kernel
    capture = source if isinstance(source, Capture) else Capture(machine=source)
    machine = replace(
        capture.machine,
        bars=_with_bars(capture.machine.bars, what_if.bars),
        e820_source=_map_source(capture.machine, what_if),
    )
    config, assumptions = _config(machine, capture, what_if)
    if config.arch.bits == 32 and what_if.bits is None and not rules.has_32bit:
        config = replace(config, arch=X86_64)
        assumptions = (*assumptions, _WIDENED)
    guest = publish(boot(config, rules))
    bars = _assigned(machine, what_if.pci) if what_if.pci else machine.bars
    return Prediction(
        rules=rules,
        machine=machine,
        guest=guest,
        bars=judge_bars(guest, bars),
        passthrough=(
            claim_conflicts(guest, bars) if what_if.pci or machine.e820_source is MapSource.GUEST else ()
        ),
        assumptions=(*assumptions, *what_if.assumptions),
        notes=capture.notes,
    )


def predict_each(
    source: Capture | Machine, kernels: Iterable[str | Rules], what_if: WhatIf = WhatIf()
) -> Predictions:
    """Predict for several kernels, in the order given.  Raises what ``predict`` raises."""
    return Predictions(predict(source, kernel, what_if) for kernel in kernels)


def _config(
    machine: Machine, capture: Capture, what_if: WhatIf
) -> tuple[GuestConfig, tuple[Assumption, ...]]:
    arch = None if what_if.bits is None else arch_of(what_if.bits)
    seen = _seen_reserved(capture.dom0_final or ())
    if what_if.domu_memory is None and machine.e820_source is MapSource.GUEST:
        log = capture.observed
        moved = None if log is None else (log.released or 0) + (log.remapped or 0)
        config, assumptions = own_domu_config(machine, moved=moved, arch=arch)
    elif what_if.domu_memory is None:
        spec = None if what_if.dom0_mem is None else MemorySpec.parse(what_if.dom0_mem)
        config, assumptions = dom0_config(machine, dom0_mem=spec, arch=arch, seen_reserved=seen)
    else:
        e820: Iterable[E820Entry] | None = None
        assumptions = ()
        memory, maxmem = what_if.domu_memory, what_if.domu_maxmem or what_if.domu_memory
        if what_if.e820_host:
            host, assumptions = host_map(machine, seen_reserved=seen)
            e820 = libxl_e820_host(host, memory // KIB, maxmem // KIB)
        config = domu_config(memory, maxmem, e820=e820, arch=arch or X86_64)
    if what_if.mem_limit is not None:
        config = replace(config, mem_limit=what_if.mem_limit)
    return config, assumptions


def _map_source(machine: Machine, what_if: WhatIf) -> MapSource:
    """Return whose map the captures hold, as they say or as is asked."""
    source = machine.e820_source
    if what_if.guest == "domU" and what_if.domu_memory is None:
        if source not in (MapSource.GUEST, MapSource.DOM0_FINAL):
            raise UsageError("--guest domU needs --memory: the captures show a host", where=machine.name)
        return MapSource.GUEST
    is_dom0 = what_if.guest == "dom0" or what_if.dom0_mem is not None
    return MapSource.DOM0_FINAL if is_dom0 and source is MapSource.GUEST else source


def _seen_reserved(dom0_final: Iterable[E820Entry]) -> tuple[tuple[int, int], ...]:
    """Return what a dom0 was seen to keep reserved; below 1 MiB the kernel reserves by itself."""
    return tuple(
        (entry.start, entry.end)
        for entry in dom0_final
        if entry.type == E820Type.RESERVED and entry.start >= MIB
    )


def _with_bars(known: tuple[Bar, ...], changed: tuple[Bar, ...]) -> tuple[Bar, ...]:
    places = {(bar.bdf, bar.index) for bar in changed}
    return (*(bar for bar in known if (bar.bdf, bar.index) not in places), *changed)


def _assigned(machine: Machine, functions: tuple[str, ...]) -> tuple[Bar, ...]:
    """Return the BARs of the functions that are passed through."""
    known = list(dict.fromkeys(bar.bdf for bar in machine.bars))
    for function in functions:
        if function not in known:
            listed = ", ".join(known[:_MOST_LISTED]) + (", ..." if len(known) > _MOST_LISTED else "")
            raise MissingFactError(
                f"no memory BARs of {function} in the captures",
                where=machine.name,
                expected="a PCI function that they list",
                found=listed or "no BARs at all",
            )
    return tuple(bar for bar in machine.bars if bar.bdf in functions)
