"""What a fleet answers, on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from xenp2m.check.bars import Verdict
from xenp2m.draw.console import say, supports_unicode
from xenp2m.draw.overview import legend, overview
from xenp2m.draw.palette import BAD, DIM, GOOD
from xenp2m.draw.tables import FittedTable
from xenp2m.fleet.compare import Change, Diff
from xenp2m.fleet.query import Answer
from xenp2m.fleet.schema import TABLES
from xenp2m.fleet.shown import Shown
from xenp2m.fleet.summary import BEFORE_PATCH_5, WITH_PATCH_5, Summary
from xenp2m.units import format_size

_MOST_CHANGES = 40

_SEVERITIES = {"error": BAD, "warning": "yellow", "info": "cyan"}
_CHANGES = {"breaks": BAD, "worse": BAD, "fixed": GOOD, "better": GOOD}


def print_summary(summary: Summary, console: Console, place: str) -> None:
    """Print a fleet in numbers."""
    say(
        console,
        f"{summary.machines:,} machines of {summary.inputs:,} inputs, "
        f"{len(summary.kernels)} kernels{'' if summary.finished else ' (the run is not finished)'}",
        style="bold",
    )
    say(console, f"{summary.with_bars:,} machines have BARs, {summary.bars:,} in all")
    say(
        console,
        f"{_machines(summary.past_map)} with {summary.past_map_bars:,} BARs past the end of the memory map",
    )
    for reach in summary.reaches:
        broken = ", ".join(f"{count} under {kernel}" for kernel, count in reach.bad.items() if count)
        text = f"{_machines(reach.machines)} with a BAR at or past {format_size(reach.address)}"
        say(console, f"{text}; it does not map on {broken}" if broken else text)
    console.print()
    console.print(_kernels(summary))
    console.print()
    for each in summary.patch5:
        which = "patch 5 after patches 1 to 4" if each.before == BEFORE_PATCH_5 else "patch 5 without others"
        text = f"{which}: of {_machines(each.broken)} with a BAR past the map that does not map under "
        say(console, f"{text}{each.before}, {each.fixed:,} are whole under {each.after}")
    if not any(each.before == BEFORE_PATCH_5 for each in summary.patch5):
        wanted = f"--kernel {BEFORE_PATCH_5} --kernel {WITH_PATCH_5}"
        text = "what patch 5 alone fixes is not in this fleet: run it again with"
        say(console, f"{text} {wanted} -o {place}", style=DIM)
    if summary.findings:
        console.print()
        console.print(_findings(summary))
    if summary.failures:
        console.print()
        console.print(_failures(summary))


def _kernels(summary: Summary) -> FittedTable:
    table = FittedTable()
    table.add_column("kernel", no_wrap=True)
    for heading in ("results", "do not boot", "with bad BARs", "bad BARs", "past the map"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("of these, machines (BARs) by way of mapping", overflow="fold")
    for each in summary.kernels:
        ways = [f"{way} {found[0]:,} ({found[1]:,})" for way, found in each.mappers.items() if found[0]]
        table.add_row(
            each.kernel,
            f"{each.predicted:,}",
            f"{each.stopped:,}",
            Text(f"{each.bad:,}", style=BAD if each.bad else GOOD),
            f"{each.bad_bars:,}",
            f"{each.past_map_bad:,} ({each.past_map_bad_bars:,})",
            ", ".join(ways) or "-",
        )
    return table


def _findings(summary: Summary) -> FittedTable:
    table = FittedTable()
    table.add_column("finding", no_wrap=True)
    kernels = [each.kernel for each in summary.kernels]
    for kernel in kernels:
        table.add_column(kernel, justify="right", no_wrap=True)
    table.add_column("machines with it", overflow="fold")
    for each in summary.findings:
        general = each.machines.get("")
        cells = [_share(each.machines.get(kernel, general or 0), summary.machines) for kernel in kernels]
        table.add_row(Text(each.code, style=_SEVERITIES[each.severity]), *cells, each.title)
    return table


def _share(count: int, total: int) -> str:
    return f"{count:,} {100 * count / total:.0f}%" if count and total else "-"


def _failures(summary: Summary) -> FittedTable:
    table = FittedTable()
    table.add_column("no prediction", no_wrap=True)
    table.add_column("inputs", justify="right", no_wrap=True)
    table.add_column("why, most frequent first", overflow="fold")
    for each in summary.failures:
        reasons = "; ".join(f"{reason} ({count:,})" for reason, count in each.reasons)
        table.add_row(each.kind, f"{each.inputs:,}", Text(reasons))
    return table


def _machines(count: int) -> str:
    return f"{count:,} machine" if count == 1 else f"{count:,} machines"


def print_answer(answer: Answer, more: bool, *, console: Console) -> None:
    """Print the rows of an answer; ``more`` says that there are others."""
    table = FittedTable()
    for number, name in enumerate(answer.columns):
        numeric = any(isinstance(row[number], (int, float)) for row in answer.rows)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in answer.rows:
        table.add_row(*(_cell(value) for value in row))
    console.print(table)
    if more:
        say(console, f"the first {len(answer.rows)} rows; --format csv has all", style=DIM)


def _cell(value: Any) -> Text:
    if value is None:
        return Text("-", style=DIM)
    return Text(" | ".join(map(str, value)) if isinstance(value, list) else str(value))


def print_diff(diff: Diff, console: Console, *, everything: bool) -> None:
    """Print what is different on the second side, what breaks first."""
    one, two = diff.sides
    say(console, f"{one} → {two}: {_machines(diff.machines)} compared", style="bold")
    for count, side in zip(diff.only, diff.sides, strict=True):
        if count:
            say(console, f"{_machines(count)} only in {side}", style=DIM)
    if not diff.changes:
        say(console, "no difference", style=GOOD)
        return
    for what, style in _CHANGES.items():
        of_kind = [change for change in diff.changes if change.what == what]
        if not of_kind:
            continue
        machines = len({change.machine for change in of_kind})
        console.print()
        say(console, f"{what}: {_count(of_kind)} on {_machines(machines)}", style=style)
        console.print(_changes(of_kind if everything else of_kind[:_MOST_CHANGES]))
        if len(of_kind) > _MOST_CHANGES and not everything:
            say(console, f"and {len(of_kind) - _MOST_CHANGES:,} more (--all, --json)", style=DIM)


def _count(changes: Sequence[Change]) -> str:
    bars = sum(bool(change.bdf) for change in changes)
    boots = len(changes) - bars
    parts = [f"{bars:,} BARs"] if bars else []
    return " and ".join([*parts, f"{boots:,} boots"] if boots else parts)


def _changes(changes: Sequence[Change]) -> FittedTable:
    table = FittedTable(show_header=False)
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for each in changes:
        index = "?" if each.bar_index is None else each.bar_index
        place = f"{each.bdf}/{index}" if each.bdf else "boot"
        verdicts = f"{each.before} → {each.after}"
        kernels = "" if each.kernels[0] != each.kernels[1] else f"{each.kernels[0]}: "
        at = "" if each.start is None else f"at {each.start:#x}: "
        table.add_row(Text(each.name), place, f"{kernels}{verdicts}", at + ", ".join(each.mappers))
    return table


def print_machine(shown: Shown, console: Console) -> None:
    """Print one machine: its facts, its maps, the verdicts on its BARs, what was found."""
    about = shown.about
    say(console, about.get("product") or shown.entry["name"], style="bold")
    say(console, f"{shown.entry['machine']}  {shown.entry['source']}", style=DIM)
    for failure in shown.failures:
        under = f" under {failure['kernel']}" if failure["kernel"] else ""
        say(console, f"no prediction{under} ({failure['kind']}): {failure['reason']}", style=BAD)
    if shown.machine is None:
        return
    facts = [
        f"{format_size(about['ram_bytes'])} of RAM",
        f"{about['map_entries']} entries of the {about['map_source']} map, up to {about['map_end']:#x}",
        f"{about['bars']} BARs, {about['bars_past_map']} past the map",
    ]
    say(console, ", ".join(facts))
    for note in about["notes"]:
        say(console, note, style=DIM)
    unicode = supports_unicode(console)
    if shown.maps:
        console.print()
        placed = {
            kernel: [
                (row["start"], row["verdict"] == "maps") for row in shown.bars if row["kernel"] == kernel
            ]
            for kernel in shown.maps
        }
        host = shown.machine.e820
        for line in overview(shown.maps, host, placed, width=console.width, unicode=unicode):
            console.print(line, no_wrap=True, overflow="crop")
        console.print(legend(unicode), style=DIM)
    console.print()
    console.print(_predictions(shown))
    bad = [row for row in shown.bars if row["verdict"] != "maps"]
    for (kernel, verdict, rule), count in Counter(
        (row["kernel"], row["verdict"], row["rule"]) for row in bad
    ).items():
        say(console, f"{kernel}: {count} × {Verdict(verdict).label}: {rule}")
    if shown.findings:
        console.print()
        console.print(_machine_findings(shown))


def _predictions(shown: Shown) -> FittedTable:
    table = FittedTable()
    table.add_column("kernel", no_wrap=True)
    for heading in ("bad BARs", "errors", "warnings", "p2m pages"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("boots", overflow="fold")
    for row in shown.predictions:
        table.add_row(
            row["kernel"],
            Text(f"{row['bars_bad']} of {row['bars']}", style=BAD if row["bars_bad"] else GOOD),
            str(row["errors"]),
            str(row["warnings"]),
            f"{row['mid_pages'] + row['leaf_pages']:,}",
            Text(row["stopped"], style=BAD) if row["stopped"] else "yes",
        )
    return table


def _machine_findings(shown: Shown) -> FittedTable:
    table = FittedTable()
    table.add_column("finding", no_wrap=True)
    table.add_column("places", justify="right", no_wrap=True)
    table.add_column("kernels", overflow="fold")
    table.add_column("title", overflow="fold")
    groups: dict[tuple[str, str, str], dict[str, None]] = {}
    places: Counter[tuple[str, str, str]] = Counter()
    for row in shown.findings:
        key = row["code"], row["severity"], row["title"]
        groups.setdefault(key, {})[row["kernel"] or "every kernel"] = None
        places[key] += 1
    order = list(_SEVERITIES)
    for key in sorted(groups, key=lambda key: (order.index(key[1]), key[0])):
        code, severity, title = key
        kernels = ", ".join(groups[key])
        table.add_row(Text(code, style=_SEVERITIES[severity]), str(places[key]), kernels, title)
    return table


def print_schema(console: Console) -> None:
    """Print the tables of a fleet."""
    for table in TABLES.values():
        say(console, f"{table.name}: a row is {table.row}", style="bold")
        listed = FittedTable(show_header=False)
        listed.add_column(no_wrap=True)
        listed.add_column(no_wrap=True)
        listed.add_column(overflow="fold")
        for each in table.columns:
            null = f"; null: {each.null}" if each.null else ""
            listed.add_row(f"  {each.name}", each.sql, Text(f"{each.meaning}{null}"))
        console.print(listed)
