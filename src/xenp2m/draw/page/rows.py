"""The tables of a page, as rows that its templates print: every text is plain, the templates escape it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import ndiff

from xenp2m.check.bars import BarVerdict, Verdict
from xenp2m.check.findings import Finding, Severity
from xenp2m.check.regions import regions
from xenp2m.draw.page.layers import Layer
from xenp2m.draw.palette import LOOKS, UNTOLD
from xenp2m.draw.prediction import SHORT_NAMES
from xenp2m.entry import Kind
from xenp2m.machine import Bar
from xenp2m.prediction import Prediction
from xenp2m.units import PAGE_SHIFT, format_frames, format_size, pfn_down, pfn_up

MOST_ROWS = 400
"""Rows that a table of a page has at most; what is left out is counted."""

_SEVERITY_WORDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}


@dataclass(frozen=True, slots=True)
class At:
    """The frames that a row is about, for going there."""

    pfn: int
    pages: int

    @classmethod
    def of_bytes(cls, start: int, end: int) -> At:
        """Return the frames that the bytes ``[start, end)`` touch."""
        return cls(pfn_down(start), max(pfn_up(end) - pfn_down(start), 1))


@dataclass(frozen=True, slots=True)
class Cell:
    """A verdict or a kind with its look: ``state`` is its class in the style sheet."""

    state: str
    text: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundAt:
    """One place of a finding."""

    where: str
    message: str
    at: At | None


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """What one rule found under one kernel with one remedy: all the places of it."""

    code: str
    title: str
    severity: str
    word: str
    kernel: str
    remedy: str
    source: str
    places: tuple[FoundAt, ...]


@dataclass(frozen=True, slots=True)
class BarRow:
    """One BAR and its verdict under each kernel."""

    label: str
    address: str
    size: str
    cells: tuple[Cell, ...]
    good: bool
    at: At


@dataclass(frozen=True, slots=True)
class RegionRow:
    """Frames that are alike in every layer."""

    address: str
    size: str
    cells: tuple[Cell, ...]
    what: str
    differs: bool
    at: At


@dataclass(frozen=True, slots=True)
class Log:
    """What a kernel will log; "+" is a line that the first kernel has not, "-" one that only it has."""

    name: str
    lines: tuple[tuple[str, str], ...]
    same: bool


def finding_groups(findings: Sequence[Finding]) -> list[FindingGroup]:
    """Return the findings by rule, kernel and remedy, the worst first."""
    groups: dict[tuple[Severity, str, str, str], list[Finding]] = {}
    for found in findings:
        groups.setdefault((found.severity, found.code, found.kernel, found.remedy), []).append(found)
    order = list(Severity)
    return [
        FindingGroup(
            code,
            group[0].title,
            severity.value,
            _SEVERITY_WORDS[severity],
            kernel,
            remedy,
            group[0].source,
            tuple(FoundAt(found.where, found.message, _place_of(found)) for found in group),
        )
        for (severity, code, kernel, remedy), group in sorted(
            groups.items(), key=lambda item: (order.index(item[0][0]), item[0][1])
        )
    ]


def _place_of(found: Finding) -> At | None:
    return None if found.start is None or found.end is None else At.of_bytes(found.start, found.end)


def bar_rows(predictions: Sequence[Prediction]) -> list[BarRow]:
    """Return the BARs of one machine, those that do not map everywhere first."""
    rows = []
    for verdicts in zip(*(prediction.bars for prediction in predictions), strict=True):
        bar = verdicts[0].bar
        good = all(verdict.verdict is Verdict.MAPS for verdict in verdicts)
        rows.append(
            BarRow(
                bar.label,
                f"{bar.start:#x}",
                format_size(bar.size),
                tuple(map(_verdict, verdicts)),
                good,
                At.of_bytes(bar.start, bar.end),
            )
        )
    return sorted(rows, key=lambda row: row.good)


def _verdict(verdict: BarVerdict) -> Cell:
    if verdict.verdict is Verdict.MAPS:
        return Cell("good", "maps", tuple(filter(None, [verdict.hazard])))
    by_outcome: dict[Verdict, list[str]] = {}
    for mapper, outcome in verdict.mappers.items():
        by_outcome.setdefault(outcome, []).append(SHORT_NAMES[mapper])
    ways = [
        f"{outcome.label}: {', '.join(by_outcome[outcome])}"
        for outcome in sorted(by_outcome, key=lambda found: -found.severity)
    ]
    partly = f"from frame {verdict.first_bad:#x} on, {verdict.bad_frames:,} frames" if verdict.partly else ""
    notes = (*ways, partly, verdict.rule, verdict.hazard or "")
    return Cell("bad", verdict.verdict.label, tuple(filter(None, notes)))


def kind_cell(kind: Kind | None) -> Cell:
    """Return a kind with its look; None is "cannot tell"."""
    if kind is None:
        return Cell("untold", UNTOLD.word)
    return Cell(kind.label, LOOKS[kind].word)


def region_rows(predictions: Sequence[Prediction]) -> tuple[list[RegionRow], int]:
    """Return what one machine has where under each kernel, and how many rows were left out."""
    guests = [prediction.guest for prediction in predictions]
    found = regions(guests, [verdict.bar for verdict in predictions[0].bars])
    rows = []
    for region in found[:MOST_ROWS]:
        pages = 0 if region.end is None else region.end - region.start
        count = len(region.bars)
        bars = f" · {count} BAR{'s' * (count > 1)}" if count else ""
        rows.append(
            RegionRow(
                f"{region.start << PAGE_SHIFT:#x}",
                format_frames(pages) if pages else "and all past it",
                tuple(map(kind_cell, region.kinds)),
                region.what + bars,
                len(set(region.kinds)) > 1,
                At(region.start, pages or 1),
            )
        )
    return rows, len(found) - len(rows)


def layer_rows(layers: Sequence[Layer]) -> tuple[list[RegionRow], int]:
    """Return the frames of any maps by kind, cut where one of them changes, and how many were left out."""
    edges: set[int] = {0}
    for layer in layers:
        edges.add(layer.map.end_pfn)
        edges.update(run.pfn for run in layer.map)
        edges.update(edge for each in layer.ambiguous for edge in each[:2])
    ordered = sorted(edges)
    found: list[tuple[int, int | None, tuple[Kind | None, ...]]] = []
    for start, end in zip(ordered, [*ordered[1:], None], strict=True):
        kinds = tuple(_kind_at(layer, start) for layer in layers)
        same = bool(found) and found[-1][2] == kinds
        found.append((found.pop()[0] if same else start, end, kinds))
    rows = [
        RegionRow(
            f"{start << PAGE_SHIFT:#x}",
            "and all past it" if end is None else format_frames(end - start),
            tuple(map(kind_cell, kinds)),
            "",
            len(set(kinds)) > 1,
            At(start, 1 if end is None else end - start),
        )
        for start, end, kinds in found[:MOST_ROWS]
    ]
    return rows, len(found) - len(rows)


def _kind_at(layer: Layer, pfn: int) -> Kind | None:
    if any(each.start <= pfn < each.end for each in layer.ambiguous):
        return None
    return layer.map.run_at(pfn).kind


def logs(predictions: Sequence[Prediction]) -> list[Log]:
    """Return what each kernel will log, compared with the first one."""
    first = predictions[0].guest.log.lines
    found = [Log(predictions[0].rules.name, tuple(("", line) for line in first), same=False)]
    for prediction in predictions[1:]:
        lines = tuple(
            (row[0].strip(), row[2:]) for row in ndiff(first, prediction.guest.log.lines) if row[0] != "?"
        )
        found.append(Log(prediction.rules.name, lines, all(not sign for sign, _ in lines)))
    return found


def bars_to_json(
    predictions: Sequence[Prediction], names: Sequence[str], layers: Sequence[str]
) -> list[list[object]]:
    """Return BARs for the map: label, function, first frame, pages, text, and a verdict a layer (or null)."""
    found: dict[Bar, dict[str, str]] = {}
    for prediction, name in zip(predictions, names, strict=True):
        for verdict in prediction.bars:
            found.setdefault(verdict.bar, {})[name] = verdict.verdict.value
    rows: list[list[object]] = []
    for bar, verdicts in found.items():
        at = At.of_bytes(bar.start, bar.end)
        text = f"{format_size(bar.size)} at {bar.start:#x}"
        rows.append([bar.label, bar.bdf, at.pfn, at.pages, text, [verdicts.get(name) for name in layers]])
    return rows
