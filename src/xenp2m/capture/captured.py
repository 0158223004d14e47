"""``xenp2m.capture/1``: what ``xenp2m capture`` collected of a running system, as a JSON object.

``system`` says what it is, ``machine`` is a xenp2m.machine/1, ``dom0_final`` the map that a Xen PV kernel
ended up with where that is not the machine's, ``observed`` what it logged of its memory setup, ``memory`` the
figures of a running kernel in KiB, ``resizable`` the BARs that can be resized, ``[bdf, index, [sizes in
bytes]]``, and ``lacks`` what could not be read, ``[fact, text]``.  It holds numbers, versions and PCI
addresses only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Any, NamedTuple

from xenp2m.capture.document import document
from xenp2m.capture.maplines import make_entry
from xenp2m.capture.model import (
    Capture,
    FoundMap,
    LoggedRange,
    MemoryFigures,
    Note,
    Observed,
    Reading,
    Severity,
)
from xenp2m.capture.text import Text
from xenp2m.errors import FormatError, UsageError
from xenp2m.machine import MapSource, machine_from_json, machine_to_json, parse_bdf
from xenp2m.units import format_size

FORMAT = "xenp2m.capture/1"
NAME = "capture"

_SAMPLE = 1 << 12
_FIELDS = {"format", "system", "machine", "dom0_final", "observed", "memory", "resizable", "lacks"}


class SystemKind(Enum):
    """What a system is, seen from Xen."""

    NO_XEN = "no Xen"
    DOM0 = "Xen dom0"
    PVH_DOM0 = "Xen PVH dom0"
    PV = "Xen PV guest"
    HVM = "Xen HVM guest"
    PVH = "Xen PVH guest"
    GUEST = "Xen guest"
    """A guest that does not say of which kind it is."""

    @property
    def is_pv(self) -> bool:
        """Whether its kernel runs paravirtualised, with a p2m of its own."""
        return self in {SystemKind.DOM0, SystemKind.PV}


@dataclass(frozen=True, slots=True)
class Resizable:
    """A BAR that can be resized, and the sizes in bytes that its function offers."""

    bdf: str
    index: int
    sizes: tuple[int, ...]


class Lack(NamedTuple):
    """A fact that could not be read ("map", "bars", "log", "xen", "iomem"), why, and whether root helps."""

    fact: str
    text: str
    needs_root: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """A system as it was collected, in the fields of ``xenp2m.capture/1``."""

    system: SystemKind
    capture: Capture
    resizable: tuple[Resizable, ...] = ()
    lacks: tuple[Lack, ...] = ()


def to_json(collected: Collected) -> dict[str, Any]:
    """Return the object for ``json.dumps``; what is not known is left out."""
    capture = collected.capture
    value: dict[str, Any] = {"format": FORMAT, "system": collected.system.value}
    value["machine"] = machine_to_json(replace(capture.machine, name=""))
    if capture.dom0_final is not None and capture.machine.e820_source is not MapSource.DOM0_FINAL:
        value["dom0_final"] = [list(entry) for entry in capture.dom0_final]
    if capture.observed is not None:
        value["observed"] = _known(capture.observed)
    if capture.memory is not None:
        value["memory"] = _known(capture.memory)
    if collected.resizable:
        value["resizable"] = [[bar.bdf, bar.index, list(bar.sizes)] for bar in collected.resizable]
    if collected.lacks:
        value["lacks"] = [[lack.fact, lack.text] for lack in collected.lacks]
    return value


def _known(record: Observed | MemoryFigures) -> dict[str, Any]:
    values = ((item, getattr(record, item.name)) for item in fields(record))
    return {item.name: _plain(value) for item, value in values if value != item.default}


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def matches(text: Text) -> bool:
    """Whether the text is such an object."""
    return text.data[:_SAMPLE].lstrip()[:1] == b"{" and FORMAT.encode() in text.data[:_SAMPLE]


def read(text: Text, boot: int | None) -> Reading:
    """Read the object; raises FormatError when it is none of this format."""
    del boot
    value = document(text)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise FormatError("not a capture", where=text.name, expected=f"an object of format {FORMAT}")
    unknown = value.keys() - _FIELDS
    if unknown:
        raise FormatError("unknown field in a capture", where=text.name, found=", ".join(sorted(unknown)))
    try:
        return _reading(text, value)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, UsageError) as error:
        raise FormatError(
            "malformed capture", where=text.name, expected=FORMAT, found=str(error)[:120]
        ) from error


def _reading(text: Text, value: Mapping[str, Any]) -> Reading:
    system = SystemKind(value["system"])
    machine = machine_from_json(value["machine"], where=text.name)
    final = tuple(make_entry(text, 0, *map(_number, _row(row, 3))) for row in value.get("dom0_final", ()))
    maps = [FoundMap(source=machine.e820_source, entries=machine.e820, where=text.name)]
    if final and machine.e820_source is not MapSource.DOM0_FINAL:
        maps.append(FoundMap(source=MapSource.DOM0_FINAL, entries=final, where=text.name))
    notes = [
        Note(Severity.LACK, _string(why), text.name, _string(fact)) for fact, why in value.get("lacks", ())
    ]
    notes += _resizable_notes(text, value.get("resizable", ()))
    observed = value.get("observed")
    # Of another kernel than a Xen PV one they say nothing about what dom0 would have.
    figures = MemoryFigures(**{key: _number(known) for key, known in value.get("memory", {}).items()})
    return Reading(
        format=NAME,
        maps=tuple(found for found in maps if found.entries),
        bars=machine.bars,
        windows=machine.windows,
        facts=replace(machine, e820=(), bars=(), windows=()),
        observed=None if observed is None else _observed(observed),
        memory=figures if system.is_pv else None,
        is_xen_pv=system.is_pv,
        is_domu=system is SystemKind.PV,
        notes=tuple(notes),
    )


def _resizable_notes(text: Text, rows: Sequence[Any]) -> list[Note]:
    largest = [
        f"{parse_bdf(_string(bdf))}/{_number(index)} to {format_size(max(map(_number, sizes)))}"
        for bdf, index, sizes in rows
        if sizes
    ]
    told = f"BARs that can be resized: {', '.join(largest)} (--bar shows what that changes)"
    return [Note(Severity.INFO, told, text.name)] if largest else []


def _observed(value: Mapping[str, Any]) -> Observed:
    given: dict[str, Any] = {}
    for name, known in value.items():
        if name in {"freed", "populated"}:
            given[name] = tuple(LoggedRange(*map(_number, _row(row, 3))) for row in known)
        elif name == "identity_ranges":
            given[name] = tuple(tuple(map(_number, _row(row, 2))) for row in known)
        elif name in {"initrd_moved", "ramdisk"}:
            given[name] = tuple(map(_number, _row(known, 4 if name == "initrd_moved" else 2)))
        elif name == "kernel_release":
            given[name] = _string(known)
        else:
            given[name] = _number(known, negative=name == "set_identity")
    return Observed(**given)


def _row(row: Any, length: int) -> Sequence[Any]:
    if not isinstance(row, list) or len(row) != length:
        raise ValueError(f"not {length} numbers: {row!r}")
    return row


def _number(value: Any, *, negative: bool = False) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"not a number: {value!r}")
    if not (-(1 << 64) if negative else 0) <= value <= 1 << 64:
        raise ValueError(f"number outside 0 to 2^64: {value}")
    return value


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"not a text: {value!r}")
    return value
