"""Machines as JSON: our own ``xenp2m.machine/1``, and records of collected machine facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from xenp2m.capture.document import document
from xenp2m.capture.maplines import checked_range, make_entry
from xenp2m.capture.model import FoundMap, Note, Reading, Severity
from xenp2m.capture.text import Text
from xenp2m.errors import FormatError, UsageError
from xenp2m.machine import Bar, Machine, MapSource, Window, machine_from_json, parse_bdf
from xenp2m.machine.json import FORMAT

NAME = "machine"

_SOURCES = {
    "bios": MapSource.FIRMWARE,
    "iomem": MapSource.IOMEM,
    "xen-hv": MapSource.XEN,
    "xen-dom0": MapSource.DOM0_FINAL,
    "fbsd-physmem": MapSource.PHYSMEM,
}
_WITHOUT_MAP = frozenset({"facter", "bars-only"})
_SAMPLE = 1 << 12


def matches(text: Text) -> bool:
    """Whether the text is a machine of ours or a record of facts."""
    head = text.data[:_SAMPLE].lstrip()
    return head[:1] == b"{" and (FORMAT.encode() in text or (b'"kind"' in text and b'"e820"' in text))


def read(text: Text, boot: int | None) -> Reading:
    """Read one machine.

    Raises FormatError when the text is no such JSON, UsageError when it holds several machines.
    """
    del boot
    lines = [line.text for line in text.lines() if line.text.strip()]
    if len(lines) > 1 and all(line.startswith(b"{") and line.rstrip().endswith(b"}") for line in lines):
        raise UsageError(
            "several machines in one file", where=text.name, expected="one", found=str(len(lines))
        )
    value = document(text)
    if not isinstance(value, dict):
        raise FormatError(
            "not a machine", where=text.name, expected="a JSON object", found=type(value).__name__
        )
    if value.get("format") == FORMAT:
        return _own(machine_from_json(value, where=text.name), text.name)
    return read_record(value, where=text.name)


def _own(machine: Machine, where: str) -> Reading:
    found = FoundMap(source=machine.e820_source, entries=machine.e820, where=where)
    return Reading(
        format=NAME,
        maps=(found,) if machine.e820 else (),
        bars=machine.bars,
        windows=machine.windows,
        facts=replace(machine, e820=(), bars=(), windows=()),
        notes=() if machine.e820 else (Note(Severity.LACK, "this machine has no memory map", where, "map"),),
    )


def read_record(record: Mapping[str, Any], *, where: str) -> Reading:
    """Turn one record of machine facts into a reading; one without a RAM map carries a note that says so.

    Raises FormatError when a field is missing or has the wrong shape.
    """
    text = Text(where, b"")
    kind = _string(record.get("kind"))
    notes: list[Note] = []
    try:
        entries = tuple(make_entry(text, 0, int(s), int(e), int(t)) for s, e, t in record["e820"])
        bars = tuple(_bar(text, *row) for row in record["bars"])
        windows = tuple(Window(str(bridge), int(s), int(e)) for bridge, s, e in record.get("windows") or ())
        dom0 = tuple(make_entry(text, 0, int(s), int(e), int(t)) for s, e, t in record.get("dom0_e820") or ())
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FormatError(
            "not a record of machine facts",
            where=where,
            expected="e820 [[start, end, type]] and bars",
            found=f"no {error}" if isinstance(error, KeyError) else str(error),
        ) from error
    maps = []
    if entries and kind not in _WITHOUT_MAP:
        maps.append(
            FoundMap(source=_SOURCES.get(str(kind), MapSource.FIRMWARE), entries=entries, where=where)
        )
    if dom0:
        maps.append(FoundMap(source=MapSource.DOM0_FINAL, entries=dom0, where=where))
    if not any(entry.is_ram for entry in entries) or not maps:
        notes.append(Note(Severity.LACK, f"this record ({kind}) has no memory map: BARs only", where, "map"))
    elif kind == "fbsd-physmem":
        notes.append(
            Note(
                Severity.LACK,
                "this record lists chunks of RAM only (FreeBSD), not a memory map",
                where,
                "map",
            )
        )
    if record.get("elided"):
        notes.append(Note(Severity.WARNING, "the source of this record left out lines of the map", where))
    return Reading(
        format="machine facts",
        maps=tuple(maps),
        bars=bars,
        windows=windows,
        facts=Machine(
            xen_version=_string(record.get("xen")),
            kernel_release=_string(record.get("kernel")),
            name=str(record.get("id", "")),
        ),
        is_xen_pv=True if kind == "xen-dom0" else None,
        notes=tuple(notes),
    )


def _bar(text: Text, bdf: str, index: int | None, start: int, size: int, is_64bit: Any, pref: Any) -> Bar:
    try:
        name = parse_bdf(str(bdf))
    except UsageError as error:
        raise ValueError(str(error)) from error
    low, high = checked_range(text, 0, int(start), int(start) + int(size))
    return Bar(name, None if index is None else int(index), low, high - low, bool(is_64bit), bool(pref))


def _string(value: Any) -> str | None:
    return None if value is None else str(value)
