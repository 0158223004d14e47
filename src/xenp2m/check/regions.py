"""The frames of a machine cut where any of several maps changes, each piece with what lies there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from xenp2m.boot.guest import Guest
from xenp2m.entry import Kind
from xenp2m.machine import Bar, E820Entry, type_name
from xenp2m.units import PAGE_SHIFT, format_size, pfn_down, pfn_up


@dataclass(frozen=True, slots=True)
class Region:
    """Frames ``[start, end)`` that are of one kind in each map; ``end`` is None where nothing follows.

    ``kinds`` holds one kind a map, ``what`` says what the host has there and ``bars`` are the BARs that
    start there.
    """

    start: int
    end: int | None
    kinds: tuple[Kind, ...]
    what: str
    bars: tuple[Bar, ...]


def regions(guests: Sequence[Guest], bars: Sequence[Bar]) -> tuple[Region, ...]:
    """Cut the machine of ``guests`` (one machine under several kernels) into regions, lowest first."""
    host = guests[0].config.e820 or ()
    edges = {0, max((pfn_down(entry.end) for entry in host), default=0)}
    for guest in guests:
        edges.update(run.pfn for run in guest.p2m)
        edges.update(pfn_up(edge) for region in guest.extra for edge in region)
        edges.add(guest.p2m.end_pfn)
    ordered = sorted(edges)
    found: list[Region] = []
    for start, end in zip(ordered, [*ordered[1:], None], strict=True):
        inside = tuple(bar for bar in bars if start <= bar.pfn_start and (end is None or bar.pfn_start < end))
        kinds = tuple(guest.p2m.run_at(start).kind for guest in guests)
        region = Region(start, end, kinds, _what(guests, host, start, end), inside)
        if found and (found[-1].kinds, found[-1].what) == (region.kinds, region.what):
            region = replace(region, start=found[-1].start, bars=(*found.pop().bars, *inside))
        found.append(region)
    return tuple(found)


def _what(guests: Sequence[Guest], host: Sequence[E820Entry], start: int, end: int | None) -> str:
    end_of_e820 = max((pfn_down(entry.end) for entry in host), default=0)
    limit = max(guest.p2m.end_pfn for guest in guests)
    if start >= limit:
        return f"past the end of the p2m ({format_size(limit << PAGE_SHIFT)})"
    if start >= end_of_e820:
        return "past the end of the E820 map"
    ram = "host RAM" if guests[0].config.is_dom0 else "RAM of the map"
    low, high = start << PAGE_SHIFT, (end or limit) << PAGE_SHIFT
    if any(
        extra_start < high and low < extra_end for guest in guests for extra_start, extra_end in guest.extra
    ):
        return f"{ram}, balloon space"
    names: list[str] = []
    at = low
    for entry in sorted(host):
        if entry.end <= at or entry.start >= high:
            continue
        if entry.start > at:
            _add(names, "hole")
        _add(names, ram if entry.is_ram else type_name(entry.type))
        at = entry.end
    if at < high:
        _add(names, "hole")
    return ", ".join(names)


def _add(names: list[str], name: str) -> None:
    if name not in names:
        names.append(name)
