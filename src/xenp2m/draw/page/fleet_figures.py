"""What the page of a fleet says of all machines together: how bad they are, where RAM ends and BARs lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Ask = Callable[[str], list[tuple[Any, ...]]]
"""Puts a question in SQL to the tables of a fleet (``xenp2m.fleet.schema``) and returns the rows."""

LEVELS = (
    ("good", "every BAR maps"),
    ("plain", "no BARs known"),
    ("warn", "warnings"),
    ("error", "errors, though every BAR maps"),
    ("bad", "BARs do not map"),
    ("bad", "BARs collide with guest memory"),
    ("bad", "BARs map wrongly"),
    ("bad", "the kernel does not boot"),
    ("plain", "no prediction"),
)
"""How bad a machine is under a kernel, from well to worst: the look and the words of each level."""
BROKEN = 4
"""The level from which on something breaks."""
NO_PREDICTION = len(LEVELS) - 1

LEVEL = """CASE WHEN p.stopped IS NOT NULL THEN 7 WHEN p.verdict = 'wrong' THEN 6
 WHEN p.verdict = 'collides' THEN 5 WHEN p.verdict = 'fails' THEN 4 WHEN p.errors > 0 THEN 3
 WHEN p.warnings > 0 THEN 2 WHEN p.bars = 0 THEN 1 ELSE 0 END"""
"""The level of a row of ``predictions p``, in SQL."""

PLACE = "CAST(floor(2 * log2(greatest(b.start, 1))) AS INTEGER)"
"""The column of a BAR ``b`` in the picture of places: half doublings of its address."""
SIZE = "CAST(floor(log2(greatest(b.size, 1))) AS INTEGER)"
"""The row of a BAR ``b``: doublings of its size."""

_SEVERITIES = ("error", "warning", "info")
_MOST_FAILURES = 300


def totals(ask: Ask, kernels: Sequence[str]) -> list[dict[str, Any]]:
    """Return for each kernel how many machines are of which level, and how many BARs do not map."""
    found: dict[str, dict[str, Any]] = {
        kernel: {"name": kernel, "levels": [0] * len(LEVELS), "bars": 0, "bad": 0} for kernel in kernels
    }
    for kernel, level, machines, bars, bad in ask(
        f"SELECT p.kernel, {LEVEL} AS level, count(*), sum(p.bars), sum(p.bars_bad) FROM predictions p "
        "GROUP BY ALL"
    ):
        if kernel in found:
            found[kernel]["levels"][level] += machines
            found[kernel]["bars"] += int(bars)
            found[kernel]["bad"] += int(bad)
    ((machines,),) = ask("SELECT count(*) FROM machines")
    for each in found.values():
        each["levels"][NO_PREDICTION] = machines - sum(each["levels"])
    return list(found.values())


def findings(ask: Ask, kernels: Sequence[str]) -> list[list[Any]]:
    """Return ``[code, severity, title, machines, places]`` a code, the last two by kernel, worst first.

    A finding that holds under every kernel counts under each.
    """
    index = {kernel: number for number, kernel in enumerate(kernels)}
    found: dict[str, list[Any]] = {}
    for code, severity, title, kernel, machines, places in ask(
        "SELECT code, arg_min(severity, array_position(['error', 'warning', 'info'], severity)), "
        "min(title), kernel, count(DISTINCT machine), count(*) FROM findings GROUP BY code, kernel"
    ):
        row = found.setdefault(code, [code, severity, title, [0] * len(kernels), [0] * len(kernels)])
        row[1] = min(row[1], severity, key=_SEVERITIES.index)
        for number in range(len(kernels)) if kernel is None else [index[kernel]] if kernel in index else []:
            row[3][number] += machines
            row[4][number] += places
    return sorted(
        found.values(), key=lambda row: (_SEVERITIES.index(row[1]), -max(row[3], default=0), row[0])
    )


def ram_ends(ask: Ask) -> list[list[int]]:
    """Return ``[k, machines]``: how many machines' RAM ends in [2^k, 2^(k+1)) bytes, without empty ends."""
    rows = ask(
        "SELECT CAST(floor(log2(greatest(ram_end, 1))) AS INTEGER) AS bin, count(*) FROM machines "
        "GROUP BY bin ORDER BY bin"
    )
    counts: dict[int, int] = dict(rows)
    return [[bin_, counts.get(bin_, 0)] for bin_ in range(min(counts), max(counts) + 1)] if counts else []


def places(ask: Ask, kernels: Sequence[str]) -> list[list[Any]]:
    """Return ``[place, size, BARs, machines, bad BARs by kernel]`` for every bin that has BARs."""
    index = {kernel: number for number, kernel in enumerate(kernels)}
    found: dict[tuple[int, int], list[Any]] = {}
    for place, size, kernel, bars, machines, bad in ask(
        f"SELECT {PLACE} AS place, {SIZE} AS size, b.kernel, count(*), count(DISTINCT b.machine), "
        "count(*) FILTER (b.verdict <> 'maps') FROM bars b GROUP BY ALL ORDER BY place, size"
    ):
        if kernel not in index:
            continue
        row = found.setdefault((place, size), [place, size, 0, 0, [0] * len(kernels)])
        row[2], row[3] = max(row[2], bars), max(row[3], machines)
        row[4][index[kernel]] = bad
    return list(found.values())


def failures(ask: Ask) -> dict[str, Any]:
    """Return what was not used: how many of each kind, and the first of them with their reasons."""
    kinds = ask("SELECT kind, count(*) AS n FROM failures GROUP BY kind ORDER BY n DESC, kind")
    rows = ask(
        "SELECT name, coalesce(kernel, ''), kind, reason FROM failures ORDER BY kind, name, kernel "
        f"LIMIT {_MOST_FAILURES}"
    )
    return {
        "kinds": [list(row) for row in kinds],
        "rows": [list(row) for row in rows],
        "total": sum(count for _, count in kinds),
    }
