"""Values as JSON: predictions as objects, and objects laid out to be read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import Any

from xenp2m.boot.guest import BootLog, Guest
from xenp2m.check.series import State, Walk
from xenp2m.machine.json import machine_to_json
from xenp2m.mapfile import PREDICTION_FORMAT
from xenp2m.p2m.outline import MidSlots
from xenp2m.prediction import Prediction

SERIES_FORMAT = "xenp2m.series/1"
TREE_FORMAT = "xenp2m.tree/1"


def prediction_to_json(prediction: Prediction) -> dict[str, Any]:
    """Return a prediction as an object for ``json.dumps``."""
    return {
        "format": PREDICTION_FORMAT,
        "kernel": prediction.rules.name,
        "machine": machine_to_json(prediction.machine),
        "guest": _guest(prediction.guest),
        "map": prediction.guest.p2m.to_json(),
        "log": _log(prediction.guest.log),
        "pages": prediction.pages,
        "bars": [verdict.to_json() for verdict in prediction.bars],
        "passthrough": [conflict.to_json() for conflict in prediction.passthrough],
        "assumptions": [str(assumption) for assumption in prediction.assumptions],
        "notes": [str(note) for note in prediction.notes],
    }


def _guest(guest: Guest) -> dict[str, Any]:
    config = guest.config
    return {
        "type": "dom0" if config.is_dom0 else "domU",
        "arch": config.arch.name,
        "nr_pages": config.nr_pages,
        "max_reservation": config.max_reservation,
        "host_e820": None if config.e820 is None else [list(entry) for entry in config.e820],
        "e820": [list(entry) for entry in guest.e820],
        "extra": [list(region) for region in guest.extra],
        "max_p2m_pfn": guest.max_p2m_pfn,
        "ballooned": guest.ballooned,
        "placements": [
            [place.start, place.end, place.origin.value, place.base] for place in guest.placements
        ],
        "warnings": list(guest.warnings),
        "stopped": guest.stopped,
        "initrd_moved": None if guest.initrd_moved is None else list(guest.initrd_moved),
        "p2m_relocated": guest.p2m_relocated,
    }


def _log(log: BootLog) -> dict[str, Any]:
    return {
        "lines": list(log.lines),
        "released": log.released,
        "identity": log.set_identity,
        "identity_ranges": [list(pair) for pair in log.identity_ranges],
        "remapped": log.remapped,
        "remapped_nonram": log.remapped_nonram,
        "last_pfn": log.last_pfn,
        "populated": [list(item) for item in log.populated],
        "freed": [list(item) for item in log.freed],
        "unable_to_find": log.unable_to_find,
        "p2m_area": log.p2m_area,
    }


def walk_to_json(walk: Walk) -> dict[str, Any]:
    """Return the series walked on a machine as an object for ``json.dumps``."""
    return {
        "format": SERIES_FORMAT,
        "machine": walk.machine.machine.name,
        "bar": walk.bar,
        "frame": walk.frame,
        "before": _state(walk.before),
        "patches": [
            {"number": step.patch.number, "subject": step.patch.subject, **_state(step.state)}
            for step in walk.patches
        ],
        "postings": [
            {"version": step.revision.version, "changed": step.revision.changed, **_state(step.state)}
            for step in walk.revisions
        ],
        "without_patch_3": _state(walk.without_3),
        "without_patch_7": _state(walk.without_7),
    }


def _state(state: State) -> dict[str, Any]:
    return {item.name: _plain(getattr(state, item.name)) for item in fields(state) if item.name != "rules"}


def outline_to_json(kernel: str, outline: tuple[MidSlots, ...]) -> dict[str, Any]:
    """Return a p2m's outline as an object for ``json.dumps``."""
    return {"format": TREE_FORMAT, "kernel": kernel, "top": _plain(outline)}


def _plain(value: Any) -> Any:
    """Return enumerations by name and dataclasses as objects, all the way down."""
    if isinstance(value, Enum):
        return value.value if isinstance(value.value, str) else value.name.lower()
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    return value


def by_row(value: Mapping[str, Any]) -> str:
    """Return an object as JSON text with a line a field, and a line a row where a field is a table.

    Objects in it that hold tables are laid out alike.
    """
    return f"{_rows(value, 0)}\n"


def _rows(value: Mapping[str, Any], depth: int) -> str:
    inner, lines = " " * (depth + 1), []
    for key, field in value.items():
        if _is_table(field):
            rows = ",\n".join(f"{inner} {json.dumps(row)}" for row in field)
            text = f"[\n{rows}\n{inner}]"
        elif isinstance(field, dict) and any(map(_is_table, field.values())):
            text = _rows(field, depth + 1)
        else:
            text = json.dumps(field)
        lines.append(f"{inner}{json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + f"\n{' ' * depth}}}"


def _is_table(field: Any) -> bool:
    return isinstance(field, list) and bool(field) and isinstance(field[0], (list, dict))
