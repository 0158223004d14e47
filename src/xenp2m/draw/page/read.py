"""The pages of maps that were read: a dump's domains, and two maps compared."""

from __future__ import annotations

from collections.abc import Sequence

from xenp2m.check.diff import Diff, Half, Piece, Side, Status
from xenp2m.check.inspected import name_of
from xenp2m.draw.page.layers import Layer, predicted_layer, read_layer, unique
from xenp2m.draw.page.model import Answer, Reason, Report
from xenp2m.draw.page.predicted import answer, tree
from xenp2m.draw.page.render import render_report
from xenp2m.draw.page.rows import MOST_ROWS, At, Cell, RegionRow, bar_rows, kind_cell, layer_rows, logs
from xenp2m.draw.palette import LOOKS
from xenp2m.draw.prediction import machine_facts, remarks
from xenp2m.dump import Domain, Inspection
from xenp2m.entry import KIND_BY_LABEL, Kind
from xenp2m.machine import E820Entry
from xenp2m.prediction import Prediction
from xenp2m.rules import KERNELS, Rules, rules_for
from xenp2m.runs import END_OF_FRAMES, RunMap
from xenp2m.units import PAGE_SHIFT, format_frames

_BEFORE = "3.15"
"""The last kernel whose frames past the end are missing."""
_TREE = "3.16"
"""A kernel with a tree whose frames past the end are 1:1."""


def inspection_page(
    found: Inspection, domains: Sequence[Domain], prediction: Prediction | None = None
) -> str:
    """Return the page of a dump or a running kernel: a layer for each domain whose p2m could be read.

    ``prediction`` is what the old kernel makes of the machine, where captures of it are at hand: it becomes a
    layer too, with its BARs and their verdicts.
    """
    layers = [layer for domain in domains if (layer := _domain_layer(domain)) is not None]
    answers = [_domain_answer(domain) for domain in domains]
    notes = [f"note: {note}" for note in found.notes]
    notes += [
        f"domain {name_of(domain)}: {note}"
        for domain in domains
        for note in (*domain.notes, *(() if domain.p2m is None else domain.p2m.notes))
    ]
    host: Sequence[E820Entry] = ()
    if prediction is not None:
        layers.append(predicted_layer(prediction))
        answers.append(answer(prediction))
        host = prediction.guest.config.e820 or ()
        notes += remarks([prediction])
    regions, left_out = layer_rows(layers)
    facts = [found.container]
    if found.m2p is not None:
        facts.append(f"M2P of {found.m2p.count:,} frames")
    return render_report(
        Report(
            title=found.name,
            facts=facts,
            answers=answers,
            layers=layers,
            host=host,
            predictions=[] if prediction is None else [prediction],
            predicted_as=[] if prediction is None else [layers[-1].name],
            bars=[] if prediction is None else bar_rows([prediction]),
            regions=regions,
            regions_left_out=left_out,
            remarks=notes,
            compared=len([domain for domain in domains if domain.p2m is not None]) == 1,
        )
    )


def _domain_layer(domain: Domain) -> Layer | None:
    p2m = domain.p2m
    if p2m is None:
        return None
    return read_layer(
        f"domain {name_of(domain)}",
        p2m.map,
        p2m.ambiguous,
        source=[f"read from the {p2m.source}", *p2m.evidence],
        rules=_rules_of(p2m.map, is_list=domain.info is not None and domain.info.p2m_root is not None),
        initial_domain=domain.domid in (0, None),
    )


def _rules_of(known: RunMap, *, is_list: bool) -> Rules:
    """Return the rules of a kernel that has such a map: frames past the end and the structure tell."""
    if is_list:
        return KERNELS[-1]
    return rules_for(_BEFORE if known.beyond is Kind.MISSING else _TREE)


def _domain_answer(domain: Domain) -> Answer:
    name, p2m = f"domain {name_of(domain)}", domain.p2m
    found = f"found by: {domain.found_by} ({domain.confidence.value})"
    if p2m is None:
        return Answer(name, "warn", "its p2m cannot be read", tuple(map(Reason, (found, *domain.notes))))
    counts = ", ".join(
        f"{format_frames(count)} {LOOKS[kind].word}" for kind, count in p2m.map.counts().items() if count
    )
    reasons = [Reason(p2m.source), Reason(f"1:1 told from missing: {p2m.confidence.value}"), Reason(found)]
    if p2m.ambiguous:
        reasons.insert(0, Reason("ranges whose kind the dump does not tell", count=len(p2m.ambiguous)))
    return Answer(name, "warn" if p2m.ambiguous else "plain", counts, tuple(reasons))


def diff_page(diff: Diff, predictions: Sequence[Prediction | None]) -> str:
    """Return the page of two maps compared.

    ``predictions`` has, for A and for B, the prediction that the side is; None where it was read.
    """
    known = [prediction for prediction in predictions if prediction is not None]
    layers = [
        _side_layer(side, prediction, known)
        for side, prediction in zip((diff.a, diff.b), predictions, strict=True)
    ]
    names = unique([layer.name for layer in layers])
    one_machine = len({found.machine.bars for found in known}) == 1
    pieces = diff.regions()
    regions, left_out = layer_rows(layers)
    if pieces:
        regions = [_piece_row(piece) for piece in pieces[:MOST_ROWS]]
        left_out = len(pieces) - len(regions)
    return render_report(
        Report(
            title=f"{names[0]} and {names[1]} compared",
            facts=machine_facts(known[0]) if one_machine else [],
            answers=[_diff_answer(diff), *map(answer, known)],
            layers=layers,
            host=(known[0].guest.config.e820 or ()) if one_machine else (),
            predictions=known,
            predicted_as=[
                name for name, prediction in zip(names, predictions, strict=True) if prediction is not None
            ],
            bars=bar_rows(known) if one_machine else [],
            regions=regions,
            regions_left_out=left_out,
            logs=logs(known) if known else [],
            trees=[tree(prediction, index) for index, prediction in enumerate(known)],
            remarks=[*(f"note: {note}" for note in diff.notes), *(remarks(known) if known else [])],
        )
    )


def _side_layer(side: Side, prediction: Prediction | None, known: Sequence[Prediction]) -> Layer:
    """Return the layer of a side; one that was read is mapped by the rules of the side that is predicted."""
    if prediction is not None:
        return predicted_layer(prediction)
    rules = known[0].rules if known else _rules_of(side.map, is_list=side.map.beyond is Kind.IDENTITY)
    source = "read from a file with a prediction" if side.predicted else f"read from {side.name}"
    return read_layer(side.name, side.map, side.ambiguous, rules=rules, source=[source])


def _diff_answer(diff: Diff) -> Answer:
    counts = [
        Reason(f"{_word(a)} in {diff.a.name}, {_word(b)} in {diff.b.name}: {_amount(frames)}")
        for (a, b, _), frames in sorted(diff.counts().items(), key=lambda item: -item[1])
    ]
    if not diff.mfns:
        counts.append(Reason("kinds are compared, machine frames are not"))
    if differing := diff.amount(Status.DIFFERS):
        return Answer("compared", "bad", f"different: {differing}", tuple(counts))
    if untold := diff.amount(Status.UNKNOWN):
        headline = f"cannot tell: {untold} are not known on both sides"
        return Answer("compared", "warn", headline, tuple(counts))
    return Answer("compared", "good", "the same", tuple(counts))


def _word(label: str) -> str:
    return LOOKS[KIND_BY_LABEL[label]].word if label in KIND_BY_LABEL else "not known"


def _amount(frames: int) -> str:
    return "without end" if frames >= END_OF_FRAMES >> 1 else format_frames(frames)


def _piece_row(piece: Piece) -> RegionRow:
    endless = piece.end == END_OF_FRAMES
    return RegionRow(
        f"{piece.start << PAGE_SHIFT:#x}",
        "and all past it" if endless else format_frames(piece.pages),
        (_half_cell(piece.a), _half_cell(piece.b)),
        "" if piece.status is Status.DIFFERS else "not known on both sides",
        piece.status is Status.DIFFERS,
        At(piece.start, 1 if endless else piece.pages),
    )


def _half_cell(half: Half) -> Cell:
    cell = kind_cell(half.kind)
    if half.mfn is None:
        return cell
    return Cell(cell.state, cell.text, (f"machine address {half.mfn << PAGE_SHIFT:#x}",))
