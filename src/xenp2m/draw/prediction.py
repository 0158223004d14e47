"""A prediction on the terminal: the map, where BARs lie on it, the verdicts with their rules, the log."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import ndiff
from pathlib import PurePath

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from xenp2m.capture import Severity
from xenp2m.check.bars import BarVerdict, Verdict
from xenp2m.check.regions import Region, regions
from xenp2m.draw.console import supports_unicode
from xenp2m.draw.overview import legend, overview
from xenp2m.draw.palette import BAD, DIM, GOOD, LOOKS
from xenp2m.draw.tables import FittedTable
from xenp2m.machine import Bar
from xenp2m.mmu.mappers import Mapper
from xenp2m.prediction import Prediction
from xenp2m.units import PAGE_SHIFT, format_frames, format_size

_MOST_BARS = 12

SHORT_NAMES = {
    Mapper.IOREMAP: "ioremap",
    Mapper.SYSFS: "sysfs mmap",
    Mapper.IO_REMAP: "io_remap_pfn_range",
    Mapper.DEV_MEM: "/dev/mem",
    Mapper.FOREIGN: "foreign mapping",
}


def print_predictions(
    predictions: Sequence[Prediction], console: Console, *, all_bars: bool, log: bool
) -> None:
    """Print what one machine is under one or more kernels, side by side."""
    unicode = supports_unicode(console)
    first = predictions[0]
    console.print(_headline(first))
    for remark in remarks(predictions):
        console.print(remark, style=DIM)
    console.print()
    for prediction in predictions:
        for line in _answer(prediction, unicode):
            console.print(line)
    console.print()
    lines = overview(
        {prediction.rules.name: prediction.guest.p2m for prediction in predictions},
        first.guest.config.e820 or (),
        {
            prediction.rules.name: [(v.bar.start, v.verdict is Verdict.MAPS) for v in prediction.bars]
            for prediction in predictions
        },
        width=console.width,
        unicode=unicode,
    )
    for line in lines:
        console.print(line, no_wrap=True, overflow="crop")
    console.print(legend(unicode), style=DIM)
    for part in (
        _verdicts(predictions, all_bars=all_bars, unicode=unicode),
        _regions(predictions),
    ):
        console.print()
        console.print(part)
    if log:
        console.print()
        console.print(_logs(predictions))


def _answer(prediction: Prediction, unicode: bool) -> list[Text]:
    """Return the answer in a line, and below it each rule that decided against a BAR."""
    guest, bars = prediction.guest, prediction.bars
    good, bad = ("✓ ", "✗ ") if unicode else ("", "")
    name = f"{prediction.rules.name}: "
    lines = []
    if guest.stopped:
        lines.append(Text(f"{bad}{name}does not boot: {guest.stopped}", style=BAD))
    by_rule: dict[tuple[str, str], int] = {}
    for verdict in bars:
        if verdict.verdict is not Verdict.MAPS:
            key = (verdict.verdict.label, verdict.rule)
            by_rule[key] = by_rule.get(key, 0) + 1
    if by_rule:
        lines.append(
            Text(
                f"{bad}{name}{sum(by_rule.values())} of {len(bars)} BARs do not map with every driver",
                style=BAD,
            )
        )
    elif bars:
        lines.append(
            Text(f"{good}{name}all {len(bars)} BARs map, whichever way a driver maps them", style=GOOD)
        )
    lines += [Text(f"    {count} × {label}: {rule}") for (label, rule), count in by_rule.items()]
    lines += [Text(f"    {bad}{conflict.text}", style=BAD) for conflict in prediction.passthrough]
    hazards = dict.fromkeys(verdict.hazard for verdict in bars if verdict.hazard)
    lines += [Text(f"    {hazard}", style=BAD) for hazard in hazards]
    lines += [Text(f"    warns: {warning}", style=DIM) for warning in guest.warnings]
    return lines


def _headline(prediction: Prediction) -> Text:
    text = Text(PurePath(prediction.machine.name).name or "machine", style="bold")
    text.append("  " + " · ".join(machine_facts(prediction)), style="not bold")
    return text


def machine_facts(prediction: Prediction) -> list[str]:
    """Return what one should know of machine and guest, a phrase each."""
    machine, guest = prediction.machine, prediction.guest
    host = guest.config.e820 or ()
    ram = sum(entry.size for entry in machine.e820 if entry.is_ram)
    end = max((entry.end for entry in host), default=0)
    role = "dom0" if guest.config.is_dom0 else "domU"
    facts = [
        f"{format_size(ram)} RAM" if ram else "",
        f"E820 ends at {format_size(end)}" if end else "",
        f"{role} starts with {format_frames(guest.config.nr_pages)}",
        f"{len(prediction.bars)} BARs",
        "32-bit" if guest.config.arch.bits == 32 else "",
    ]
    return list(filter(None, facts))


def remarks(predictions: Sequence[Prediction]) -> list[str]:
    """Return what was assumed and what the readers warn of, each once."""
    assumed: dict[str, dict[str, None]] = {}
    for prediction in predictions:
        for assumption in prediction.assumptions:
            assumed.setdefault(assumption.what, {})[assumption.reason] = None
    return [f"assumed: {what}: {'; '.join(reasons)}" for what, reasons in assumed.items()] + [
        f"{note.severity.value}: {note}"
        for note in predictions[0].notes
        if note.severity is not Severity.INFO
    ]


def _regions(predictions: Sequence[Prediction]) -> Table:
    table = FittedTable()
    table.add_column("address", justify="right")
    table.add_column("size", justify="right")
    for prediction in predictions:
        table.add_column(prediction.rules.name)
    table.add_column("what is there", overflow="fold")
    guests = [prediction.guest for prediction in predictions]
    bars = [verdict.bar for verdict in predictions[0].bars]
    for region in regions(guests, bars):
        size = "" if region.end is None else format_frames(region.end - region.start)
        kinds = [Text(LOOKS[kind].word, style=LOOKS[kind].style) for kind in region.kinds]
        table.add_row(f"{region.start << PAGE_SHIFT:#x}", size, *kinds, _what(region))
    return table


def _what(region: Region) -> str:
    if not region.bars:
        return region.what
    count = "1 BAR" if len(region.bars) == 1 else f"{len(region.bars)} BARs"
    return f"{region.what}  ← {count}"


def _verdicts(predictions: Sequence[Prediction], *, all_bars: bool, unicode: bool) -> RenderableType:
    rows = list(zip(*(prediction.bars for prediction in predictions), strict=True))
    if not rows:
        return Text("no memory BARs in the input: add lspci -v or the whole boot log", style=DIM)
    bad = [row for row in rows if any(verdict.verdict is not Verdict.MAPS for verdict in row)]
    shown = rows if all_bars else bad[:_MOST_BARS]
    cells = [(row[0].bar, [_verdict_cell(verdict, unicode) for verdict in row]) for row in shown]
    names = [prediction.rules.name for prediction in predictions]
    parts: list[RenderableType] = [_table(cells, names)] if shown else []
    left_out = [
        f"{len(bad) - len(shown)} more that do not map everywhere" if len(bad) > len(shown) else "",
        f"{len(rows) - len(bad)} that map with every driver" if len(rows) > len(bad) and not all_bars else "",
    ]
    if any(left_out):
        parts.append(Text(f"not listed: {', '.join(filter(None, left_out))} (--all-bars)", style=DIM))
    return Group(*parts)


def _table(cells: Sequence[tuple[Bar, list[Text]]], names: Sequence[str]) -> Table:
    table = FittedTable()
    table.add_column("BAR", no_wrap=True)
    table.add_column("at", justify="right")
    table.add_column("size", justify="right")
    for name in names:
        table.add_column(name, overflow="fold")
    for bar, verdicts in cells:
        table.add_row(bar.label, f"{bar.start:#x}", format_size(bar.size), *verdicts)
    return table


def _verdict_cell(verdict: BarVerdict, unicode: bool) -> Text:
    if verdict.verdict is Verdict.MAPS:
        return Text("✓ maps" if unicode else "maps", style=GOOD)
    by_verdict: dict[Verdict, list[str]] = {}
    for mapper, outcome in verdict.mappers.items():
        by_verdict.setdefault(outcome, []).append(SHORT_NAMES[mapper])
    text = Text()
    for outcome in sorted(by_verdict, key=lambda found: -found.severity):
        if text:
            text.append("\n")
        good = outcome is Verdict.MAPS
        mark = ("✓ " if good else "✗ ") if unicode else ""
        text.append(f"{mark}{outcome.label}: ", style=GOOD if good else BAD)
        text.append(", ".join(by_verdict[outcome]))
    if verdict.partly:
        text.append(f"\nfrom frame {verdict.first_bad:#x} on ({verdict.bad_frames} frames)")
    return text


def _logs(predictions: Sequence[Prediction]) -> Group:
    """Return the log of the first kernel in full, and of the others what differs from it."""
    first = predictions[0]
    parts: list[RenderableType] = [Text(f"{first.rules.name} will log", style="bold")]
    parts += [Text(f"  {line}") for line in first.guest.log.lines]
    for prediction in predictions[1:]:
        changes = [
            Text(f"  {line}", style=GOOD if line.startswith("+") else BAD)
            for line in ndiff(first.guest.log.lines, prediction.guest.log.lines)
            if line.startswith(("+ ", "- "))
        ]
        same = f"{prediction.rules.name} will log the same"
        parts.append(Text(f"{same} but for" if changes else same, style="bold"))
        parts += changes
    return Group(*parts)
