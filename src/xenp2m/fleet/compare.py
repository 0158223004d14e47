"""What breaks and what is fixed between two kernels of a fleet, or between two fleets."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from xenp2m.check.bars import Verdict
from xenp2m.errors import UsageError
from xenp2m.fleet.query import Fleet
from xenp2m.fleet.store import Store
from xenp2m.mmu.mappers import Mapper

FORMAT = "xenp2m.fleet-diff/1"

_OTHER = "other"
_RANK = {verdict.value: verdict.severity for verdict in Verdict}


@dataclass(frozen=True, slots=True)
class Change:
    """One BAR, or the boot of a machine where ``bdf`` is empty, before and after.

    ``what`` is "breaks" (all was well before), "fixed" (all is well after), "worse" or "better".
    ``mappers`` are the ways of mapping whose verdict changed.
    """

    what: str
    machine: str
    name: str
    kernels: tuple[str, str]
    bdf: str
    bar_index: int | None
    start: int | None
    before: str
    after: str
    mappers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """The changes between two sides; ``machines`` were compared, ``only`` are those of one side alone."""

    sides: tuple[str, str]
    machines: int
    only: tuple[int, int]
    changes: tuple[Change, ...]

    @property
    def breaks(self) -> bool:
        """Whether something is worse on the second side."""
        return any(change.what in ("breaks", "worse") for change in self.changes)

    def to_json(self) -> dict[str, Any]:
        """Return the differences as an object for ``json.dumps``."""
        return {"format": FORMAT, "breaks": self.breaks, **asdict(self)}


def compare_kernels(fleet: Fleet, before: str, after: str) -> Diff:
    """Compare two kernels on the machines of one fleet; raises UsageError for one that it does not have."""
    for kernel in (before, after):
        _require_kernel(fleet.manifest.kernels, kernel, fleet.store.label)
    pairs = (
        "SELECT a.machine AS one, a.machine AS two FROM predictions a JOIN predictions b USING (machine) "
        "WHERE a.kernel = $before AND b.kernel = $after"
    )
    return _compare(fleet, "main", pairs, [(before, after)], (before, after))


def compare_fleets(fleet: Fleet, other: Store, kernels: tuple[str, ...] = ()) -> Diff:
    """Compare the kernels that two fleets share, or those named, machine by machine.

    A machine is the same if it was read from the same place, else if its name occurs once in each fleet.
    Raises UsageError when there is no kernel to compare.
    """
    manifest = fleet.attach(other, _OTHER)
    for kernel in kernels:
        _require_kernel(fleet.manifest.kernels, kernel, fleet.store.label)
        _require_kernel(manifest.kernels, kernel, other.label)
    shared = kernels or tuple(name for name in fleet.manifest.kernels if name in manifest.kernels)
    if not shared:
        raise UsageError("the fleets have no kernel in common", found=", ".join(manifest.kernels))
    once = "SELECT name, any_value(machine) AS machine FROM {}.machines GROUP BY name HAVING count(*) = 1"
    pairs = (
        "SELECT machine AS one, machine AS two FROM main.machines JOIN other.machines USING (machine) "
        f"UNION SELECT a.machine, b.machine FROM ({once.format('main')}) a "
        f"JOIN ({once.format(_OTHER)}) b USING (name) "
        "WHERE a.machine NOT IN (SELECT machine FROM other.machines) "
        "AND b.machine NOT IN (SELECT machine FROM main.machines)"
    )
    return _compare(fleet, _OTHER, pairs, [(name, name) for name in shared], (fleet.store.label, other.label))


def _compare(
    fleet: Fleet, schema: str, pairs: str, kernels: list[tuple[str, str]], sides: tuple[str, str]
) -> Diff:
    changes: list[Change] = []
    for before, after in kernels:
        values = {"before": before, "after": after}
        changes += _boots(fleet, schema, pairs, values)
        changes += _bars(fleet, schema, pairs, values)
    values = {"before": kernels[0][0], "after": kernels[0][1]}
    values = values if "$before" in pairs else {}
    ((machines,),) = fleet.ask(f"SELECT count(*) FROM ({pairs})", values).rows
    ((one,),) = fleet.ask("SELECT count(*) FROM main.machines").rows
    ((two,),) = fleet.ask(f"SELECT count(*) FROM {schema}.machines").rows
    changes.sort(key=lambda each: (each.name, each.kernels, each.bdf, each.bar_index or 0, each.start or 0))
    return Diff(sides=sides, machines=machines, only=(one - machines, two - machines), changes=tuple(changes))


def _bars(fleet: Fleet, schema: str, pairs: str, values: dict[str, str]) -> list[Change]:
    """Return the BARs with a verdict that changed; they may have moved between two fleets."""
    ways = ", ".join(f"a.by_{mapper.value}, b.by_{mapper.value}" for mapper in Mapper)
    differs = " OR ".join(f"a.by_{mapper.value} <> b.by_{mapper.value}" for mapper in Mapper)
    numbered = (
        "SELECT *, row_number() OVER (PARTITION BY machine, bdf, bar_index ORDER BY start) AS nth "
        "FROM {}.bars WHERE kernel = {}"
    )
    rows = fleet.ask(
        f"WITH pairs AS ({pairs}) SELECT a.machine, m.name, a.bdf, a.bar_index, a.start, "
        f"a.verdict, b.verdict, {ways} FROM pairs "
        f"JOIN ({numbered.format('main', '$before')}) a ON a.machine = one "
        f"JOIN ({numbered.format(schema, '$after')}) b ON b.machine = two AND a.bdf = b.bdf "
        "AND a.bar_index IS NOT DISTINCT FROM b.bar_index AND a.nth = b.nth "
        f"JOIN main.machines m ON m.machine = one WHERE a.verdict <> b.verdict OR {differs}",
        values,
    ).rows
    found = []
    for machine, name, bdf, bar_index, start, before, after, *by_mapper in rows:
        ranks = [_RANK[each] for each in by_mapper]
        steps = {
            mapper.value: two - one
            for mapper, one, two in zip(Mapper, ranks[::2], ranks[1::2], strict=True)
            if one != two
        }
        what = _what(_RANK[after] - _RANK[before] or max(steps.values()), before == "maps", after == "maps")
        kernels = values["before"], values["after"]
        found.append(Change(what, machine, name, kernels, bdf, bar_index, start, before, after, tuple(steps)))
    return found


def _boots(fleet: Fleet, schema: str, pairs: str, values: dict[str, str]) -> list[Change]:
    """Return the machines on which one side boots and the other does not."""
    rows = fleet.ask(
        f"WITH pairs AS ({pairs}) SELECT a.machine, m.name, a.stopped, b.stopped FROM pairs "
        "JOIN main.predictions a ON a.machine = one AND a.kernel = $before "
        f"JOIN {schema}.predictions b ON b.machine = two AND b.kernel = $after "
        "JOIN main.machines m ON m.machine = one WHERE (a.stopped IS NULL) <> (b.stopped IS NULL)",
        values,
    ).rows
    kernels = values["before"], values["after"]
    return [
        Change(
            "breaks" if before is None else "fixed",
            machine,
            name,
            kernels,
            "",
            None,
            None,
            before or "boots",
            after or "boots",
        )
        for machine, name, before, after in rows
    ]


def _what(step: int, was_well: bool, is_well: bool) -> str:
    if was_well != is_well:
        return "breaks" if was_well else "fixed"
    return "worse" if step > 0 else "better"


def _require_kernel(known: tuple[str, ...], kernel: str, where: str) -> None:
    if kernel not in known:
        raise UsageError("no such kernel in the fleet", where=where, expected=", ".join(known), found=kernel)
