"""What a running system counts of its memory, held against the prediction.

Sources: drivers/xen/balloon.c and xen-balloon.c (Linux 3.12 and 6.1), arch/x86/mm/init.c and mm/page_alloc.c
for what /proc/meminfo and the boot log count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from xenp2m.boot.guest import Guest
from xenp2m.capture import MemoryFigures
from xenp2m.check.frames import Frames
from xenp2m.check.spans import joined, length
from xenp2m.mmu.convert import ISA_END
from xenp2m.units import format_frames, pfn_down, pfn_up

_KB_PER_PAGE = 4


class Agreement(Enum):
    """How a recorded figure stands to ours."""

    AGREES = "agrees"
    EXPLAINED = "explained"
    """It differs, and a rule says why."""
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A recorded figure beside ours, both in pages; ``reason`` explains the difference, or ours."""

    name: str
    ours: int
    recorded: int
    agreement: Agreement
    reason: str

    @property
    def difference(self) -> int:
        """Recorded pages less ours."""
        return self.recorded - self.ours


def compare(guest: Guest, frames: Frames, figures: MemoryFigures) -> tuple[Comparison, ...]:
    """Compare the figures that a system recorded, those that it has."""
    return (*_balloon(guest, frames, figures), *_kernel(guest, figures))


def current_pages(guest: Guest) -> int:
    """Return the pages that the balloon driver starts from: what the builder gave, less what was given back.

    The kernel's max_pfn, which mem= lowers, caps it.
    """
    return min(guest.config.nr_pages - guest.ballooned, _ram_end(guest))


def _balloon(guest: Guest, frames: Frames, figures: MemoryFigures) -> Iterator[Comparison]:
    now, space = current_pages(guest), length(frames.balloon)
    current = _pages(figures.current_kb)
    low, high = _pages(figures.low_kb), _pages(figures.high_kb) or 0
    ballooned = None if low is None else low + high
    since = 0 if current is None else current - now
    word = "given back" if since < 0 else "taken"
    moved = f"{format_frames(abs(since))} {word} by the balloon driver since boot"
    whole = (
        since != 0 and ballooned is not None and current is not None and current + ballooned == now + space
    )
    if current is not None:
        reason = moved if whole else "what the builder gave, less what setup gave back"
        yield _compared("balloon: current", now, current, reason, explained=whole)
    if ballooned is not None:
        reason = moved if whole else "balloon space up to the kernel's last RAM frame"
        yield _compared("balloon: low + high", space, ballooned, reason, explained=whole)
    target = _pages(figures.target_kb)
    if target is not None:
        reached = target == current
        reason = "reached" if reached else "set since boot, and not reached yet"
        yield _compared("balloon: target", now, target, reason, explained=whole or not reached)


def _kernel(guest: Guest, figures: MemoryFigures) -> Iterator[Comparison]:
    ram = joined((pfn_up(e.start), pfn_down(e.end)) for e in guest.e820 if e.is_ram)
    direct = _pages(figures.direct_map_kb)
    if direct is not None:
        mapped = length(joined([*ram, (0, ISA_END)]))
        yield _compared("meminfo: DirectMap", mapped, direct, "RAM in the kernel's map, and the first MiB")
    present = _pages(figures.present_kb)
    if present is not None:
        reason = "RAM in the kernel's map, balloon space included, but for page 0"
        yield _compared("boot log: Memory", length(ram) - any(s == 0 for s, _ in ram), present, reason)
    managed = _pages(figures.mem_total_kb)
    if managed is not None:
        now = _pages(figures.current_kb) or current_pages(guest)
        own = now - managed
        reason = (
            f"{format_frames(max(own, 0))} are the kernel's own: its image, its table of pages, early memory"
        )
        yield _compared("meminfo: MemTotal", now, managed, reason, explained=own >= 0)


def _compared(name: str, ours: int, recorded: int, reason: str, *, explained: bool = False) -> Comparison:
    if ours == recorded:
        return Comparison(name, ours, recorded, Agreement.AGREES, reason)
    return Comparison(name, ours, recorded, Agreement.EXPLAINED if explained else Agreement.DIFFERS, reason)


def _pages(kilobytes: int | None) -> int | None:
    return None if kilobytes is None else kilobytes // _KB_PER_PAGE


def _ram_end(guest: Guest) -> int:
    return max((pfn_down(entry.end) for entry in guest.e820 if entry.is_ram), default=0)
