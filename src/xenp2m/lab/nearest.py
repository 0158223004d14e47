"""The shape that is nearest to a captured machine, as far as QEMU goes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from xenp2m.boot import MemorySpec
from xenp2m.errors import UsageError
from xenp2m.lab.shape import Shape
from xenp2m.machine import Bar, Machine
from xenp2m.units import GIB, MIB, TIB, format_size

MOST_MEMORY = 8 * GIB
"""The most RAM that a shape is made with: more takes longer to boot than it teaches."""

_LEAST_MEMORY = 512 * MIB
_LARGEST_CONTENT = 64 * MIB
_MOST_BARS = 4
_REACH = TIB
_LOW_END = 4 * GIB


@dataclass(frozen=True, slots=True)
class Nearest:
    """A shape and, in sentences, where it is not the captured machine."""

    shape: Shape
    differs: tuple[str, ...]


def nearest_shape(machine: Machine) -> Nearest:
    """Return the shape nearest to a machine with a memory map."""
    differs: list[str] = []
    memory, low = _memory(machine, differs)
    content, spacers = _bars(machine.bars, memory, differs)
    shape = Shape(
        name="captured",
        description="Nearest to a captured machine",
        memory=memory,
        ram_below_4g=low,
        cpu="Nehalem" if machine.cpu_vendor and "intel" in machine.cpu_vendor.lower() else None,
        dom0_mem=_dom0_mem(machine, memory, differs),
        bars=content,
        spacers=spacers,
    )
    kept = sum(not entry.is_ram for entry in machine.e820)
    differs.append(f"its {kept} E820 entries that are no RAM are those of QEMU's firmware instead")
    return Nearest(shape, tuple(differs))


def _memory(machine: Machine, differs: list[str]) -> tuple[int, int | None]:
    ram = [entry for entry in machine.e820 if entry.is_ram]
    total = sum(entry.size for entry in ram)
    low_end = max((min(entry.end, _LOW_END) for entry in ram if entry.start < _LOW_END), default=0)
    memory = max(min(-(-total // MIB) * MIB, MOST_MEMORY), _LEAST_MEMORY)
    if memory < total or memory - total >= 2 * MIB:
        differs.append(f"RAM is {format_size(memory)} instead of {format_size(total)}")
    low = low_end // (16 * MIB) * 16 * MIB
    if memory <= low or low < _LEAST_MEMORY:
        if low_end > memory:
            differs.append(f"RAM ends at {memory:#x}, below {low_end:#x}")
        return memory, None
    if low != low_end:
        differs.append(f"the hole below 4 GiB starts at {low:#x} instead of {low_end:#x}")
    return memory, low


def _dom0_mem(machine: Machine, memory: int, differs: list[str]) -> str | None:
    text = machine.dom0_mem
    if text is None and machine.nr_pages is not None:
        text = f"{machine.nr_pages << 2}K"
    if text is None:
        return None
    try:
        spec = MemorySpec.parse(text)
    except UsageError:
        return None
    wanted = None if machine.nr_pages is None else machine.nr_pages << 12
    if wanted is not None and wanted > memory - 128 * MIB:
        given = f"{memory // 2 // MIB}M"
        differs.append(f"dom0 starts with {given} instead of {format_size(wanted)} ({text})")
        return given
    return text if spec else None


def _bars(bars: Iterable[Bar], memory: int, differs: list[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the sizes of BARs with content and without, such that the firmware puts them high enough."""
    high = sorted((bar for bar in bars if bar.start >= _LOW_END), key=lambda bar: bar.size, reverse=True)
    if not high:
        differs.append("it has no BARs above 4 GiB; the BARs of QEMU's own devices lie elsewhere")
        return (16 * MIB,), ()
    lowest = min(bar.start for bar in high)
    content = tuple(bar.size for bar in high if MIB <= bar.size <= _LARGEST_CONTENT)[:_MOST_BARS] or (
        16 * MIB,
    )
    spacers = [bar.size for bar in high if _LARGEST_CONTENT < bar.size <= 64 * GIB][:_MOST_BARS]
    # The firmware places the largest first, aligned to its size: what is behind it starts at twice its size.
    push = 1 << max(min(lowest, _REACH // 2).bit_length() - 2, 32)
    spacers.insert(0, push)
    place = max(2 * push, memory)
    differs.append(f"BARs lie from about {place:#x} on instead of {lowest:#x}, as the firmware orders them")
    left = len(high) - len(content) - (len(spacers) - 1)
    if left > 0:
        differs.append(f"{left} of its {len(high)} BARs above 4 GiB are left out")
    return content, tuple(spacers)
