"""Values as a notebook shows them: pictures that take the notebook's colours, and tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import singledispatch
from html import escape
from pathlib import PurePath
from typing import Any
from zlib import crc32

from xenp2m.boot import Guest
from xenp2m.check.bars import Verdict
from xenp2m.check.findings import Finding, Findings, Severity
from xenp2m.draw.palette import LOOKS
from xenp2m.draw.prediction import remarks
from xenp2m.draw.svg import (
    BarMark,
    MapRow,
    Scheme,
    inline_rules,
    map_svg,
    predictions_svg,
    tree_svg,
    variables,
)
from xenp2m.machine import Machine, type_name
from xenp2m.p2m.list import LinearList
from xenp2m.p2m.tree import Tree
from xenp2m.prediction import Prediction, Predictions
from xenp2m.runs import RunMap
from xenp2m.units import format_frames, format_size

_MOST_ROWS = 20
_ID = "xp-placeholder-of-id"
_DARK = ('[data-jp-theme-light="false"]', "body.vscode-dark", 'html[theme="dark"]')
_SEVERITY_ROLES = {Severity.ERROR: "missing", Severity.WARNING: "untold", Severity.INFO: "dim"}
_STYLE = (
    f".xp-value{{{variables(Scheme.LIGHT)}}}"
    + ",".join(f"{notebook} .xp-value" for notebook in _DARK)
    + f"{{{variables(Scheme.DARK)}}}"
    + inline_rules()
    + ".xp-value table{margin:.5em 0}.xp-value :is(th,td){text-align:left!important;vertical-align:top}"
)


@singledispatch
def svg_of(value: object, **options: Any) -> str:
    """Return a value as an SVG; without ``options``, a light one that can be a file."""
    raise TypeError(f"no picture of a {type(value).__name__}")


@singledispatch
def html_of(value: object) -> str:
    """Return a value as a piece of HTML; every string in it is escaped."""
    raise TypeError(f"no HTML of a {type(value).__name__}")


@svg_of.register
def _map_svg(value: RunMap, **options: Any) -> str:
    counts = " · ".join(
        f"{format_frames(count)} {LOOKS[kind].word}" for kind, count in value.counts().items() if count
    )
    return map_svg([MapRow(value.arch.name, value)], title="Frame map", subtitle=counts, **_light(options))


@svg_of.register
def _machine_svg(value: Machine, **options: Any) -> str:
    ram = sum(entry.size for entry in value.e820 if entry.is_ram)
    bars = [BarMark(bar.start, bar.label, None) for bar in value.bars]
    return map_svg(
        (),
        title=PurePath(value.name).name or "Machine",
        subtitle=f"{format_size(ram)} RAM · {len(value.bars)} BARs",
        host=value.e820,
        bars=bars,
        **_light(options),
    )


@svg_of.register
def _guest_svg(value: Guest, **options: Any) -> str:
    config = value.config
    name = "dom0" if config.is_dom0 else "domU"
    remark, good = (f"does not boot: {value.stopped}", False) if value.stopped else ("", None)
    row = MapRow(value.rules.name, value.p2m, remark=remark, good=good)
    starts = f"starts with {format_frames(config.nr_pages)}"
    return map_svg([row], title=name, subtitle=starts, host=config.e820 or (), **_light(options))


@svg_of.register
def _prediction_svg(value: Prediction, **options: Any) -> str:
    return predictions_svg([value], **_light(options))


@svg_of.register
def _predictions_svg(value: Predictions, **options: Any) -> str:
    return predictions_svg(value, **_light(options))


@svg_of.register(Tree)
@svg_of.register(LinearList)
def _tree_svg(value: Tree | LinearList, **options: Any) -> str:
    return tree_svg(value, value.rules.name, value.to_runs().beyond, **_light(options))


@html_of.register(Tree)
@html_of.register(LinearList)
def _tree_html(value: Tree | LinearList) -> str:
    return _page(_picture(value))


@html_of.register
def _map_html(value: RunMap) -> str:
    rows = [
        (
            f"{run.pfn:#x}",
            f"{run.pages:,}",
            format_frames(run.pages),
            LOOKS[run.kind].word,
            "" if run.mfn is None else f"{run.mfn:#x}",
        )
        for _, run in zip(range(_MOST_ROWS), value, strict=False)
    ]
    heads = ("pfn", "frames", "memory", "kind", "mfn")
    return _page(_picture(value), _folded(f"{len(value)} runs", _table(heads, rows, len(value))))


@html_of.register
def _machine_html(value: Machine) -> str:
    entries = [
        (f"{entry.start:#x}", f"{entry.end:#x}", format_size(entry.size), type_name(entry.type))
        for entry in value.e820[:_MOST_ROWS]
    ]
    bars = [(bar.label, f"{bar.start:#x}", format_size(bar.size)) for bar in value.bars[:_MOST_ROWS]]
    return _page(
        _picture(value),
        _folded("E820", _table(("start", "end", "size", "type"), entries, len(value.e820))),
        _folded("BARs", _table(("BAR", "at", "size"), bars, len(value.bars))) if bars else "",
    )


@html_of.register
def _guest_html(value: Guest) -> str:
    lines = "".join(f"{escape(line)}\n" for line in value.log.lines)
    return _page(_picture(value), _folded("what it logs", f"<pre>{lines}</pre>"))


@html_of.register
def _prediction_html(value: Prediction) -> str:
    return _page(_picture(value), *_verdicts([value]))


@html_of.register
def _predictions_html(value: Predictions) -> str:
    return _page(_picture(value), *_verdicts(value)) if value else _page("<p>no kernel</p>")


def _verdicts(predictions: Sequence[Prediction]) -> Iterator[str]:
    """Yield the BARs that do not map with every driver, and what was assumed."""
    rows = [
        (
            prediction.rules.name,
            each.bar.label,
            f"{each.bar.start:#x}",
            format_size(each.bar.size),
            each.verdict.label,
            each.rule,
        )
        for prediction in predictions
        for each in prediction.bars
        if each.verdict is not Verdict.MAPS
    ]
    if rows:
        yield _table(("kernel", "BAR", "at", "size", "verdict", "rule"), rows[:_MOST_ROWS], len(rows))
    if assumed := "".join(f"<li>{escape(text)}</li>" for text in remarks(predictions)):
        yield _folded("assumed", f"<ul>{assumed}</ul>")


@html_of.register
def _findings_html(value: Findings) -> str:
    if not value:
        return _page("<p>nothing found</p>")
    groups: dict[tuple[Severity, str, str], list[Finding]] = {}
    for finding in value:
        groups.setdefault((finding.severity, finding.code, finding.kernel), []).append(finding)
    order = sorted(groups, key=lambda key: list(Severity).index(key[0]))
    rows = "".join(_group(groups[key]) for key in order)
    heads = ("severity", "code", "kernel", "what", "where", "remedy")
    return _page(f"<table>{_heads(heads)}<tbody>{rows}</tbody></table>")


def _group(findings: Sequence[Finding]) -> str:
    """Return what one rule found under one kernel as a row, the places folded where they are many."""
    first = findings[0]
    places = [f"{escape(each.where)}: {escape(each.message)}" for each in findings]
    where = places[0]
    if len(places) > 1:
        items = "".join(f"<li>{place}</li>" for place in places)
        where = _folded(f"{len(places)} places", f"<ul>{items}</ul>")
    remedies = "<br>".join(dict.fromkeys(escape(each.remedy) for each in findings))
    cells = "".join(
        f"<td>{cell}</td>"
        for cell in (
            escape(first.code),
            escape(first.kernel or "every kernel"),
            escape(first.title),
            where,
            remedies,
        )
    )
    colour = _SEVERITY_ROLES[first.severity]
    return f'<tr><td style="color:var(--xp-{colour})">{first.severity.value}</td>{cells}</tr>'


def _light(options: dict[str, Any]) -> dict[str, Any]:
    return options or {"scheme": Scheme.LIGHT}


def _picture(value: object) -> str:
    """Draw a value for the inside of a page; its ids follow from what is drawn."""
    svg = svg_of(value, standalone=False, prefix=_ID)
    return svg.replace(_ID, f"xp-{crc32(svg.encode()):08x}")


def _page(*parts: str) -> str:
    return f'<div class="xp-value"><style>{_STYLE}</style>{"".join(parts)}</div>'


def _folded(summary: str, inner: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{inner}</details>"


def _heads(names: Iterable[str]) -> str:
    return f"<thead><tr>{''.join(f'<th>{escape(name)}</th>' for name in names)}</tr></thead>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], total: int) -> str:
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    more = f"<p>and {total - len(rows):,} more</p>" if total > len(rows) else ""
    return f"<table>{_heads(heads)}<tbody>{body}</tbody></table>{more}"
