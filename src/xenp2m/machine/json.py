"""``xenp2m.machine/1``: one machine as a JSON object, out and in again without loss.

Addresses and sizes are numbers of bytes.  ``e820`` holds ``[start, end exclusive, type]``, ``windows``
``[bridge, start, end exclusive]``, ``bars`` objects; fields that are not known are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from xenp2m.errors import FormatError, UsageError
from xenp2m.machine.e820 import E820Entry
from xenp2m.machine.machine import Machine, MapSource
from xenp2m.machine.pci import Bar, Window, parse_bdf

FORMAT = "xenp2m.machine/1"

_TOP = 1 << 64
_NUMBERS = frozenset(
    {"nr_pages", "max_reservation", "bits", "cpu_family", "physical_bits", "local_apic", "mem_limit"}
)
_RANGES = frozenset({"kernel", "start_info", "page_tables", "p2m_list"})


def machine_to_json(machine: Machine) -> dict[str, Any]:
    """Return the machine as an object for ``json.dumps``."""
    value: dict[str, Any] = {
        "format": FORMAT,
        "e820": [list(entry) for entry in machine.e820],
        "e820_source": machine.e820_source.value,
        "bars": [
            {
                "bdf": bar.bdf,
                "index": bar.index,
                "start": bar.start,
                "size": bar.size,
                "is_64bit": bar.is_64bit,
                "prefetchable": bar.prefetchable,
            }
            for bar in machine.bars
        ],
        "windows": [[window.bridge, window.start, window.end] for window in machine.windows],
    }
    for item in fields(Machine):
        known = getattr(machine, item.name)
        if item.name not in value and known not in {None, (), ""}:
            value[item.name] = list(known) if isinstance(known, tuple) else known
    return value


def machine_from_json(value: Mapping[str, Any], *, where: str = "") -> Machine:
    """Return the machine that an object describes; raises FormatError when it is none of this format."""
    if value.get("format") != FORMAT:
        raise FormatError(
            "not a machine", where=where, expected=f"format {FORMAT}", found=repr(value.get("format"))
        )
    unknown = value.keys() - {item.name for item in fields(Machine)} - {"format"}
    if unknown:
        raise FormatError("unknown field in a machine", where=where, found=", ".join(sorted(unknown)))
    try:
        given = {name: _field(name, value[name]) for name in value if name != "format"}
        return Machine(**given)
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise FormatError(
            "malformed machine", where=where, expected=FORMAT, found=str(error)[:120]
        ) from error


def _field(name: str, value: Any) -> Any:
    if name == "e820":
        return tuple(E820Entry(*_interval(start, end), _integer(kind)) for start, end, kind in value)
    if name == "e820_source":
        return MapSource(value)
    if name == "bars":
        return tuple(_bar(row) for row in value)
    if name == "windows":
        return tuple(Window(_string(bridge), *_interval(start, end)) for bridge, start, end in value)
    if name in {"io_apics", "iommus"}:
        return tuple(_integer(address) for address in value)
    if name in _RANGES:
        start, end = value
        return _interval(start, end)
    return _integer(value) if name in _NUMBERS else _string(value)


def _bar(row: Mapping[str, Any]) -> Bar:
    start, end = _interval(row["start"], _integer(row["start"]) + _integer(row["size"]))
    index = row["index"]
    return Bar(
        parse_bdf(_string(row["bdf"])),
        None if index is None else _integer(index),
        start,
        end - start,
        bool(row.get("is_64bit", False)),
        bool(row.get("prefetchable", False)),
    )


def _interval(start: Any, end: Any) -> tuple[int, int]:
    low, high = _integer(start), _integer(end)
    if low > high:
        raise ValueError(f"range that ends before it starts: {low:#x} to {high:#x}")
    return low, high


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"not a number: {value!r}")
    if not 0 <= value <= _TOP:
        raise ValueError(f"number outside 0 to 2^64: {value}")
    return value


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"not a text: {value!r}")
    return value
