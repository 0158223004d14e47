"""Rows: what one machine and one prediction add to the tables.  Columns become Arrow once a chunk."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from xenp2m.capture import Capture
from xenp2m.check.bars import Verdict
from xenp2m.check.findings import Finding, Severity
from xenp2m.entry import NO_MFN, Kind
from xenp2m.fleet.schema import STORED
from xenp2m.machine import Bar, Machine, machine_to_json
from xenp2m.mmu.mappers import Mapper
from xenp2m.prediction import Prediction
from xenp2m.runs import RunMap

_TOP = (1 << 64) - 1
_KINDS = pa.array([Kind(number).label for number in range(len(Kind))])


class Rows:
    """The rows of one chunk of work, by table."""

    def __init__(self) -> None:
        self._rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in STORED if name != "maps"}
        self._maps: list[tuple[str, str, RunMap]] = []

    def add(self, table: str, *values: Any) -> None:
        """Add one row, its values in the order of the table's columns."""
        self._rows[table].append(values)

    def machine(self, number: str, name: str, source: str, product: str | None, capture: Capture) -> None:
        """Add what is known of a machine before any kernel."""
        machine = capture.machine
        end = map_end(machine)
        ram = [entry for entry in machine.e820 if entry.is_ram]
        self.add(
            "machines",
            number,
            name,
            source,
            product,
            machine.kernel_release,
            machine.xen_version,
            machine.bits,
            machine.e820_source.value,
            len(machine.e820),
            min(end, _TOP),
            min(sum(entry.size for entry in ram), _TOP),
            min(max((entry.end for entry in ram), default=0), _TOP),
            len(machine.bars),
            sum(bar.end > end for bar in machine.bars),
            max((_last(bar) for bar in machine.bars), default=None),
            [str(note) for note in capture.notes],
        )
        self.add("facts", number, json.dumps(machine_to_json(machine), separators=(",", ":")))

    def prediction(self, number: str, prediction: Prediction, found: Iterable[Finding]) -> None:
        """Add what one kernel makes of a machine, and what was found under it."""
        guest, kernel, judged = prediction.guest, prediction.rules.name, prediction.bars
        counts, pages, log = guest.p2m.counts(), prediction.pages, guest.log
        severities = Counter(finding.severity for finding in found)
        worst = max((each.verdict for each in judged), key=lambda verdict: verdict.severity, default=None)
        self.add(
            "predictions",
            number,
            kernel,
            guest.stopped,
            guest.config.arch.name,
            guest.config.nr_pages,
            counts[Kind.RAM],
            counts[Kind.IDENTITY],
            counts[Kind.MISSING],
            counts[Kind.FOREIGN],
            guest.p2m.end_pfn,
            guest.p2m.beyond.label,
            pages["mid"],
            pages["leaf"],
            log.released,
            log.set_identity,
            max(guest.ballooned, 0),
            guest.warning_count,
            len(judged),
            sum(each.verdict is not Verdict.MAPS for each in judged),
            None if worst is None else worst.value,
            severities[Severity.ERROR],
            severities[Severity.WARNING],
            severities[Severity.INFO],
            [str(assumption) for assumption in prediction.assumptions],
        )
        self._maps.append((number, kernel, guest.p2m))
        end = map_end(prediction.machine)
        self._rows["bars"] += [
            (
                number,
                kernel,
                each.bar.bdf,
                each.bar.index,
                each.bar.start,
                _last(each.bar),
                each.bar.size,
                each.bar.is_64bit,
                each.bar.prefetchable,
                each.bar.end > end,
                each.verdict.value,
                *[each.mappers[mapper].value for mapper in Mapper],
                each.bad_frames,
                each.first_bad,
                each.rule,
                each.hazard,
            )
            for each in judged
        ]
        self.findings(number, found)

    def findings(self, number: str, found: Iterable[Finding]) -> None:
        """Add findings; those without a kernel hold under every one."""
        self._rows["findings"] += [
            (
                number,
                each.kernel or None,
                each.code,
                each.severity.value,
                each.title,
                each.where,
                None if each.start is None else min(each.start, _TOP),
                None if each.end is None else min(max(each.end - 1, each.start or 0), _TOP),
                each.message,
                each.remedy,
            )
            for each in found
        ]

    def tables(self) -> dict[str, pa.Table]:
        """Return the tables that have rows."""
        made = {name: _table(name, rows) for name, rows in self._rows.items() if rows}
        if self._maps:
            made["maps"] = _maps_table(self._maps)
        return made


def map_end(machine: Machine) -> int:
    """Return the first byte after a machine's map."""
    return max((entry.end for entry in machine.e820), default=0)


def _last(bar: Bar) -> int:
    return min(max(bar.end - 1, bar.start), _TOP)


def _table(name: str, rows: list[tuple[Any, ...]]) -> pa.Table:
    schema = STORED[name].arrow
    columns = [
        pa.array(values, field.type) for field, values in zip(schema, zip(*rows, strict=True), strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _maps_table(maps: list[tuple[str, str, RunMap]]) -> pa.Table:
    counts = np.array([len(each) for _, _, each in maps])
    owner = np.repeat(np.arange(len(maps), dtype=np.int32), counts)
    ends = [np.append(each.starts[1:], np.uint64(each.end_pfn)) for _, _, each in maps if len(each)]
    starts = np.concatenate([each.starts for _, _, each in maps])
    mfns = np.concatenate([each.mfns for _, _, each in maps])
    kinds = np.concatenate([each.kinds for _, _, each in maps])
    indices = pa.array(owner)
    columns = [
        pa.array([number for number, _, _ in maps]).take(indices),
        pa.array([kernel for _, kernel, _ in maps]).take(indices),
        pa.array(starts),
        pa.array(np.concatenate(ends) - starts if ends else starts),
        _KINDS.take(pa.array(kinds)),
        pa.array(mfns, mask=mfns == np.uint64(NO_MFN)),
    ]
    return pa.Table.from_arrays(columns, schema=STORED["maps"].arrow)
