"""BAR verdicts: whether a machine's memory BARs can be mapped, way by way, and which rule decides it.

A verdict depends on a frame only through its class: its kind in the p2m, the place it has on the machine, and
the limits of the architecture that it lies past.  The outcome of a class comes from the simulated mappers
(``xenp2m.mmu.mappers``) and is worked out once; a BAR is then a look-up of the classes that it spans.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from xenp2m.arch import PTE_FRAMES, Arch
from xenp2m.boot.guest import Guest
from xenp2m.check.places import M2P_PIECE_BYTES, KindsP2m, Place, hole_at, predicted_m2p, spot_at
from xenp2m.check.reasons import reason
from xenp2m.entry import Kind
from xenp2m.machine import Bar
from xenp2m.mmu.convert import ISA_END, ISA_START, Converter
from xenp2m.mmu.mappers import Mapper, Mapping, map_frame
from xenp2m.mmu.pte import layout_of
from xenp2m.p2m.m2p import M2p
from xenp2m.rules import Rules
from xenp2m.runs import Run, RunMap
from xenp2m.units import PAGE_SHIFT


class Verdict(StrEnum):
    """What becomes of a BAR, from best to worst."""

    MAPS = "maps"
    FAILS = "fails"
    COLLIDES = "collides"
    WRONG = "wrong"

    @property
    def label(self) -> str:
        """The verdict for people."""
        return _LABELS[self]

    @property
    def severity(self) -> int:
        """0 for the best, 3 for the worst."""
        return _SEVERITY[self]


_LABELS = {
    Verdict.MAPS: "maps",
    Verdict.FAILS: "does not map",
    Verdict.COLLIDES: "collides with guest memory",
    Verdict.WRONG: "maps wrongly",
}
_SEVERITY = {verdict: index for index, verdict in enumerate(Verdict)}


_USER_SPACE = (Mapper.SYSFS, Mapper.IO_REMAP, Mapper.DEV_MEM)


class FrameClass(NamedTuple):
    """What the outcome of mapping a frame depends on.

    ``kind`` is what the p2m holds at the number that is looked up, which is the frame's own unless the frame
    is too large (``past`` is then "frame", a number cut to the PTE's or the word's width, or "pte", more than
    hardware can address).  ``past`` is "marker" where a 32-bit frame reaches into the word's marker bits.
    ``isa`` is the range that ioremap answers from the direct map, ``low`` the rest of the first MiB.
    """

    kind: Kind
    place: Place
    isa: bool = False
    low: bool = False
    past: str = ""


class Outcome(NamedTuple):
    """What becomes of the frames of one class: a verdict a mapper, the worst of them, and the rule.

    ``reads_m2p`` names the ways for user space to map a device whose unmapping asks the M2P about the frame.
    """

    mappers: dict[Mapper, Verdict]
    worst: Verdict
    rule: str
    source: str
    reads_m2p: tuple[Mapper, ...]


@dataclass(frozen=True, slots=True)
class BarVerdict:
    """The verdict on one BAR.

    ``verdict`` is the worst over the mappers and over the frames of the BAR, ``rule`` says in words what
    decided it and ``source`` where that rule was read.  ``mappers`` has the worst verdict of each mapper.
    ``first_bad`` is the first frame that some mapper does not map and ``bad_frames`` the number of such
    frames (None and 0 when all is well).  ``hazard`` tells of an oops when user space unmaps the BAR.
    """

    bar: Bar
    verdict: Verdict
    rule: str
    source: str
    mappers: dict[Mapper, Verdict]
    first_bad: int | None = None
    bad_frames: int = 0
    hazard: str | None = None

    @property
    def partly(self) -> bool:
        """Whether some frames of the BAR are well and others not."""
        return 0 < self.bad_frames < self.bar.pfn_end - self.bar.pfn_start

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as an element of ``bars`` in ``xenp2m.prediction/1``."""
        return {
            "bdf": self.bar.bdf,
            "index": self.bar.index,
            "start": self.bar.start,
            "size": self.bar.size,
            "verdict": self.verdict.value,
            "rule": self.rule,
            "source": self.source,
            "mappers": {mapper.value: verdict.value for mapper, verdict in self.mappers.items()},
            "first_bad_frame": self.first_bad,
            "bad_frames": self.bad_frames,
            "hazard": self.hazard,
        }


class _Piece(NamedTuple):
    """Frames ``[start, end)`` of one class."""

    start: int
    end: int
    outcome: Outcome


def judge_bars(guest: Guest, bars: Iterable[Bar]) -> tuple[BarVerdict, ...]:
    """Judge the memory BARs of a machine under the kernel of ``guest``, in the order given."""
    m2p: M2p | None = None
    seen: list[_Piece] = []
    verdicts = []
    for bar in bars:
        start, end = bar.pfn_start, max(bar.pfn_end, bar.pfn_start + 1)
        pieces = [piece for piece in seen if piece.start <= start and end <= piece.end]
        if not pieces:
            cut = frame_classes(guest, start, end)
            pieces = [_Piece(at, until, class_outcome(guest, found)) for at, until, found in cut]
            seen += pieces
        verdict = _combine(bar, start, end, pieces)
        if not guest.rules.spurious_only_protection and any(piece.outcome.reads_m2p for piece in pieces):
            m2p = m2p or predicted_m2p(guest)
            verdict = _with_hazard(verdict, pieces, m2p, start, end)
        verdicts.append(verdict)
    return tuple(verdicts)


def _combine(bar: Bar, start: int, end: int, pieces: list[_Piece]) -> BarVerdict:
    """Judge a BAR by the pieces that cover it: the worst decides, the lowest of equals names the rule."""
    worst = pieces[0].outcome
    by_mapper = worst.mappers
    first_bad: int | None = None
    bad_frames = 0
    for piece in pieces:
        outcome = piece.outcome
        if outcome.worst is not Verdict.MAPS:
            at, until = max(piece.start, start), min(piece.end, end)
            first_bad = at if first_bad is None else first_bad
            bad_frames += until - at
            if outcome.worst.severity > worst.worst.severity:
                worst = outcome
    if len(pieces) > 1:
        by_mapper = {
            mapper: max((piece.outcome.mappers[mapper] for piece in pieces), key=_SEVERITY.__getitem__)
            for mapper in Mapper
        }
    return BarVerdict(bar, worst.worst, worst.rule, worst.source, by_mapper, first_bad, bad_frames)


def _with_hazard(verdict: BarVerdict, pieces: list[_Piece], m2p: M2p, start: int, end: int) -> BarVerdict:
    """Add the oops on an M2P hole, where the kernel looks for spurious faults before its fixup."""
    step = M2P_PIECE_BYTES // (m2p.arch.bits // 8)
    for piece in pieces:
        if not piece.outcome.reads_m2p:
            continue
        at, until = max(piece.start, start), min(piece.end, end, m2p.nr)
        while at < until and not hole_at(m2p, at):
            at = (at // step + 1) * step
        if at < until:
            names = ", ".join(mapper.value for mapper in piece.outcome.reads_m2p)
            text = (
                f"unmapping frame {at:#x} after {names} may read a hole in the M2P and oops; fixed by patch 7"
            )
            return replace(verdict, hazard=text)
    return verdict


class _Classes:
    """The frame classes of one guest that were asked for, and their outcomes."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.outcomes: dict[FrameClass, Outcome] = {}
        self._starts: list[int] = []
        self._found: list[tuple[FrameClass, int]] = []

    def at(self, frame: int) -> tuple[FrameClass, int]:
        """Return the class of a frame and where it ends, worked out for the first frame of it only."""
        index = bisect_right(self._starts, frame) - 1
        if index >= 0 and frame < self._found[index][1]:
            return self._found[index]
        found = _frame_class(self.guest, frame)
        self._starts.insert(index + 1, frame)
        self._found.insert(index + 1, found)
        return found


_last: _Classes | None = None


def _classes_of(guest: Guest) -> _Classes:
    """Return what is known of a guest; of the last one only, whose BARs are asked for again and again."""
    global _last  # noqa: PLW0603
    known = _last
    if known is None or known.guest is not guest:
        known = _last = _Classes(guest)
    return known


def frame_class(guest: Guest, frame: int) -> tuple[FrameClass, int]:
    """Return the class of a machine frame, and the first frame after it that may be of another class."""
    return _classes_of(guest).at(frame)


def _frame_class(guest: Guest, frame: int) -> tuple[FrameClass, int]:
    arch = guest.config.arch
    asked = min(arch.word_mask, layout_of(guest.rules, arch).pfn_mask >> PAGE_SHIFT)
    if frame >= PTE_FRAMES:
        return FrameClass(Kind.MISSING, Place.PAST_E820, past="pte"), 1 << 64
    number = frame & asked
    past = "frame" if frame > asked else "marker" if frame >= arch.identity_bit else ""
    run = guest.p2m.run_at(number)
    spot = spot_at(guest, number)
    edges = (run.end, spot.end, ISA_START, ISA_END, arch.identity_bit, arch.invalid, asked + 1)
    until = min(edge for edge in edges if edge > number)
    # all ones with a marker bit is still all ones: the one frame that no p2m can call 1:1
    kind = Kind.MISSING if number == arch.invalid else run.kind
    found = FrameClass(kind, spot.place, ISA_START <= number < ISA_END, number < ISA_START, past)
    return found, frame + (until - number)


def frame_classes(guest: Guest, start: int, end: int) -> Iterator[tuple[int, int, FrameClass]]:
    """Cut the frames ``[start, end)`` by class: first frame, end, class; the last may reach past ``end``."""
    at = start
    while at < end:
        found, until = frame_class(guest, at)
        yield at, until, found
        at = until


def class_outcome(guest: Guest, found: FrameClass) -> Outcome:
    """Return what becomes of the frames of a class under the kernel of ``guest``."""
    known = _classes_of(guest).outcomes
    outcome = known.get(found)
    if outcome is None:
        outcome = known[found] = _outcome(guest.rules, guest.config.arch, guest.config.is_dom0, found)
    return outcome


@lru_cache(maxsize=4096)
def _outcome(rules: Rules, arch: Arch, dom0: bool, found: FrameClass) -> Outcome:
    """Simulate every mapper on one frame of the class."""
    converter = Converter(rules, KindsP2m(_map_of(arch, found.kind)), M2p(arch, 0), initial_domain=dom0)
    frame = _representative(rules, arch, found)
    mappings = {mapper: simulate(converter, mapper, frame, found) for mapper in Mapper}
    verdicts = {mapper: verdict_of(mapping, found) for mapper, mapping in mappings.items()}
    worst = max(verdicts.values(), key=_SEVERITY.__getitem__)
    rule, source = reason(rules, arch, found.kind, found.place, found.past)
    reads = tuple(
        mapper
        for mapper, mapping in mappings.items()
        if mapper in _USER_SPACE and mapping.entry is not None and converter.reads_m2p(mapping.entry)
    )
    return Outcome(verdicts, worst, rule, source, reads)


def simulate(converter: Converter, mapper: Mapper, frame: int, found: FrameClass) -> Mapping:
    """Map one frame of a class: what the class says of its place goes into the mapper's own checks."""
    return map_frame(
        converter,
        mapper,
        frame,
        system_ram=found.kind is Kind.RAM or found.place is Place.BALLOON,
        reserved=found.place is Place.BALLOON,
        ram_known=False,
    )


def verdict_of(mapping: Mapping, found: FrameClass) -> Verdict:
    """Judge one simulated mapping of a frame of a class."""
    if found.past == "pte":
        return Verdict.WRONG
    guests_own = found.kind in (Kind.RAM, Kind.FOREIGN)
    if mapping.reaches and (mapping.taken_raw or not guests_own):
        return Verdict.MAPS
    if found.past == "frame":
        return Verdict.WRONG if mapping.access is not None and mapping.access.works else Verdict.FAILS
    if guests_own or found.place is Place.BALLOON:
        return Verdict.COLLIDES
    return Verdict.WRONG if mapping.access is not None and mapping.access.works else Verdict.FAILS


@lru_cache
def _map_of(arch: Arch, kind: Kind) -> RunMap:
    pages = 1 << 40
    return RunMap(arch, pages, Kind.MISSING, [Run(0, pages, kind, None)])


def _representative(rules: Rules, arch: Arch, found: FrameClass) -> int:
    """Return some frame of a class."""
    if found.past == "marker":
        return arch.identity_bit + 0x1234
    number = ISA_START if found.isa else 1 if found.low else 0x12345
    if found.past == "pte":
        return PTE_FRAMES
    if found.past == "frame":
        return min(arch.word_mask, layout_of(rules, arch).pfn_mask >> PAGE_SHIFT) + 1 + number
    return number
