"""What came of booting a shape."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from xenp2m.check.diff import Diff, Piece, Side, Status
from xenp2m.lab.bars import BarUse
from xenp2m.lab.shape import Domu, Shape
from xenp2m.runs import RunMap

RESULT_FORMAT = "xenp2m.lab/1"
TRUTH_FORMAT = "xenp2m.truth/1"

_MOST_PIECES = 20


class Reading(StrEnum):
    """A guest's p2m, by how it was read, or predicted."""

    PREDICTION = "prediction"
    """From the capture of the machine."""
    DUMP = "dump"
    """dom0's, in a dump of the whole machine, before it starts domUs."""
    DOM0 = "dom0"
    """dom0's, walked through its /proc/kcore at that time."""
    LATER_DUMP = "dump with domUs"
    """Any guest's, in a dump of the whole machine while domUs run."""
    LATER_DOM0 = "dom0 with domUs"
    """dom0's, walked at that time."""
    DOMU = "domU"
    """A domU's, walked through its /proc/kcore."""
    CORE = "xl dump-core"
    """A domU's, in a dump by the toolstack."""
    LISTED = ".xen_p2m"
    """The toolstack's own list of a domU's frames in that dump."""
    MFNDUMP = "xen-mfndump"
    """What the toolstack's program of that name prints of a domU."""
    LIVE = "inspect --live"
    """A guest's, as ``xenp2m inspect --live`` shows it inside."""


class Outcome(StrEnum):
    """The answer for a shape."""

    EQUAL = "equal"
    """It booted, and everything was as predicted."""
    DIFFERS = "differs"
    """It booted, and something was not."""
    FAILED = "failed"
    """It did not boot, or could not be looked at."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two maps of one guest held against each other, by what they are: ``prediction`` and ``dump``, say.

    ``diff`` is None where one of them is not there; ``reason`` then says why, and ``needed`` whether that is
    a failure.  ``partial`` says that one of them does not tell of all frames: only those of which it does are
    compared.
    """

    a: str
    b: str
    diff: Diff | None
    reason: str = ""
    partial: bool = False
    needed: bool = False

    @property
    def equal(self) -> bool | None:
        """Whether no frame differs and all could be compared; None where there was nothing to compare."""
        return None if self.diff is None else not self._pieces

    @property
    def _pieces(self) -> tuple[Piece, ...]:
        pieces = () if self.diff is None else self.diff.regions()
        return tuple(each for each in pieces if not self.partial or each.status is Status.DIFFERS)

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as an object for ``json.dumps``, with the first pieces that differ."""
        pieces = self._pieces
        return {
            "a": self.a,
            "b": self.b,
            "equal": self.equal,
            "reason": self.reason,
            "differing": len(pieces),
            "first": [
                [piece.start, piece.end, piece.a.label, piece.b.label] for piece in pieces[:_MOST_PIECES]
            ],
        }


@dataclass(frozen=True, slots=True)
class Judgement:
    """A guest held against its prediction.

    ``rules`` is the name of the kernel that was predicted for.  ``bars`` are sentences on BARs that were not
    as predicted, ``unlogged`` predicted log lines that the kernel did not print.
    """

    rules: str
    comparisons: tuple[Comparison, ...]
    bars: tuple[str, ...] = ()
    unlogged: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether everything that could be compared is as predicted, and what had to be could."""
        known = [each.equal for each in self.comparisons if each.equal is not None or each.needed]
        return bool(known) and all(known) and not self.bars and not self.unlogged

    def to_json(self) -> dict[str, Any]:
        """Return the judgement as members of an object for ``json.dumps``."""
        return {
            "kernel": self.rules,
            "comparisons": [each.to_json() for each in self.comparisons],
            "bars_not_as_predicted": list(self.bars),
            "unlogged": list(self.unlogged),
        }


_UNJUDGED = Judgement("", ())


@dataclass(frozen=True, slots=True)
class DomuBoot:
    """What a domU said: texts by file name, BARs that it used, and its p2m, by how it was read."""

    domu: Domu
    domid: int
    texts: dict[str, str]
    bars: tuple[BarUse, ...]
    maps: dict[str, Side]

    @property
    def measured(self) -> RunMap:
        """The kernel's p2m, as the dump of the domU shows it."""
        return self.maps[Reading.CORE].map


@dataclass(frozen=True, slots=True)
class Boot:
    """What a machine that booted said: texts by file name, its BARs used, dom0's p2m by how it was read.

    ``notes`` say why a reading is not there.  ``domus`` are the guests that dom0 started.
    """

    texts: dict[str, str]
    bars: tuple[BarUse, ...] = ()
    maps: dict[str, Side] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    domus: tuple[DomuBoot, ...] = ()

    @property
    def measured(self) -> RunMap | None:
        """The kernel's p2m: as the memory dump shows it, else as dom0 does."""
        found = self.maps.get(Reading.DUMP) or self.maps.get(Reading.DOM0)
        return None if found is None else found.map


@dataclass(frozen=True, slots=True)
class DomuResult:
    """A domU and its judgement."""

    boot: DomuBoot
    judgement: Judgement

    def to_json(self) -> dict[str, Any]:
        """Return the result as an element of ``domus`` of the ``xenp2m.lab/1`` object."""
        return {
            "name": self.boot.domu.name,
            "domid": self.boot.domid,
            "equal": self.judgement.equal,
            **self.judgement.to_json(),
            "bars": [each.to_json() for each in self.boot.bars],
        }


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one shape.  ``seconds`` are since its start, by what was then done.

    ``error`` says why it failed, and ``tail`` is what the machine said last.
    """

    shape: Shape
    boot: Boot | None = None
    judgement: Judgement | None = None
    domus: tuple[DomuResult, ...] = ()
    error: str = ""
    tail: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def outcome(self) -> Outcome:
        """The answer in a word."""
        if self.boot is None or self.judgement is None:
            return Outcome.FAILED
        good = self.judgement.equal and self.bars_usable and all(each.judgement.equal for each in self.domus)
        return Outcome.EQUAL if good else Outcome.DIFFERS

    @property
    def bars_usable(self) -> bool:
        """Whether every BAR of the shape was there and could be used."""
        used = () if self.boot is None else self.boot.bars
        return len(used) == len(self.shape.bars) and all(each.usable for each in used)

    def to_json(self) -> dict[str, Any]:
        """Return the ``xenp2m.lab/1`` object."""
        boot = self.boot
        judged = (self.judgement or _UNJUDGED).to_json()
        return {
            "format": RESULT_FORMAT,
            "shape": self.shape.to_json(),
            "outcome": self.outcome.value,
            "booted": boot is not None,
            "error": self.error,
            "tail": list(self.tail),
            "seconds": {name: round(value, 1) for name, value in self.seconds.items()},
            **judged,
            "kernel": judged["kernel"] or None,
            "bars": [] if boot is None else [each.to_json() for each in boot.bars],
            "bars_usable": self.bars_usable,
            "domus": [each.to_json() for each in self.domus],
            "notes": [] if boot is None else list(boot.notes),
        }
