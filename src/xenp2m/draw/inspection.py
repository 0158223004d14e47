"""An inspected dump on the terminal and as JSON: domains, maps, what cannot be told, what is mapped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from xenp2m.check.inspected import Address, Found, Look, name_of
from xenp2m.check.mapped import OLD_KERNEL, OldAnswer
from xenp2m.draw.console import say, supports_unicode
from xenp2m.draw.maps import Named, axis_of, by_kind, map_legend, map_lines
from xenp2m.draw.palette import BAD, DIM, GOOD, LOOKS
from xenp2m.draw.prediction import SHORT_NAMES
from xenp2m.draw.tables import FittedTable
from xenp2m.dump import Domain, Inspection, P2m, Target
from xenp2m.dump.mappings import Span
from xenp2m.dump.spaces import Part, Summary
from xenp2m.units import PAGE_SHIFT, format_frames

_MOST_ROWS = 40
_MOST_SPANS = 12
_TARGETS = {
    Target.OWN_RAM: "own RAM",
    Target.IDENTITY: "1:1 (I/O)",
    Target.FOREIGN: "foreign",
    Target.M2P: "M2P",
    Target.XEN: "Xen",
    Target.UNKNOWN: "not in the p2m",
}


def print_inspection(found: Inspection, looks: Sequence[Look], console: Console, *, walk: bool) -> None:
    """Print what a dump is and what each of the chosen domains has; ``walk`` goes through page tables."""
    unicode = supports_unicode(console)
    console.print(_headline(found))
    for note in found.notes:
        say(console, f"note: {note}", style=DIM)
    if found.domains:
        console.print()
        console.print(_domains(found))
    if maps := named_maps(look.domain for look in looks):
        console.print()
        for line in map_lines(maps, *axis_of(maps, console.width), unicode):
            console.print(line, no_wrap=True, overflow="crop")
        console.print(map_legend(maps, unicode), style=DIM)
    for look in looks:
        _print_domain(look, console, unicode, walk=walk)


def named_maps(domains: Iterable[Domain]) -> list[Named]:
    """Return the maps of the domains that have one, named as they are drawn."""
    return [
        Named(f"domain {name_of(domain)}", domain.p2m.map, domain.p2m.ambiguous)
        for domain in domains
        if domain.p2m is not None
    ]


def _headline(found: Inspection) -> Text:
    text = Text(found.name, style="bold")
    facts = [found.container]
    if found.m2p is not None:
        facts.append(f"M2P of {found.m2p.count:,} frames ({found.m2p.found_by})")
    text.append("  " + " · ".join(facts), style="not bold")
    return text


def _domains(found: Inspection) -> Table:
    table = FittedTable()
    for heading in ("domain", "width", "memory", "sure", "found by"):
        table.add_column(heading, overflow="fold")
    for domain in found.domains:
        table.add_row(
            name_of(domain),
            f"{domain.arch.bits}-bit",
            "" if domain.pages is None else format_frames(domain.pages),
            domain.confidence.value,
            Text(domain.found_by),
        )
    return table


def _print_domain(look: Look, console: Console, unicode: bool, *, walk: bool) -> None:
    domain = look.domain
    p2m = domain.p2m
    console.print()
    console.print(Text(f"domain {name_of(domain)}: {'no p2m' if p2m is None else p2m.source}", style="bold"))
    for note in (*domain.notes, *(() if p2m is None else p2m.notes)):
        say(console, f"  note: {note}", style=DIM)
    if p2m is None:
        return
    kinds = f"1:1 told from missing: {p2m.confidence.value}"
    say(console, f"  {kinds}" + "".join(f"\n    {text}" for text in p2m.evidence), style=DIM)
    counts = [
        f"{count:,} {LOOKS[kind].word} ({format_frames(count)})"
        for kind, count in p2m.map.counts().items()
        if count
    ]
    say(console, "  " + " · ".join(counts))
    for each in p2m.ambiguous[:_MOST_ROWS]:
        words = " or ".join(LOOKS[kind].word for kind in each.among)
        say(
            console,
            f"  cannot tell: frames [{each.start:#x}, {each.end:#x}) are {words}: {each.reason}",
            style=BAD,
        )
    if len(p2m.ambiguous) > _MOST_ROWS:
        say(console, f"  and {len(p2m.ambiguous) - _MOST_ROWS} more ranges that cannot be told", style=BAD)
    console.print(_runs(p2m))
    if walk:
        _print_summary(look, console, unicode)


def _runs(p2m: P2m) -> Table:
    table = FittedTable()
    table.add_column("address", justify="right")
    table.add_column("size", justify="right")
    table.add_column("kind")
    table.add_column("machine address", overflow="fold")
    joined = by_kind(p2m.map)
    for run, count in joined[:_MOST_ROWS]:
        machine = "" if run.mfn is None else f"{run.mfn << PAGE_SHIFT:#x}"
        if count > 1 and run.mfn is not None:
            machine += f" and on, {count} pieces"
        look = LOOKS[run.kind]
        table.add_row(
            f"{run.pfn << PAGE_SHIFT:#x}",
            format_frames(run.pages),
            Text(look.word, style=look.style),
            machine,
        )
    if len(joined) > _MOST_ROWS:
        table.add_row("", "", Text(f"{len(joined) - _MOST_ROWS} more (--json)", style=DIM), "")
    beyond = LOOKS[p2m.map.beyond]
    if not p2m.ambiguous or p2m.ambiguous[-1].end <= p2m.map.end_pfn:
        table.add_row(
            f"{p2m.map.end_pfn << PAGE_SHIFT:#x}",
            "",
            Text(beyond.word, style=beyond.style),
            "and all past it",
        )
    return table


def _print_summary(look: Look, console: Console, unicode: bool) -> None:
    summary = look.summary
    if summary is None:
        say(console, "  page tables: none in the dump", style=DIM)
        return
    say(console, f"  page tables: the kernel's and {len(look.spaces.users)} user address spaces map")
    for name, counts in (("kernel", summary.kernel), ("user", summary.user)):
        shown = [f"{pages:,} × {_TARGETS[target]}" for target, pages in counts.items()]
        say(console, f"    {name}: {', '.join(shown) or 'nothing'}")
    report = summary.report
    if report.absent or report.loops or report.truncated:
        cut = "; the walk was cut short" if report.truncated else ""
        say(
            console,
            f"    {report.absent} tables are not in the dump, {report.loops} entries lead back up{cut}",
            style=BAD,
        )
    devices = sorted(summary.spans, key=lambda pair: -pair[1].pages)
    if devices:
        old = [
            ()
            if look.old is None or span.target is Target.FOREIGN
            else look.old.answers(span.mfn, span.mfn + span.pages, user=part.start == 0)
            for part, span in devices[:_MOST_SPANS]
        ]
        say(console, f"  mapped and not RAM of the guest, the largest of {len(devices) + summary.left_out}:")
        console.print(_spans(devices[:_MOST_SPANS], old, unicode))
        _print_assumed(look, console)


def _print_assumed(look: Look, console: Console) -> None:
    if look.old is not None and look.old.assumed:
        say(console, f"  assumed for {OLD_KERNEL}: {look.old.assumed} (--machine tells it)", style=DIM)


def _spans(spans: Sequence[tuple[Part, Span]], old: Sequence[tuple[OldAnswer, ...]], unicode: bool) -> Table:
    table = FittedTable()
    table.add_column("virtual", no_wrap=True)
    table.add_column("machine", no_wrap=True)
    table.add_column("size", justify="right")
    table.add_column("flags")
    table.add_column("what")
    table.add_column(f"{OLD_KERNEL} would have made", overflow="fold")
    for (_, span), answers in zip(spans, old, strict=True):
        table.add_row(
            f"{span.va:#x}",
            f"{span.mfn << PAGE_SHIFT:#x}",
            format_frames(span.pages),
            f"{span.flags:#x}",
            _TARGETS[span.target],
            _old(answers, unicode),
        )
    return table


def _old(answers: Sequence[OldAnswer], unicode: bool) -> Text:
    good, bad = ("✓ ", "✗ ") if unicode else ("", "")
    text = Text()
    for answer in answers[:2]:
        if len(answers) > 1:
            text.append(f"{'' if not text else chr(10)}[{answer.start:#x}, {answer.end:#x}): ", style=DIM)
        by_text: dict[tuple[bool, str], list[str]] = {}
        for way in answer.ways:
            entry = "refused" if way.entry is None else f"{way.entry:#x}"
            by_text.setdefault((way.works, entry), []).append(SHORT_NAMES[way.mapper])
        for number, ((works, entry), names) in enumerate(by_text.items()):
            text.append("\n" if number else "")
            text.append(f"{good if works else bad}{', '.join(names)}: {entry}", style=GOOD if works else BAD)
    if len(answers) > 2:
        text.append(f"\n{len(answers) - 2} more pieces (--json)", style=DIM)
    return text


def print_found(look: Look, searches: Sequence[Found], console: Console) -> None:
    """Print who maps the frames that were looked for, and what the old kernel would have made of it."""
    unicode = supports_unicode(console)
    for each in searches:
        console.print()
        wanted = each.wanted
        console.print(
            Text(f"{wanted.name}: frames [{wanted.start:#x}, {wanted.end:#x})", style="bold"),
        )
        if not each.spans:
            say(console, "  no page table maps them", style=DIM)
            continue
        console.print(_spans(each.spans, each.old, unicode))
        for part in dict.fromkeys(part for part, _ in each.spans):
            say(console, f"  {part.label}", style=DIM)
        if each.left_out:
            say(console, f"  and {each.left_out} more spans", style=DIM)
    if any(each.spans for each in searches):
        _print_assumed(look, console)


def print_addresses(addresses: Sequence[Address], console: Console) -> None:
    """Print how virtual addresses translate, level by level."""
    for each in addresses:
        console.print()
        where = "" if each.part is None else f", {each.part.label}"
        console.print(Text(f"virtual address {each.va:#x}{where}", style="bold"))
        if each.translation is None:
            say(console, f"  {each.meaning}")
            continue
        for step in each.translation.steps:
            say(
                console, f"  level {step.level}: table {step.table:#x}, entry {step.index} is {step.entry:#x}"
            )
        if each.translation.address is None:
            say(console, f"  {each.meaning}", style=BAD)
        else:
            say(console, f"  machine address {each.translation.address:#x}; {each.meaning}")


def inspection_to_json(
    found: Inspection,
    looks: Sequence[Look],
    searches: Sequence[Found],
    addresses: Sequence[Address],
    *,
    walk: bool,
) -> dict[str, Any]:
    """Return the ``xenp2m.inspection/1`` object, with what was looked for."""
    value = found.to_json()
    by_domain = {id(look.domain): look for look in looks}
    value["domains"] = [
        {**each.to_json(), "mappings": _mappings(by_domain[id(each)].summary) if walk else None}
        for each in found.domains
        if id(each) in by_domain
    ]
    value["found"] = [_found(each) for each in searches]
    value["addresses"] = [_address(each) for each in addresses]
    return value


def _mappings(summary: Summary | None) -> dict[str, Any] | None:
    if summary is None:
        return None
    return {
        "kernel": {target.label: pages for target, pages in summary.kernel.items()},
        "user": {target.label: pages for target, pages in summary.user.items()},
        "spans": [_span(part, span) for part, span in summary.spans],
        "left_out": summary.left_out,
        "tables_absent": summary.report.absent,
        "loops": summary.report.loops,
        "truncated": summary.report.truncated,
    }


def _span(part: Part, span: Span) -> dict[str, Any]:
    return {
        "root": part.root,
        "user": part.start == 0,
        "va": span.va,
        "mfn": span.mfn,
        "pages": span.pages,
        "flags": span.flags,
        "target": span.target.label,
    }


def _found(each: Found) -> dict[str, Any]:
    return {
        "name": each.wanted.name,
        "start": each.wanted.start,
        "end": each.wanted.end,
        "mappings": [
            {**_span(part, span), OLD_KERNEL: [_answer(answer) for answer in answers]}
            for (part, span), answers in zip(each.spans, each.old, strict=True)
        ],
        "left_out": each.left_out,
    }


def _answer(answer: OldAnswer) -> dict[str, Any]:
    ways = {way.mapper.value: {"pte": way.entry, "works": way.works, "text": way.text} for way in answer.ways}
    return {"start": answer.start, "end": answer.end, "kind": answer.kind.label, "mappers": ways}


def _address(each: Address) -> dict[str, Any]:
    done = each.translation
    return {
        "va": each.va,
        "root": None if each.part is None else each.part.root,
        "steps": []
        if done is None
        else [[step.level, step.table, step.index, step.entry] for step in done.steps],
        "machine": None if done is None else done.address,
        "text": each.meaning,
    }
