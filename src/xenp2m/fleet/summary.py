"""The summary of a fleet: what breaks, where, by which ways of mapping, and what could not be predicted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from xenp2m.fleet.query import Fleet
from xenp2m.mmu.mappers import Mapper
from xenp2m.units import GIB, TIB

FORMAT = "xenp2m.fleet-summary/1"
REACHES = (512 * GIB, 4 * TIB, 16 * TIB)
"""Where a tree ends, where 32-bit marker bits begin, where 32-bit frame numbers end."""
BEFORE_PATCH_5 = "series:1-4"
WITH_PATCH_5 = "series:1-5"
PATCH_5 = "series:5"

_REASONS = 3


@dataclass(frozen=True, slots=True)
class OfKernel:
    """One kernel over all machines, in machines but for what says BARs.

    ``past_map_bad`` have a BAR that reaches past the end of the map and that some way of mapping does not
    reach; ``mappers`` counts those by way of mapping, as (machines, BARs).
    """

    kernel: str
    predicted: int
    stopped: int
    bad: int
    bad_bars: int
    past_map_bad: int
    past_map_bad_bars: int
    mappers: dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Reach:
    """Machines with a BAR at or past an address in bytes, and of these those with such a BAR that is bad."""

    address: int
    machines: int
    bad: dict[str, int]


@dataclass(frozen=True, slots=True)
class Patch5:
    """What patch 5 of the series does for the machines that have BARs past the end of their map and break.

    ``broken`` break under ``before``; of these ``fixed`` have no bad BAR past the map under ``after``.
    """

    before: str
    after: str
    broken: int
    fixed: int


@dataclass(frozen=True, slots=True)
class OfCode:
    """One finding: on how many machines it is raised, by kernel; "" for those that hold under every one."""

    code: str
    severity: str
    title: str
    machines: dict[str, int]


@dataclass(frozen=True, slots=True)
class OfFailure:
    """Inputs that could not be predicted for one kind of reason, and the most frequent reasons in words."""

    kind: str
    inputs: int
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A fleet in numbers."""

    inputs: int
    machines: int
    with_bars: int
    past_map: int
    bars: int
    past_map_bars: int
    kernels: tuple[OfKernel, ...]
    reaches: tuple[Reach, ...]
    patch5: tuple[Patch5, ...]
    findings: tuple[OfCode, ...]
    failures: tuple[OfFailure, ...]
    finished: bool

    def to_json(self) -> dict[str, Any]:
        """Return the summary as an object for ``json.dumps``."""
        return {"format": FORMAT, **asdict(self)}


def summarise(fleet: Fleet) -> Summary:
    """Count what a fleet holds."""
    ((inputs,),) = fleet.ask("SELECT count(*) FROM inputs").rows
    ((machines, with_bars, past_map, bars, past_map_bars),) = fleet.ask(
        "SELECT count(*), count(*) FILTER (bars > 0), count(*) FILTER (bars_past_map > 0), "
        "coalesce(sum(bars), 0)::BIGINT, coalesce(sum(bars_past_map), 0)::BIGINT FROM machines"
    ).rows
    kernels = tuple(_of_kernel(fleet, name) for name in fleet.manifest.kernels)
    return Summary(
        inputs=inputs,
        machines=machines,
        with_bars=with_bars,
        past_map=past_map,
        bars=bars,
        past_map_bars=past_map_bars,
        kernels=kernels,
        reaches=tuple(_reach(fleet, address) for address in REACHES),
        patch5=tuple(_patch5(fleet)),
        findings=_findings(fleet),
        failures=_failures(fleet),
        finished=not fleet.manifest.run,
    )


def _of_kernel(fleet: Fleet, kernel: str) -> OfKernel:
    ((predicted, stopped, bad, bad_bars),) = fleet.ask(
        "SELECT count(*), count(stopped), count(*) FILTER (bars_bad > 0), "
        "coalesce(sum(bars_bad), 0)::BIGINT FROM predictions WHERE kernel = ?",
        [kernel],
    ).rows
    wanted = ", ".join(
        f"count(DISTINCT machine) FILTER (by_{mapper.value} <> 'maps'), "
        f"count(*) FILTER (by_{mapper.value} <> 'maps')"
        for mapper in Mapper
    )
    ((past_bad, past_bad_bars, *by_mapper),) = fleet.ask(
        f"SELECT count(DISTINCT machine), count(*), {wanted} "
        "FROM bars WHERE kernel = ? AND past_map AND verdict <> 'maps'",
        [kernel],
    ).rows
    pairs = zip(by_mapper[::2], by_mapper[1::2], strict=True)
    mappers = {mapper.value: pair for mapper, pair in zip(Mapper, pairs, strict=True)}
    return OfKernel(kernel, predicted, stopped, bad, bad_bars, past_bad, past_bad_bars, mappers)


def _reach(fleet: Fleet, address: int) -> Reach:
    ((machines,),) = fleet.ask("SELECT count(*) FROM machines WHERE bars_last >= ?", [address]).rows
    rows = fleet.ask(
        "SELECT kernel, count(DISTINCT machine) FROM bars WHERE last >= ? AND verdict <> 'maps' "
        "GROUP BY kernel",
        [address],
    ).rows
    bad = dict(rows)
    return Reach(address, machines, {name: bad.get(name, 0) for name in fleet.manifest.kernels})


def _patch5(fleet: Fleet) -> list[Patch5]:
    found = []
    for before, after in ((BEFORE_PATCH_5, WITH_PATCH_5), ("3.15", PATCH_5)):
        if before in fleet.manifest.kernels and after in fleet.manifest.kernels:
            ((broken, fixed),) = fleet.ask(
                "WITH bad AS (SELECT DISTINCT machine, kernel FROM bars "
                "WHERE past_map AND verdict <> 'maps' AND kernel IN ($before, $after)), "
                "judged AS (SELECT machine FROM predictions WHERE kernel IN ($before, $after) "
                "GROUP BY machine HAVING count(*) = 2) "
                "SELECT count(*), count(*) FILTER (machine NOT IN "
                "(SELECT machine FROM bad WHERE kernel = $after)) "
                "FROM bad WHERE kernel = $before AND machine IN (SELECT machine FROM judged)",
                {"before": before, "after": after},
            ).rows
            found.append(Patch5(before, after, broken, fixed))
    return found


def _findings(fleet: Fleet) -> tuple[OfCode, ...]:
    rows = fleet.ask(
        "SELECT code, arg_min(severity, array_position(['error', 'warning', 'info'], severity)), "
        "any_value(title), coalesce(kernel, ''), count(DISTINCT machine) "
        "FROM findings GROUP BY code, kernel ORDER BY code"
    ).rows
    order = {"error": 0, "warning": 1, "info": 2}
    found: dict[str, OfCode] = {}
    for code, severity, title, kernel, machines in rows:
        known = found.setdefault(code, OfCode(code, severity, title, {}))
        known.machines[kernel] = machines
        if order[severity] < order[known.severity]:
            found[code] = OfCode(code, severity, title, known.machines)
    return tuple(
        sorted(found.values(), key=lambda each: (order[each.severity], -max(each.machines.values())))
    )


def _failures(fleet: Fleet) -> tuple[OfFailure, ...]:
    rows = fleet.ask(
        "SELECT kind, reason, count(DISTINCT machine) AS inputs FROM failures "
        "GROUP BY kind, reason ORDER BY inputs DESC, reason"
    ).rows
    counts = dict(
        fleet.ask("SELECT kind, count(DISTINCT machine) FROM failures GROUP BY kind ORDER BY 2 DESC, 1").rows
    )
    return tuple(
        OfFailure(
            kind,
            inputs,
            tuple((reason, number) for of_kind, reason, number in rows if of_kind == kind)[:_REASONS],
        )
        for kind, inputs in counts.items()
    )
