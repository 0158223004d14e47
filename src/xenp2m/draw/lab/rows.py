"""The rows of a lab report: of ``xenp2m.lab/1`` objects, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xenp2m.lab.result import Outcome, Reading
from xenp2m.lab.results import Kept
from xenp2m.lab.shape import Shape
from xenp2m.units import format_size


@dataclass(frozen=True, slots=True)
class MachineRow:
    """One machine.  ``bars`` are where its BARs are, "" without any; times are in seconds."""

    name: str
    machine: str
    memory: str
    dom0_mem: str
    boots: bool
    equal: bool
    bars: str
    usable: bool
    shell: float | None
    total: float


@dataclass(frozen=True, slots=True)
class GuestRow:
    """One domU, or a dom0 in which xenp2m ran.  ``bars`` are those passed through, and what came of them.

    ``checks`` are whether its p2m was as predicted, as the toolstack lists it, as in a dump of all guests,
    and as ``inspect --live`` shows it; None where that was not looked at.
    """

    shape: str
    guest: str
    memory: str
    holes: str
    bars: str
    bars_as_predicted: bool
    checks: tuple[bool | None, ...]


CHECKS = ("prediction equal", "as the toolstack lists", "in a dump of all", "inspect --live")
"""What the ``checks`` of a guest are called."""

_CHECKED = (
    frozenset({Reading.PREDICTION}),
    frozenset({Reading.LISTED, Reading.MFNDUMP}),
    frozenset({Reading.LATER_DUMP}),
    frozenset({Reading.LIVE}),
)


def summary(runs: Sequence[Kept]) -> str:
    """Say how many machines booted and were as predicted."""
    booted = sum(bool(run.value["booted"]) for run in runs)
    equal = sum(run.value["outcome"] == Outcome.EQUAL.value for run in runs)
    return f"{len(runs)} machines, {booted} booted; on {equal} everything was as predicted."


def machine_row(run: Kept) -> MachineRow:
    """Return the row of a run's machine."""
    value, shape, seconds = run.value, Shape.from_json(run.value["shape"]), run.value["seconds"]
    return MachineRow(
        shape.name,
        machine(shape),
        format_size(shape.memory),
        dom0_mem(shape),
        bool(value["booted"]),
        _predicted(value),
        ", ".join(f"{bar['start']:#x}" for bar in value["bars"]),
        bool(value["bars_usable"]),
        seconds.get("shell"),
        seconds["total"],
    )


def guest_rows(run: Kept) -> list[GuestRow]:
    """Return the rows of a run's domUs, and of its dom0 where xenp2m ran inside."""
    shape = Shape.from_json(run.value["shape"])
    rows = []
    if shape.live and run.value["booted"]:
        rows.append(GuestRow(run.name, "dom0", dom0_mem(shape), "", "", True, _checks(run.value)))
    for domu, known in zip(run.value["domus"], shape.domu, strict=False):
        most = known.maxmem or known.memory
        memory = format_size(known.memory) + (f" to {format_size(most)}" if most > known.memory else "")
        bars = ", ".join(
            f"{bar['start']:#x} {'used' if bar['usable'] else 'refused'}" for bar in domu["bars"]
        )
        holes = "host's" if known.has_holes else "none"
        good = not domu["bars_not_as_predicted"]
        rows.append(GuestRow(run.name, known.name, memory, holes, bars, good, _checks(domu)))
    return rows


def differences(value: Mapping[str, Any]) -> list[str]:
    """Return what was not as predicted, or could not be read, a line each."""
    lines = [value["error"]] if value["error"] else []
    lines += _judged(value)
    lines += [f"the BAR at {bar['start']:#x} cannot be used" for bar in value["bars"] if not bar["usable"]]
    for domu in value["domus"]:
        lines += [f"{domu['name']}: {line}" for line in _judged(domu)]
    return lines + list(value["notes"])


def machine(shape: Shape) -> str:
    """Return what a machine is, in a few words."""
    return " ".join(filter(None, (shape.machine, shape.cpu, "UEFI" if shape.firmware == "ovmf" else "")))


def dom0_mem(shape: Shape) -> str:
    """Return how much memory dom0 gets, as Xen is told."""
    return shape.dom0_mem or "all"


def _checks(value: Mapping[str, Any]) -> tuple[bool | None, ...]:
    found = []
    for readings in _CHECKED:
        equal = [each["equal"] for each in value["comparisons"] if readings & {each["a"], each["b"]}]
        found.append(all(equal) if equal else None)
    return tuple(found)


def _predicted(value: Mapping[str, Any]) -> bool:
    compared = [each["equal"] for each in value["comparisons"] if each["equal"] is not None]
    return bool(compared) and all(compared) and not value["bars_not_as_predicted"] and not value["unlogged"]


def _judged(value: Mapping[str, Any]) -> list[str]:
    """Return what was not as predicted of one guest."""
    lines = []
    for each in value["comparisons"]:
        if each["equal"] is None:
            lines.append(f"{each['a']} and {each['b']}: {each['reason']}")
        elif not each["equal"]:
            lines.append(f"{each['a']} and {each['b']} differ in {each['differing']} places:")
            lines += [f"  frames {start:#x} to {end:#x}: {a} and {b}" for start, end, a, b in each["first"]]
    lines += value["bars_not_as_predicted"]
    return lines + [f"not logged: {line}" for line in value["unlogged"]]
