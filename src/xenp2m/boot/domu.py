"""The inputs of a PV domU's boot: of one that is described, and of one whose own texts are at hand."""

from __future__ import annotations

from collections.abc import Iterable

from xenp2m.arch import X86_64, Arch, arch_of
from xenp2m.boot.e820 import RAM, RESERVED, holes, ram_frames, sanitise
from xenp2m.boot.guest import GuestConfig
from xenp2m.boot.host import Assumption
from xenp2m.boot.kernel import ISA_END, ISA_START
from xenp2m.machine import E820Entry, Machine
from xenp2m.units import PAGE_SHIFT, format_frames


def domu_config(
    memory: int,
    maxmem: int | None = None,
    *,
    e820: Iterable[E820Entry] | None = None,
    has_map: bool = True,
    arch: Arch = X86_64,
) -> GuestConfig:
    """Return the inputs of a PV domU's boot.

    ``memory`` and ``maxmem`` (by default the same) are in bytes.  ``e820`` is a map that the toolstack set
    (``libxl_e820_host``).  Without one, the map is a single range of RAM up to ``maxmem``, as libxl sets it;
    with ``has_map`` off there is none, and the kernel makes its own with 8 MiB to spare.
    """
    top = memory if maxmem is None else maxmem
    given: tuple[E820Entry, ...] | None = None
    if e820 is not None:
        given = tuple(e820)
    elif has_map:
        given = (E820Entry(0, top, RAM),)
    return GuestConfig(
        nr_pages=memory >> PAGE_SHIFT,
        e820=given,
        arch=arch,
        is_dom0=False,
        max_reservation=top >> PAGE_SHIFT,
    )


def own_domu_config(
    machine: Machine, *, moved: int | None = None, arch: Arch | None = None
) -> tuple[GuestConfig, tuple[Assumption, ...]]:
    """Return the inputs of the boot of the PV domU whose own map a machine carries, and what is assumed.

    ``moved`` are the frames that its kernel logged as remapped or released, None where that is not known: the
    domU starts with all the RAM of its map, or with what leaves no more frames than these under holes.
    The kernel reserves the ISA range in its map; a toolstack gives RAM there.
    """
    arch = arch or (arch_of(machine.bits) if machine.bits else X86_64)
    isa = (ISA_START, ISA_END, RESERVED)
    given = [(start, end, RAM if (start, end, kind) == isa else kind) for start, end, kind in machine.e820]
    e820 = sanitise(given, len(given))
    top = sum(max(0, end - start) for start, end in ram_frames(e820, arch.word_mask))
    nr_pages = machine.nr_pages or max(1, _started_with(top, holes(e820, arch.word_mask), moved))
    config = GuestConfig(
        nr_pages=nr_pages,
        e820=tuple(E820Entry(*entry) for entry in e820),
        arch=arch,
        is_dom0=False,
        max_reservation=top,
        mem_limit=machine.mem_limit,
    )
    assumptions = [Assumption("a PV domU", "the captures show its own map, not the host's")]
    if machine.nr_pages is None:
        why = (
            "all the RAM of its map"
            if nr_pages == top
            else "what leaves as many frames under holes as it moved"
        )
        assumptions.append(
            Assumption(
                f"the domU starts with {format_frames(nr_pages)} ({nr_pages} frames)", why, "estimated"
            )
        )
    return config, tuple(assumptions)


def _started_with(top: int, chunks: Iterable[tuple[int, int]], moved: int | None) -> int:
    """Return the most frames, ``top`` at most, of which no more than ``moved`` lie under holes."""
    left = top if moved is None else moved
    for start, end in chunks:
        if end - start > left:
            return min(top, start + left)
        left -= end - start
    return top
