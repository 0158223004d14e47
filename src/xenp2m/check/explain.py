"""The steps by which a frame or a BAR gets its answer under one kernel."""

from __future__ import annotations

from collections.abc import Iterable

from xenp2m.boot.guest import Guest, OpKind, P2mOp
from xenp2m.check.bars import (
    Verdict,
    class_outcome,
    frame_class,
    frame_classes,
    judge_bars,
    simulate,
    verdict_of,
)
from xenp2m.check.places import KindsP2m, predicted_m2p, spot_at
from xenp2m.machine import Bar, type_name
from xenp2m.mmu.convert import Converter
from xenp2m.mmu.mappers import Mapper, Mapping, Step
from xenp2m.units import PAGE_SHIFT, format_frames, format_size

_SETUP = "arch/x86/xen/setup.c"


def map_guest_frame(
    guest: Guest, frame: int, mappers: Iterable[Mapper] = Mapper
) -> tuple[tuple[Mapping, Verdict], ...]:
    """Map one machine frame in the ways given (by default all, in their order), with the verdict on each.

    RAM of a prediction has no machine frames yet, so an entry that holds one is None.
    """
    found, _ = frame_class(guest, frame)
    converter = Converter(
        guest.rules, KindsP2m(guest.p2m), predicted_m2p(guest), initial_domain=guest.config.is_dom0
    )
    mappings = (simulate(converter, mapper, frame, found) for mapper in mappers)
    return tuple((mapping, verdict_of(mapping, found)) for mapping in mappings)


def explain_frame(guest: Guest, frame: int) -> tuple[Step, ...]:
    """Tell, step by step, what becomes of one frame and of every way of mapping it."""
    steps = [Step(f"frame {frame:#x} is at {frame << PAGE_SHIFT:#x}"), *explain_kind(guest, frame)]
    for mapping, verdict in map_guest_frame(guest, frame):
        steps.append(Step(f"{mapping.mapper.label}: {verdict.label}; {_summary(mapping)}"))
    return tuple(steps)


def explain_kind(guest: Guest, frame: int) -> tuple[Step, ...]:
    """Tell, step by step, why one frame is what it is in the p2m; the last step is the rule that decides."""
    found, _ = frame_class(guest, frame)
    outcome = class_outcome(guest, found)
    run = guest.p2m.run_at(frame)
    last = "without end" if frame >= guest.p2m.end_pfn else f"to {run.end:#x}"
    return (
        _where(guest, frame),
        *(_set_up(guest, op) for op in guest.ops if op.start <= frame < op.end),
        Step(f"p2m: {run.kind.label}, from {run.pfn:#x} {last}", "arch/x86/xen/p2m.c"),
        Step(outcome.rule, outcome.source),
    )


def explain_bar(guest: Guest, bar: Bar) -> tuple[Step, ...]:
    """Tell, step by step, how a BAR gets its verdict: each part of one class by its first frame."""
    (verdict,) = judge_bars(guest, (bar,))
    steps = [Step(f"BAR {bar.label}: {format_size(bar.size)} at {bar.start:#x}")]
    pieces = list(frame_classes(guest, bar.pfn_start, bar.pfn_end))
    for start, end, _ in pieces:
        if len(pieces) > 1:
            until = min(end, bar.pfn_end)
            steps.append(Step(f"frames [{start:#x}, {until:#x}), {format_frames(until - start)}:"))
        steps += explain_frame(guest, start)
    steps.append(Step(f"verdict: {verdict.verdict.label}; {verdict.rule}", verdict.source))
    if verdict.first_bad is not None:
        steps.append(
            Step(f"breaks at frame {verdict.first_bad:#x}; {format_frames(verdict.bad_frames)} are affected")
        )
    if verdict.hazard is not None:
        steps.append(Step(verdict.hazard, "arch/x86/mm/fault.c"))
    return tuple(steps)


def _where(guest: Guest, frame: int) -> Step:
    spot = spot_at(guest, frame)
    text = f"it lies {_preposition(spot.text)}{spot.text}"
    if spot.entry is not None:
        entry = spot.entry
        text += f", entry [{entry.start:#x}, {entry.end:#x}) {type_name(entry.type)}"
    return Step(f"{text}; frames [{spot.start:#x}, {spot.end:#x}) are alike", "the map that Xen gives")


def _preposition(place: str) -> str:
    return "" if place.startswith("past") else "in: "


def _set_up(guest: Guest, op: P2mOp) -> Step:
    limit = guest.config.arch.max_p2m_pfn
    texts = {
        OpKind.RELEASE: "its machine frame is given back to Xen: missing",
        OpKind.POPULATE: "a fresh machine frame is put in: RAM",
        OpKind.MOVE: "a machine frame from under a hole is moved in: RAM",
        OpKind.IDENTITY: f"set_phys_range_identity({op.start:#x}, {op.end:#x}): 1:1",
        OpKind.EXTRA: "made balloon space: missing",
        OpKind.NVS: "a given machine frame is put in",
    }
    text = texts[op.kind]
    refused = not guest.rules.clamp_identity_range and (op.start >= limit or op.end >= limit)
    if op.kind is OpKind.IDENTITY and refused:
        text = (
            f"set_phys_range_identity({op.start:#x}, {op.end:#x}): refused as a whole, because it reaches "
            f"MAX_P2M_PFN ({limit:#x})"
        )
    return Step(f"memory setup: {text}", _SETUP)


def _summary(mapping: Mapping) -> str:
    if mapping.refused:
        return mapping.refused
    entry = "" if mapping.entry is None else f"PTE {mapping.entry:#x}, "
    return entry + (mapping.access.text if mapping.access is not None else "")
