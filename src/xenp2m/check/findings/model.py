"""What a finding is, what a rule that gives findings is, and the case that a rule looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any

from xenp2m.boot import Guest, GuestConfig
from xenp2m.capture import Capture
from xenp2m.check.findings.causes import BarCause, bar_causes
from xenp2m.display import Displayed
from xenp2m.machine import Bar
from xenp2m.prediction import Prediction, WhatIf
from xenp2m.rules import Rules
from xenp2m.units import PAGE_SHIFT


class Severity(Enum):
    """How much a finding matters; errors and warnings make ``xenp2m check`` exit with 1."""

    ERROR = "error"
    """Something fails, goes wrong silently, or does not boot."""
    WARNING = "warning"
    """Memory or safety is lost, or the input contradicts itself: worth acting on."""
    INFO = "info"
    """Worth knowing when one looks at this machine; nothing has to be done."""

    def reaches(self, least: Severity) -> bool:
        """Whether this severity is ``least`` or worse."""
        return _RANK[self] >= _RANK[least]


_RANK = {Severity.INFO: 0, Severity.WARNING: 1, Severity.ERROR: 2}


@dataclass(frozen=True, slots=True)
class Hit:
    """One place at which a rule found something.

    ``where`` names it as people do: a BAR, an address range, a file.  ``start`` and ``end`` are its byte
    range, None where it has none.  ``severity`` and ``remedy`` replace those of the rule.
    """

    message: str
    where: str = ""
    start: int | None = None
    end: int | None = None
    severity: Severity | None = None
    remedy: str = ""

    @classmethod
    def at_bar(cls, bar: Bar, message: str, **changes: Any) -> Hit:
        """Return a hit at a BAR."""
        return cls(message, bar.label, bar.start, bar.end, **changes)

    @classmethod
    def at_range(cls, start: int, end: int, message: str, **changes: Any) -> Hit:
        """Return a hit at the bytes ``[start, end)``."""
        return cls(message, f"[{start:#x}, {end:#x})", start, end, **changes)

    @classmethod
    def at_frames(cls, start: int, end: int, message: str, **changes: Any) -> Hit:
        """Return a hit at the frames ``[start, end)``."""
        return cls.at_range(start << PAGE_SHIFT, end << PAGE_SHIFT, message, **changes)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One capture under one kernel: what a rule looks at."""

    capture: Capture
    prediction: Prediction
    what_if: WhatIf = field(default_factory=WhatIf)

    @property
    def guest(self) -> Guest:
        """The guest after memory setup."""
        return self.prediction.guest

    @property
    def config(self) -> GuestConfig:
        """The inputs of its memory setup."""
        return self.prediction.guest.config

    @property
    def rules(self) -> Rules:
        """What its kernel does."""
        return self.prediction.rules

    @cached_property
    def bars(self) -> tuple[BarCause, ...]:
        """The machine's BARs with what decides on each; none for a kernel that does not boot."""
        return bar_causes(self.guest, self.prediction.bars)


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingRule:
    """A rule of ``xenp2m check``: what it looks for, in the words of its page, and the function that looks.

    ``kernels`` says in words since and until which kernel it can find something.  ``source`` names the code
    that the rule was read in.  ``per_kernel`` is false for rules that look at the capture alone.
    """

    code: str
    title: str
    severity: Severity
    what: str
    why: str
    kernels: str
    example: str
    remedy: str
    source: str
    per_kernel: bool
    look: Callable[[Case], Iterable[Hit]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a rule found.

    ``kernel`` is empty for what holds under every kernel.  ``start`` and ``end`` are a byte range, None
    where the finding is about none.  ``capture`` is the file that the machine was read from.
    """

    code: str
    title: str
    severity: Severity
    message: str
    where: str
    kernel: str
    remedy: str
    source: str
    capture: str
    start: int | None = None
    end: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the finding as an object for ``json.dumps``."""
        return {
            "code": self.code,
            "title": self.title,
            "severity": self.severity.value,
            "message": self.message,
            "where": self.where,
            "start": self.start,
            "end": self.end,
            "kernel": self.kernel or None,
            "remedy": self.remedy,
            "source": self.source,
            "capture": self.capture,
        }


class Findings(tuple[Finding, ...], Displayed):
    """Findings in their order: a tuple that a notebook shows as a table."""

    __slots__ = ()
