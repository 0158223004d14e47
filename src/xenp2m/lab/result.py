"""What came of booting a shape."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from xenp2m.check.diff import Diff
from xenp2m.lab.bars import BarUse
from xenp2m.lab.shape import Shape
from xenp2m.runs import Ambiguous, RunMap

RESULT_FORMAT = "xenp2m.lab/1"
TRUTH_FORMAT = "xenp2m.truth/1"

_MOST_PIECES = 20


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
    """Two maps of one dom0 held against each other, by what they are: ``prediction`` and ``dump``, say.

    ``diff`` is None where one of them is not there; ``reason`` then says why.
    """

    a: str
    b: str
    diff: Diff | None
    reason: str = ""

    @property
    def equal(self) -> bool | None:
        """Whether no frame differs and all could be compared; None where there was nothing to compare."""
        return None if self.diff is None else not self.diff.pieces

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as an object for ``json.dumps``, with the first pieces that differ."""
        pieces = () if self.diff is None else self.diff.regions()
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
    """A boot held against its prediction.

    ``rules`` is the name of the kernel that was predicted for.  ``bars`` are sentences on BARs that were not
    as predicted, ``unlogged`` predicted log lines that the kernel did not print.
    """

    rules: str
    comparisons: tuple[Comparison, ...]
    bars: tuple[str, ...] = ()
    unlogged: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether everything that could be compared is as predicted, and something could."""
        known = [each.equal for each in self.comparisons if each.equal is not None]
        return bool(known) and all(known) and not self.bars and not self.unlogged


@dataclass(frozen=True, slots=True)
class Boot:
    """What a machine that booted said: texts by file name, its p2m read in two ways, its BARs used.

    A map that could not be read is None, and ``notes`` say why.  ``untold`` are frames of ``dump`` whose kind
    the dump does not tell.
    """

    texts: dict[str, str]
    bars: tuple[BarUse, ...] = ()
    live: RunMap | None = None
    dump: RunMap | None = None
    untold: tuple[Ambiguous, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def measured(self) -> RunMap | None:
        """The kernel's p2m: as the memory dump shows it, else as dom0 does."""
        return self.dump or self.live


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one shape.  ``seconds`` are since its start, by what was then done.

    ``error`` says why it failed, and ``tail`` is what the machine said last.
    """

    shape: Shape
    boot: Boot | None = None
    judgement: Judgement | None = None
    error: str = ""
    tail: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def outcome(self) -> Outcome:
        """The answer in a word."""
        if self.boot is None or self.judgement is None:
            return Outcome.FAILED
        return Outcome.EQUAL if self.judgement.equal and self.bars_usable else Outcome.DIFFERS

    @property
    def bars_usable(self) -> bool:
        """Whether every BAR of the shape was there and could be used."""
        used = () if self.boot is None else self.boot.bars
        return len(used) == len(self.shape.bars) and all(each.usable for each in used)

    def to_json(self) -> dict[str, Any]:
        """Return the ``xenp2m.lab/1`` object."""
        boot, judged = self.boot, self.judgement
        return {
            "format": RESULT_FORMAT,
            "shape": self.shape.to_json(),
            "outcome": self.outcome.value,
            "booted": boot is not None,
            "error": self.error,
            "tail": list(self.tail),
            "seconds": {name: round(value, 1) for name, value in self.seconds.items()},
            "kernel": None if judged is None else judged.rules,
            "comparisons": [] if judged is None else [each.to_json() for each in judged.comparisons],
            "bars": [] if boot is None else [each.to_json() for each in boot.bars],
            "bars_usable": self.bars_usable,
            "bars_not_as_predicted": [] if judged is None else list(judged.bars),
            "unlogged": [] if judged is None else list(judged.unlogged),
            "notes": [] if boot is None else list(boot.notes),
        }
