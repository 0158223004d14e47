"""Putting the readings of several texts together into one machine, and saying where they contradict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from xenp2m.capture.model import (
    Capture,
    FoundMap,
    MemoryFigures,
    Note,
    Observed,
    Reading,
    Severity,
    SourceNote,
)
from xenp2m.machine import Bar, E820Entry, Machine, MapSource, Window

_PREFERENCE = (
    MapSource.XEN,
    MapSource.DOM0,
    MapSource.GUEST,
    MapSource.FIRMWARE,
    MapSource.DOM0_FINAL,
    MapSource.IOMEM,
    MapSource.PHYSMEM,
)
_OF_HOST = frozenset({MapSource.XEN, MapSource.DOM0, MapSource.FIRMWARE})
_NOT_FACTS = frozenset({"e820", "e820_source", "bars", "windows", "name"})


@dataclass(frozen=True, slots=True)
class Part:
    """One reading, the text that it is from, and how much that format knows of BARs (less is more)."""

    name: str
    reading: Reading
    bar_rank: int


def merge(parts: Sequence[Part]) -> Capture:
    """Put together what the texts of one machine gave; the notes say what was chosen and what contradicts."""
    notes = [note for part in parts for note in part.reading.notes]
    if any(part.reading.is_xen_pv for part in parts):
        parts = [_under_xen(part) for part in parts]
    is_domu = any(part.reading.is_domu for part in parts)
    if is_domu and any(m.source in _OF_HOST for part in parts for m in part.reading.maps):
        parts, is_domu = _of_host(parts, notes), False
    maps = [m for part in parts for m in part.reading.maps]
    best = _best_map(maps, notes)
    _check_iomem(maps, notes)
    machine = _facts(parts, notes)
    finals = [m for m in maps if m.source is MapSource.DOM0_FINAL and not is_domu]
    if best is not None:
        machine = replace(machine, e820=best.entries, e820_source=MapSource.GUEST if is_domu else best.source)
    name = next((part.reading.facts.name for part in parts if part.reading.facts.name), parts[0].name)
    machine = replace(machine, bars=_bars(parts, notes), windows=_windows(parts), name=name)
    return Capture(
        machine=machine,
        dom0_final=finals[0].entries if finals else None,
        observed=_observed(parts),
        memory=_memory(parts),
        sources=tuple(_source(part) for part in parts),
        notes=_without_met_lacks(notes, machine),
    )


def _source(part: Part) -> SourceNote:
    reading = part.reading
    entries = len(reading.maps[0].entries) if reading.maps else 0
    return SourceNote(part.name, reading.format, reading.gave, entries, len(reading.bars))


def _under_xen(part: Part) -> Part:
    """Under Xen, /sys/firmware/memmap is the kernel's own map after its memory setup; a boot log tells."""
    if part.reading.is_xen_pv is not None:
        return part
    maps = (
        replace(m, source=MapSource.DOM0_FINAL) if m.source is MapSource.FIRMWARE else m
        for m in part.reading.maps
    )
    return replace(part, reading=replace(part.reading, maps=tuple(maps)))


def _of_host(parts: Sequence[Part], notes: list[Note]) -> list[Part]:
    """Leave out what a domU's texts say of its own memory: beside a host's map dom0 is predicted."""
    names = {part.name for part in parts if part.reading.is_domu}
    for name in sorted(names):
        text = "a PV domU's: dom0 is predicted here, --guest domU --memory SIZE predicts a domU on this host"
        notes.append(Note(Severity.LACK, text, name))
    return [_without_own_memory(part) if part.name in names else part for part in parts]


def _without_own_memory(part: Part) -> Part:
    maps = tuple(m for m in part.reading.maps if m.source in _OF_HOST)
    return replace(part, reading=replace(part.reading, maps=maps, observed=None, memory=None))


def _best_map(maps: Iterable[FoundMap], notes: list[Note]) -> FoundMap | None:
    ranked = sorted(maps, key=lambda m: _PREFERENCE.index(m.source))
    if not ranked:
        return None
    best = ranked[0]
    same = [m for m in ranked[1:] if m.source is best.source and m.entries != best.entries]
    for other in same:
        text = (
            f"two {best.source.value} maps that differ: this one has {len(other.entries)} entries, not used"
        )
        notes.append(Note(Severity.WARNING, f"{text} (see {best.where})", other.where))
    if len(ranked) > 1 and not same:
        used = ", ".join(sorted({m.source.value for m in ranked[1:]} - {best.source.value}))
        if used:
            notes.append(
                Note(Severity.INFO, f"the {best.source.value} map is used, before: {used}", best.where)
            )
    return best


def _check_iomem(maps: Sequence[FoundMap], notes: list[Note]) -> None:
    """What is RAM in /proc/iomem is RAM in the firmware's map too, unless they are of two machines."""
    ram: list[E820Entry] = []
    for entry in sorted(e for m in maps if m.source is MapSource.FIRMWARE for e in m.entries if e.is_ram):
        if ram and entry.start <= ram[-1].end:
            ram[-1] = ram[-1]._replace(end=max(ram[-1].end, entry.end))
        else:
            ram.append(entry)
    for listing in (m for m in maps if ram and m.source is MapSource.IOMEM):
        listed = [entry for entry in listing.entries if entry.is_ram]
        other = [e for e in listed if not any(r.start <= e.start and e.end <= r.end for r in ram)]
        if other:
            told = (
                f"{len(other)} of {len(listed)} RAM ranges of /proc/iomem are no RAM in the firmware map, "
                f"the first at {other[0].start:#x}: they are of two machines, or memory was added later"
            )
            notes.append(Note(Severity.WARNING, told, listing.where))


def _without_met_lacks(notes: Iterable[Note], machine: Machine) -> tuple[Note, ...]:
    """Drop the notes on facts that one text lacks and another has."""
    met = set()
    if machine.e820 and machine.e820_source is not MapSource.PHYSMEM:
        met.add("map")
    if machine.bars:
        met.add("bars")
    if machine.e820_source is not MapSource.DOM0_FINAL:
        met.add("guest")
    return tuple(dict.fromkeys(note for note in notes if note.lacks not in met))


def _facts(parts: Sequence[Part], notes: list[Note]) -> Machine:
    values: dict[str, Any] = {}
    told: dict[str, str] = {}
    for part in parts:
        for item in fields(Machine):
            value = getattr(part.reading.facts, item.name)
            if item.name in _NOT_FACTS or value is None or value == ():
                continue
            if item.name not in values:
                values[item.name], told[item.name] = value, part.name
            elif values[item.name] != value and not _agree(item.name, values[item.name], value):
                notes.append(
                    Note(
                        Severity.WARNING,
                        f"{item.name.replace('_', ' ')}: {part.name} says {value}, {told[item.name]} says "
                        f"{values[item.name]}; the latter is used",
                    )
                )
    return Machine(**values)


def _agree(name: str, known: object, other: object) -> bool:
    """Xen's console names its version in full, a kernel only its number."""
    return name == "xen_version" and (str(known).startswith(str(other)) or str(other).startswith(str(known)))


def _bars(parts: Sequence[Part], notes: list[Note]) -> tuple[Bar, ...]:
    known: dict[tuple[str, int | None, int], Bar] = {}
    by_register: dict[tuple[str, int], Bar] = {}
    for part in sorted(parts, key=lambda p: p.bar_rank):
        places = {(bar.bdf, bar.start): bar for bar in known.values()}
        for bar in part.reading.bars:
            if (bar.bdf, bar.start) in places:
                continue
            rival = by_register.get((bar.bdf, bar.index)) if bar.index is not None else None
            if rival is not None:
                notes.append(
                    Note(
                        Severity.WARNING,
                        f"{bar.label}: {part.reading.format} places it at {bar.start:#x}, a better source at "
                        f"{rival.start:#x}, which is used",
                        part.name,
                    )
                )
                continue
            known[bar.bdf, bar.index, bar.start] = bar
        by_register |= {(b.bdf, b.index): b for b in known.values() if b.index is not None}
    return tuple(sorted(known.values(), key=lambda b: (b.bdf, 99 if b.index is None else b.index, b.start)))


def _windows(parts: Sequence[Part]) -> tuple[Window, ...]:
    for part in sorted(parts, key=lambda p: p.bar_rank):
        if part.reading.windows:
            return part.reading.windows
    return ()


def _observed(parts: Sequence[Part]) -> Observed | None:
    return next((part.reading.observed for part in parts if part.reading.observed is not None), None)


def _memory(parts: Sequence[Part]) -> MemoryFigures | None:
    """Put the figures of several texts together; of one that two texts have, the first counts."""
    found: dict[str, int] = {}
    for part in parts:
        if part.reading.memory is not None:
            for item in fields(MemoryFigures):
                value = getattr(part.reading.memory, item.name)
                if value is not None:
                    found.setdefault(item.name, value)
    return MemoryFigures(**found) if found else None
