"""Layers of dumps: one a domain whose p2m can be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from xenp2m.check.audit import audit
from xenp2m.check.inspected import MANY_FRAMES, Look, Wanted, name_of, translator_of
from xenp2m.check.places import KindsP2m
from xenp2m.draw.findings import STYLES
from xenp2m.draw.palette import DIM
from xenp2m.dump import Domain, Inspection
from xenp2m.entry import Kind
from xenp2m.mmu.convert import Converter
from xenp2m.mmu.mappers import Mapper, map_frame
from xenp2m.mmu.pte import PAGE_SHARED
from xenp2m.p2m.m2p import M2p
from xenp2m.rules import Rules
from xenp2m.units import PAGE_SHIFT
from xenp2m.view.pte import bits_of, rows_of_mappings
from xenp2m.view.scene import Layer, Row

_MOST_SPANS = 8


def inspected_layer(found: Inspection, domain: Domain, rules: Rules) -> Layer:
    """Return a domain's p2m as a layer; ``rules`` are whose entries are shown for its frames."""
    p2m = domain.p2m
    assert p2m is not None
    known = p2m.map
    translator = translator_of(found, domain, rules)

    def brief(frame: int) -> Sequence[str]:
        return (translator.pfn(frame).answer,)

    def explain(frame: int) -> Sequence[Row]:
        rows = [Row(Text(f"p2m: {translator.pfn(frame).answer}"))]
        run = known.run_at(frame)
        rows.append(Row(Text(f"read from: {p2m.source}; 1:1 told from missing: {p2m.confidence.value}")))
        rows += [Row(Text(f"  {text}", style=DIM)) for text in p2m.evidence]
        if layer.untold(frame) is not None:
            return rows
        mfn = known.entry(frame).mfn
        if run.kind in (Kind.RAM, Kind.FOREIGN) and mfn is not None:
            rows.append(Row(Text(f"M2P: {translator.mfn(mfn).answer}")))
            entry = converter.make_pte(frame << PAGE_SHIFT | PAGE_SHARED)
            rows.append(Row(Text(f"PTE of {rules.name} for the frame: {entry:#x}", style="bold")))
            rows.append(Row(bits_of(entry, rules, known.arch)))
        elif run.kind not in (Kind.RAM, Kind.FOREIGN):
            rows.append(Row(Text(f"a device's frame {frame:#x} mapped under {rules.name}", style="bold")))
            ways = [map_frame(converter, mapper, frame) for mapper in Mapper]
            rows += rows_of_mappings(ways, rules, known.arch)
        if run.kind is not Kind.MISSING and mfn is not None:
            rows += _mapped_by(found, domain, mfn)
        return rows

    converter = Converter(
        rules, KindsP2m(known), M2p(known.arch, 0), initial_domain=domain.domid in (0, None)
    )
    layer = Layer(
        name=f"domain {name_of(domain)}",
        map=known,
        brief=brief,
        explain=explain,
        findings=lambda: _findings(found, domain),
        log=(*found.notes, *domain.notes, *p2m.notes, p2m.source, *p2m.evidence),
        log_title="what the readers noticed",
        ambiguous=p2m.ambiguous,
        pfn_of=lambda mfn: translator.mfn(mfn).pfn,
    )
    return layer


def _mapped_by(found: Inspection, domain: Domain, mfn: int) -> Iterator[Row]:
    look = Look(found, domain)
    if not look.spaces.parts():
        yield Row(Text("the dump holds no page tables of the domain", style=DIM))
        return
    if found.memory.held > MANY_FRAMES:
        yield Row(
            Text("page tables are not searched in a dump of this size: inspect --find-frame", style=DIM)
        )
        return
    (searched,) = look.find([Wanted("frame", mfn, mfn + 1)])
    yield Row(Text(f"page tables with machine frame {mfn:#x}: {len(searched.spans) or 'none'}", style="bold"))
    for part, span in searched.spans[:_MOST_SPANS]:
        at = span.va + (mfn - span.mfn << PAGE_SHIFT)
        yield Row(Text(f"  {at:#x}, flags {span.flags:#x}, {part.label}"))
    if len(searched.spans) > _MOST_SPANS:
        yield Row(Text(f"  and {len(searched.spans) - _MOST_SPANS} more", style=DIM))


def _findings(found: Inspection, domain: Domain) -> Sequence[Row]:
    order = list(STYLES)
    return tuple(
        Row(
            Text.assemble(
                (f"{each.code} {each.severity.value}", STYLES[each.severity]),
                (f"  {each.title}", "bold"),
                f"  {each.message}",
                (f"  {each.where}" * bool(each.where), DIM),
            ),
            None,
            each.code,
        )
        for each in sorted(audit(found, domain).findings, key=lambda each: order.index(each.severity))
    )
