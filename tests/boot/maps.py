"""Host maps and inputs that the boot tests share."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from xenp2m.boot import GuestConfig
from xenp2m.boot.e820 import Range
from xenp2m.machine import E820Entry, E820Type
from xenp2m.units import GIB, MIB

RAM, RESERVED, NVS, UNUSABLE = E820Type.RAM, E820Type.RESERVED, E820Type.NVS, E820Type.UNUSABLE

HOST = (
    E820Entry(0, 0x9FC00, RAM),
    E820Entry(0x9FC00, 0x100000, RESERVED),
    E820Entry(MIB, 3 * GIB, RAM),
    E820Entry(0xFEE00000, 0xFEF00000, RESERVED),
    E820Entry(4 * GIB, 9 * GIB, RAM),
)
"""8 GiB of RAM with a hole below 4 GiB."""

FRAMES = GIB >> 12


def config(pages: int = FRAMES, e820: tuple[E820Entry, ...] | None = HOST, **changes: Any) -> GuestConfig:
    return GuestConfig(nr_pages=pages, e820=e820, **changes)


def ranges(*, page: int = 1) -> st.SearchStrategy[list[Range]]:
    """Unordered, possibly overlapping entries below 2^16 pages, on multiples of ``page`` bytes."""
    edge = st.integers(0, 1 << 16).map(lambda value: value * page)
    entry = st.tuples(edge, edge, st.sampled_from([1, 1, 2, 4, 5, 12])).map(
        lambda row: (min(row[:2]), max(row[:2]), row[2])
    )
    return st.lists(entry, max_size=12)


@st.composite
def host_maps(draw: st.DrawFn) -> tuple[E820Entry, ...]:
    """Sorted maps of whole pages with RAM from 0, as machines have them."""
    sizes = draw(st.lists(st.integers(1, 1 << 14), min_size=2, max_size=10))
    kinds = draw(st.lists(st.sampled_from([1, 1, 2, 4, 5, 0]), min_size=len(sizes), max_size=len(sizes)))
    entries = []
    start = 0
    for pages, kind in zip(sizes, [1, *kinds[1:]], strict=True):
        end = start + (pages << 12)
        if kind:
            entries.append(E820Entry(start, end, kind))
        start = end
    return tuple(entries)
