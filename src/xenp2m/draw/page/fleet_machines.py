"""What the page of a fleet tells of each machine that it lists."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from xenp2m.draw.page.encode import packed
from xenp2m.draw.page.fleet_figures import PLACE, SIZE, Ask
from xenp2m.draw.page.fleet_ranks import Rank
from xenp2m.entry import Kind
from xenp2m.mmu.mappers import Mapper
from xenp2m.units import pfn_down, pfn_up

CHUNK = 25
"""Machines whose details are packed together."""
BUDGET = 1_000_000
"""Characters that the details may take together."""

_KINDS = {kind.label: int(kind) for kind in Kind}
_VERDICTS = ("maps", "fails", "collides", "wrong")
_EXACT = 1 << 53
_RAM, _OTHER = 0, 1
_MOST_PLACES = 4
_ASKED = 20 * CHUNK
"""Machines whose details are asked for together."""


class Listed:
    """The machines that have a row of their own: their columns, and their details chunk by chunk."""

    def __init__(
        self,
        ask: Ask,
        kernels: Sequence[str],
        ranks: Sequence[Rank],
        codes: Sequence[str],
        bins: Sequence[tuple[int, int]],
    ) -> None:
        self._ask = ask
        self._kernels = {kernel: number for number, kernel in enumerate(kernels)}
        self._ranks = ranks
        self._codes = {code: number for number, code in enumerate(codes)}
        self._bins = {place: number for number, place in enumerate(bins)}
        self._place = {rank.machine: number for number, rank in enumerate(ranks)}
        self.outcomes: list[list[Any]] = []
        self._outcome_of: dict[tuple[str, ...], int] = {}

    def columns(self) -> dict[str, Any]:
        """Return what the list shows, a column a field, in the order of the ranks."""
        found = {
            row[0]: [*row[1:-1], 0 if row[-1] is None else row[-1] + 1]
            for row in self._rows(
                "m.machine, m.name, coalesce(m.product, ''), m.map_source, m.ram_bytes, m.ram_end, "
                "m.map_end, m.bars, m.bars_past_map, m.bars_last",
                "machines m",
            )
        }
        names = ("name", "product", "source", "ram", "ram_end", "map_end", "bars", "past", "bars_end")
        columns: dict[str, list[Any]] = {name: [] for name in names}
        for rank in self._ranks:
            for name, value in zip(names, found[rank.machine], strict=True):
                columns[name].append(_number(value) if isinstance(value, int) else value)
        codes: list[dict[int, int]] = [{} for _ in self._ranks]
        for machine, code, kernel in self._rows("DISTINCT m.machine, m.code, m.kernel", "findings m"):
            if code in self._codes:
                own = codes[self._place[machine]]
                own[self._codes[code]] = own.get(self._codes[code], 0) | self._mask(kernel)
        bins: list[list[int]] = [[] for _ in self._ranks]
        for machine, place, size in self._rows(f"DISTINCT b.machine, {PLACE}, {SIZE}", "bars b", "b"):
            if (place, size) in self._bins:
                bins[self._place[machine]].append(self._bins[place, size])
        return {
            **columns,
            "levels": [rank.digits for rank in self._ranks],
            "bad": [rank.bad for rank in self._ranks],
            "codes": [[list(pair) for pair in sorted(own.items())] for own in codes],
            "bins": [sorted(own) for own in bins],
        }

    def details(self, budget: int = BUDGET) -> list[Any]:
        """Return the packed details of the first machines, ``CHUNK`` of them each, up to the budget."""
        chunks: list[Any] = []
        spent = 0
        for first in range(0, len(self._ranks), _ASKED):
            details = list(self._details(self._ranks[first : first + _ASKED]))
            for start in range(0, len(details), CHUNK):
                chunk = packed(details[start : start + CHUNK], plain=0)
                spent += len(json.dumps(chunk))
                if spent > budget:
                    return chunks
                chunks.append(chunk)
        return chunks

    def _rows(self, what: str, table: str, name: str = "m") -> list[tuple[Any, ...]]:
        return self._ask(f"SELECT {what} FROM {table} WHERE {_among(name, self._ranks)}")

    def _mask(self, kernel: str | None) -> int:
        """Return the kernels of a finding as bits; one without a kernel holds under all."""
        if kernel is None:
            return (1 << len(self._kernels)) - 1
        return 1 << self._kernels[kernel] if kernel in self._kernels else 0

    def _details(self, ranks: Sequence[Rank]) -> Iterator[dict[str, Any]]:
        where = _among("m", ranks)
        about = {
            row[0]: row[1:]
            for row in self._ask(
                "SELECT m.machine, m.source, m.notes, f.json FROM machines m JOIN facts f USING (machine) "
                f"WHERE {where}"
            )
        }
        bars = self._bars(where)
        runs = self._runs(where)
        found = self._findings(where)
        for machine in (rank.machine for rank in ranks):
            source, notes, facts = about[machine]
            yield {
                "source": source,
                "notes": list(notes or ()),
                "host": [
                    [pfn_down(start), pfn_up(end), _RAM if kind == 1 else _OTHER]
                    for start, end, kind in sorted(json.loads(facts)["e820"])
                    if start < end
                ],
                "bars": bars[machine],
                "runs": runs[machine],
                "findings": found[machine],
            }

    def _bars(self, where: str) -> dict[str, list[list[Any]]]:
        """Return ``[bdf, index, start, size, outcome by kernel]`` for the BARs of each machine."""
        found: dict[str, dict[tuple[Any, ...], list[int | None]]] = defaultdict(dict)
        mappers = ", ".join(f"m.by_{mapper.value}" for mapper in Mapper)
        for machine, kernel, bdf, index, start, size, verdict, rule, *ways in self._ask(
            f"SELECT m.machine, m.kernel, m.bdf, m.bar_index, m.start, m.size, m.verdict, m.rule, {mappers} "
            f"FROM bars m WHERE {where} ORDER BY m.machine, m.start, m.size, m.bdf, m.bar_index"
        ):
            if kernel in self._kernels:
                empty: list[int | None] = [None] * len(self._kernels)
                own = found[machine].setdefault((bdf, index, start, size), empty)
                own[self._kernels[kernel]] = self._outcome(verdict, rule, ways)
        return defaultdict(
            list,
            {
                machine: [
                    [bdf, index, _number(start), _number(size), outcomes]
                    for (bdf, index, start, size), outcomes in rows.items()
                ]
                for machine, rows in found.items()
            },
        )

    def _outcome(self, verdict: str, rule: str, ways: Sequence[str]) -> int:
        """Return the place of an outcome ``[verdict, rule, the ways that do not map]``."""
        key = (verdict, rule, *ways)
        if key not in self._outcome_of:
            self._outcome_of[key] = len(self.outcomes)
            failing = [mapper.label for mapper, way in zip(Mapper, ways, strict=True) if way != _VERDICTS[0]]
            self.outcomes.append([verdict, rule, failing])
        return self._outcome_of[key]

    def _runs(self, where: str) -> dict[str, list[list[Any] | None]]:
        """Return each machine's maps by kernel: ``[what is past the end, pages of each run, kinds]``."""
        found: dict[str, list[list[Any] | None]] = defaultdict(lambda: [None] * len(self._kernels))
        for machine, kernel, beyond in self._ask(
            f"SELECT m.machine, m.kernel, m.beyond FROM predictions m WHERE {where}"
        ):
            if kernel in self._kernels:
                found[machine][self._kernels[kernel]] = [_KINDS[beyond], [], ""]
        for machine, kernel, pages, kind in self._ask(
            f"SELECT m.machine, m.kernel, m.pages, m.kind FROM maps m WHERE {where} "
            "ORDER BY m.machine, m.kernel, m.pfn"
        ):
            known = found[machine][self._kernels[kernel]] if kernel in self._kernels else None
            if known is None:
                continue
            digit = str(_KINDS[kind])
            if known[2].endswith(digit):
                known[1][-1] += pages
            else:
                known[1].append(pages)
                known[2] += digit
        return found

    def _findings(self, where: str) -> dict[str, list[list[Any]]]:
        """Return ``[code, kernels, count, some places, a message]`` for the findings of each machine."""
        found: dict[str, dict[int, list[Any]]] = defaultdict(dict)
        for machine, code, kernel, place, message in self._ask(
            f"SELECT m.machine, m.code, m.kernel, m.place, m.message FROM findings m WHERE {where} "
            "ORDER BY m.machine, m.code, m.kernel, m.first, m.place"
        ):
            number = self._codes[code]
            row = found[machine].setdefault(number, [number, 0, 0, [], message])
            row[1] |= self._mask(kernel)
            if place not in row[3]:
                row[2] += 1
                if len(row[3]) < _MOST_PLACES:
                    row[3].append(place)
        return defaultdict(
            list, {machine: [rows[code] for code in sorted(rows)] for machine, rows in found.items()}
        )


def _among(name: str, ranks: Sequence[Rank]) -> str:
    """Return the SQL that picks machines; keys are hexadecimal digits, so they need no quoting."""
    return f"{name}.machine IN ({', '.join(repr(rank.machine) for rank in ranks) or 'NULL'})"


def _number(value: int) -> int | str:
    """Return a number as JSON has it: as hexadecimal text where a JavaScript number cannot hold it."""
    return value if value < _EXACT else hex(value)
