"""One machine of a fleet: what its input told, and what every kernel makes of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from xenp2m.arch import arch_of
from xenp2m.entry import KIND_BY_LABEL
from xenp2m.errors import UsageError
from xenp2m.fleet.query import Fleet
from xenp2m.machine import Machine, machine_from_json, machine_to_json
from xenp2m.runs import Run, RunMap

FORMAT = "xenp2m.fleet-machine/1"

_LISTED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One machine: rows of its tables as objects, its facts, and its maps by kernel.

    ``machine`` is None for an input that could not be used; ``failures`` then says why.
    """

    entry: dict[str, Any]
    machine: Machine | None
    about: dict[str, Any]
    predictions: list[dict[str, Any]]
    bars: list[dict[str, Any]]
    findings: list[dict[str, Any]]
    failures: list[dict[str, Any]]
    maps: dict[str, RunMap]

    def to_json(self) -> dict[str, Any]:
        """Return the machine as an object for ``json.dumps``."""
        return {
            "format": FORMAT,
            "input": self.entry,
            "machine": None if self.machine is None else machine_to_json(self.machine),
            "about": self.about,
            "predictions": self.predictions,
            "bars": self.bars,
            "findings": self.findings,
            "failures": self.failures,
            "maps": {kernel: found.to_json() for kernel, found in self.maps.items()},
        }


def show(fleet: Fleet, name: str) -> Shown:
    """Return the machine of that key, name or source, or of that part of a name or of a make and model.

    Raises UsageError when there is none, or more than one.
    """
    number = _find(fleet, name)
    facts = fleet.ask("SELECT json FROM facts WHERE machine = ?", [number]).rows

    def rows(table: str, order: str) -> list[dict[str, Any]]:
        return fleet.ask(f"SELECT * FROM {table} WHERE machine = ? ORDER BY {order}", [number]).dicts()

    about = rows("machines", "machine")
    predictions = rows("predictions", "kernel")
    order = {kernel: index for index, kernel in enumerate(fleet.manifest.kernels)}
    predictions.sort(key=lambda row: order.get(row["kernel"], len(order)))
    return Shown(
        entry=rows("inputs", "machine")[0],
        machine=machine_from_json(json.loads(facts[0][0])) if facts else None,
        about=about[0] if about else {},
        predictions=predictions,
        bars=rows("bars", "bdf, bar_index, start, kernel"),
        findings=rows("findings", "kernel NULLS FIRST, code, first"),
        failures=rows("failures", "kernel NULLS FIRST"),
        maps={row["kernel"]: _map(fleet, number, row) for row in predictions},
    )


def _find(fleet: Fleet, name: str) -> str:
    for condition in (
        "i.machine = $name OR i.name = $name OR i.source = $name",
        "starts_with(i.machine, $name) OR contains(lower(i.name), lower($name)) "
        "OR contains(lower(m.product), lower($name))",
    ):
        rows = fleet.ask(
            "SELECT i.machine, coalesce(m.product, i.name) FROM inputs i "
            f"LEFT JOIN machines m USING (machine) WHERE {condition} ORDER BY i.source LIMIT {_LISTED + 1}",
            {"name": name},
        ).rows
        if len(rows) == 1:
            return str(rows[0][0])
        if rows:
            found = ", ".join(f"{number} ({label})" for number, label in rows[:_LISTED])
            more = ", ..." if len(rows) > _LISTED else ""
            raise UsageError("several machines are called so", where=name, found=f"{found}{more}")
    raise UsageError("no such machine in the fleet", where=name, expected="a key, a name or a part of one")


def _map(fleet: Fleet, number: str, prediction: dict[str, Any]) -> RunMap:
    rows = fleet.ask(
        "SELECT pfn, pages, kind, mfn FROM maps WHERE machine = ? AND kernel = ? ORDER BY pfn",
        [number, prediction["kernel"]],
    ).rows
    runs = (Run(pfn, pages, KIND_BY_LABEL[kind], mfn) for pfn, pages, kind, mfn in rows)
    arch, beyond = arch_of(prediction["arch"]), KIND_BY_LABEL[prediction["beyond"]]
    return RunMap(arch, prediction["end_pfn"], beyond, runs)
