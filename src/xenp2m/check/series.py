"""The nine patches of the series one by one on a machine, and the six postings that it went through."""

from __future__ import annotations

from dataclasses import dataclass, replace

from xenp2m.capture import Capture
from xenp2m.check.bars import Verdict
from xenp2m.check.explain import map_guest_frame
from xenp2m.entry import Kind
from xenp2m.errors import UsageError
from xenp2m.mmu.mappers import Mapper
from xenp2m.p2m.accounting import tree_pages
from xenp2m.p2m.replay import replay
from xenp2m.p2m.tree import Tree
from xenp2m.prediction import Prediction, WhatIf, predict
from xenp2m.progress import track
from xenp2m.rules import REVISIONS, SERIES, Patch, Revision, Rules, with_patches


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What one state of the code makes of the machine.

    ``identity_frames`` counts the 1:1 frames below MAX_P2M_PFN, ``beyond`` says what lies past it.
    ``p2m_pages`` are the private mid pages, leaf pages that are not the builder's, and frame list pages.
    ``identity_steps`` counts the rounds of the identity calls' loops: a frame each, or where the rules
    allow it a whole leaf or mid.  ``mapped`` counts the BARs that each mapper maps.  ``entries`` are the PTEs
    that each mapper writes for the walk's frame (None where it is refused or holds an unknown RAM frame).
    ``oopses`` names BARs whose unmapping oopses.
    """

    rules: Rules
    identity_frames: int
    beyond: Kind
    p2m_pages: int
    identity_steps: int
    warning_count: int
    lines: tuple[str, ...]
    mapped: dict[Mapper, int]
    entries: dict[Mapper, int | None]
    oopses: tuple[str, ...]
    stopped: str | None


@dataclass(frozen=True, slots=True)
class PatchStep:
    """One patch and the state of the code with it and all patches before it."""

    patch: Patch
    state: State


@dataclass(frozen=True, slots=True)
class RevisionStep:
    """One posting of the series and the state of the code with all of it."""

    revision: Revision
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """The series on one machine.

    ``before`` is 3.15, ``patches`` follow in order, ``revisions`` are the six postings.  ``frame`` is the
    machine frame whose PTEs the states show (of ``bar``, or None where the machine has no BAR).
    ``without_3`` is the whole series without its compact storage, ``without_7`` the whole series without the
    patch that keeps M2P holes from oopsing.
    """

    machine: Prediction
    bar: str | None
    frame: int | None
    before: State
    patches: tuple[PatchStep, ...]
    revisions: tuple[RevisionStep, ...]
    without_3: State
    without_7: State


def walk_series(capture: Capture, what_if: WhatIf) -> Walk:
    """Play 3.15, the nine patches added one by one, and the six postings on one machine."""
    first = predict(capture, with_patches(()), what_if)
    failing = [verdict.bar for verdict in first.bars if verdict.verdict is not Verdict.MAPS]
    bar = next(iter(failing or [verdict.bar for verdict in first.bars]), None)
    frame = None if bar is None else bar.pfn_start

    numbers = [patch.number for patch in SERIES]
    whole = with_patches(tuple(numbers))
    asked = [
        *(with_patches(tuple(numbers[: patch.number])) for patch in SERIES),
        *(replace(whole, **dict(revision.changes)) for revision in REVISIONS),
        *(with_patches(tuple(each for each in numbers if each != number)) for number in (3, 7)),
    ]
    states = [
        _state(predict(capture, rules, what_if), frame)
        for rules in track("playing the patches", asked, len(asked))
    ]
    *others, without_3, without_7 = states
    return Walk(
        machine=first,
        bar=None if bar is None else bar.label,
        frame=frame,
        before=_state(first, frame),
        patches=tuple(map(PatchStep, SERIES, others)),
        revisions=tuple(map(RevisionStep, REVISIONS, others[len(SERIES) :])),
        without_3=without_3,
        without_7=without_7,
    )


def _state(prediction: Prediction, frame: int | None) -> State:
    guest = prediction.guest
    tree = replay(guest)
    if not isinstance(tree, Tree):
        raise UsageError("the series is about kernels with the three-level p2m", found=guest.rules.name)
    pages = tree_pages(tree)
    entries = (
        {}
        if frame is None
        else {mapping.mapper: mapping.entry for mapping, _ in map_guest_frame(guest, frame)}
    )
    return State(
        rules=guest.rules,
        identity_frames=guest.p2m.counts()[Kind.IDENTITY],
        beyond=guest.p2m.beyond,
        p2m_pages=pages.mid_pages + pages.leaf_pages + pages.mid_mfn_pages,
        identity_steps=tree.identity_steps,
        warning_count=guest.warning_count,
        lines=guest.log.lines,
        mapped={
            mapper: sum(verdict.mappers[mapper] is Verdict.MAPS for verdict in prediction.bars)
            for mapper in Mapper
        },
        entries=entries,
        oopses=tuple(verdict.bar.label for verdict in prediction.bars if verdict.hazard is not None),
        stopped=guest.stopped,
    )
