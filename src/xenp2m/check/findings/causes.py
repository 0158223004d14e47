"""Why a BAR does not map: one cause a BAR, so that one rule speaks of it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto
from typing import NamedTuple

from xenp2m.boot import Guest
from xenp2m.check.bars import BarVerdict, FrameClass, Verdict, class_outcome, frame_classes
from xenp2m.check.places import Place
from xenp2m.entry import Kind
from xenp2m.machine import Bar


class Cause(Enum):
    """What keeps a BAR from being mapped."""

    PAST_MAP = auto()
    """Missing, because it lies past the end of the E820 map."""
    PAST_P2M = auto()
    """Missing, because it lies past MAX_P2M_PFN."""
    REFUSED = auto()
    """Missing, because the 1:1 range that it lies in was refused."""
    HOST_RAM = auto()
    """Missing, because the host has RAM there that dom0 was not given."""
    NOT_MADE = auto()
    """Missing in a hole that memory setup did not make 1:1 for another reason."""
    OWN_MEMORY = auto()
    """Under the guest's RAM, its balloon space, a frame of another domain, or RAM of a domU's map."""
    MARKER_BITS = auto()
    """32-bit: the frame number reaches into the marker bits of its p2m word."""
    FRAME_WRAPS = auto()
    """32-bit: the frame number does not fit into 32 bits."""
    FRAME_MASK = auto()
    """64-bit: the address has more bits than the frame mask of the kernel's PTEs."""
    HARDWARE = auto()
    """More than 52 address bits."""


class BarCause(NamedTuple):
    """A BAR's verdict, the class of the frames that decide on it, and the cause; None where all is well."""

    verdict: BarVerdict
    found: FrameClass
    cause: Cause | None

    @property
    def bar(self) -> Bar:
        """The BAR."""
        return self.verdict.bar


def bar_causes(guest: Guest, verdicts: Iterable[BarVerdict]) -> tuple[BarCause, ...]:
    """Return the cause of every verdict; nothing for a guest that does not boot."""
    if guest.stopped is not None:
        return ()
    return tuple(_judged(guest, verdict) for verdict in verdicts)


def _judged(guest: Guest, verdict: BarVerdict) -> BarCause:
    bar = verdict.bar
    classes = (
        found for _, _, found in frame_classes(guest, bar.pfn_start, max(bar.pfn_end, bar.pfn_start + 1))
    )
    found = next(found for found in classes if class_outcome(guest, found).worst is verdict.verdict)
    cause = None if verdict.verdict is Verdict.MAPS else _cause(guest, found)
    return BarCause(verdict, found, cause)


def _cause(guest: Guest, found: FrameClass) -> Cause:
    if found.past == "pte":
        return Cause.HARDWARE
    if found.past == "frame":
        return Cause.FRAME_WRAPS if guest.config.arch.bits == 32 else Cause.FRAME_MASK
    if found.past == "marker" and found.kind is Kind.IDENTITY:
        return Cause.MARKER_BITS
    own = (Place.BALLOON,) if guest.config.is_dom0 else (Place.BALLOON, Place.RAM)
    if found.kind is not Kind.MISSING or found.place in own:
        return Cause.OWN_MEMORY
    if found.place is Place.PAST_E820 and guest.rules.identity_tail:
        return Cause.REFUSED
    return _MISSING.get(found.place, Cause.NOT_MADE)


_MISSING = {
    Place.PAST_E820: Cause.PAST_MAP,
    Place.PAST_P2M: Cause.PAST_P2M,
    Place.REFUSED: Cause.REFUSED,
    Place.RAM: Cause.HOST_RAM,
}
