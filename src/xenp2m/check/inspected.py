"""A dump looked at as a whole: what its page tables map, who maps a device, how an address translates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from xenp2m.check.mapped import OldAnswer, OldKernel
from xenp2m.check.translate import Translator
from xenp2m.dump import Domain, HostM2p, Inspection, Target, Translation
from xenp2m.dump.mappings import Span
from xenp2m.dump.spaces import AddressSpaces, Part, Summary, classifier_of
from xenp2m.errors import MissingFactError, UsageError
from xenp2m.rules import KERNELS, Rules
from xenp2m.runs import RunMap

MOST_SPANS = 4096
"""Spans of mappings that are listed; the others are counted."""

MANY_FRAMES = 1 << 24
"""Frames of a dump from which on its page tables are walked only when that is asked for (64 GiB)."""


class Wanted(NamedTuple):
    """Machine frames ``[start, end)`` whose mappings are looked for, and what to call them."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Found:
    """Who maps some frames: the spans with the part that each is in, the number of spans that are left out,
    and for each span what the old kernel would have made of it."""

    wanted: Wanted
    spans: tuple[tuple[Part, Span], ...]
    left_out: int
    old: tuple[tuple[OldAnswer, ...], ...]


@dataclass(frozen=True, slots=True)
class Address:
    """How a virtual address translates in one part of an address space, and what the frame is."""

    va: int
    part: Part | None
    translation: Translation | None
    meaning: str


class Look:
    """One domain of a dump, looked at.  Nothing is walked before it is asked for.

    ``predicted`` is the map that the old kernel makes of the machine, where captures of it are at hand.
    """

    def __init__(self, found: Inspection, domain: Domain, *, predicted: RunMap | None = None) -> None:
        self.found = found
        self.domain = domain
        self.spaces = AddressSpaces(found.memory, domain)
        self._predicted = predicted

    @cached_property
    def old(self) -> OldKernel | None:
        """The old kernel on this machine; None without a p2m."""
        if self.domain.p2m is None:
            return None
        return OldKernel(
            self.domain.p2m.map, predicted=self._predicted, initial_domain=self.domain.domid in (0, None)
        )

    @cached_property
    def summary(self) -> Summary | None:
        """What the page tables map; None without a p2m to judge it by, or without page tables."""
        classifier = classifier_of(self.found, self.domain)
        if classifier is None or not self.spaces.parts():
            return None
        return self.spaces.summary(classifier, MOST_SPANS)

    def find(self, wanted: Sequence[Wanted]) -> tuple[Found, ...]:
        """Find every mapping of some frames.  Raises MissingFactError where the dump has no page tables."""
        if not self.spaces.parts():
            raise MissingFactError("the dump holds no page tables of the domain", where=self.found.name)
        ranges = [(each.start, each.end) for each in wanted]
        found = self.spaces.find(ranges, classifier_of(self.found, self.domain), MOST_SPANS)
        return tuple(
            Found(each, tuple(spans), left_out, tuple(self._old_answers(span) for span in spans))
            for each, (spans, left_out) in zip(wanted, found, strict=True)
        )

    def _old_answers(self, pair: tuple[Part, Span]) -> tuple[OldAnswer, ...]:
        part, span = pair
        if self.old is None or span.target in (Target.OWN_RAM, Target.FOREIGN):
            return ()
        return self.old.answers(span.mfn, span.mfn + span.pages, user=part.start == 0)

    def translate(self, va: int) -> tuple[Address, ...]:
        """Translate a virtual address in every part that maps it; where none does, in the first.

        Raises UsageError for an address that the architecture does not have.
        """
        parts = self.spaces.parts_of(va)
        if not parts:
            return (Address(va, None, None, "no page table of the domain is known that could map it"),)
        done = [(part, self.spaces.tables(part).translate(va)) for part in parts]
        mapped = [pair for pair in done if pair[1].mfn is not None] or done[:1]
        return tuple(Address(va, part, each, self._meaning(each)) for part, each in mapped)

    def _meaning(self, translation: Translation) -> str:
        if translation.mfn is None:
            return translation.stopped
        if self.domain.p2m is None:
            return ""
        return translator_of(self.found, self.domain, KERNELS[-1]).mfn(translation.mfn).answer


def choose_domain(found: Inspection, domid: int | None = None) -> Domain:
    """Return the domain that is asked for: by id, else dom0, else the only one, else the only one with a p2m.

    Raises MissingFactError when there is none, UsageError when there are several to choose from.
    """
    known = ", ".join("?" if each.domid is None else str(each.domid) for each in found.domains)
    if not found.domains:
        raise MissingFactError("no PV domain was found", where=found.name)
    if domid is not None:
        for domain in found.domains:
            if domain.domid == domid:
                return domain
        if len(found.domains) == 1 and found.domains[0].domid is None:
            return found.domains[0]
        raise UsageError(f"no domain {domid} in the dump", expected=known)
    first = next((each for each in found.domains if each.domid == 0), None)
    if first is not None:
        return first
    candidates = [each for each in found.domains if each.p2m is not None] or list(found.domains)
    if len(candidates) > 1:
        raise UsageError("the dump has several domains", expected=f"--domain with one of {known}")
    return candidates[0]


def map_of(found: Inspection, domain: Domain) -> RunMap:
    """Return a domain's map.  Raises MissingFactError, with the reason, where the dump has none."""
    if domain.p2m is None:
        why = "; ".join((*domain.notes, *found.notes)) or "its p2m cannot be read"
        raise MissingFactError("no p2m", where=f"{found.name}, domain {name_of(domain)}", found=why)
    return domain.p2m.map


def name_of(domain: Domain) -> str:
    """Return a domain's id as text; "?" where it is not known."""
    return "?" if domain.domid is None else str(domain.domid)


def translator_of(found: Inspection, domain: Domain, rules: Rules) -> Translator:
    """Return a translator on a domain's map, with the dump's M2P where it is the whole host's."""
    known = map_of(found, domain)
    assert domain.p2m is not None
    table = found.m2p

    def look_up(mfn: int) -> int | None:
        assert table is not None
        return int(table.lookup(np.array([mfn], np.uint64))[0]) if mfn < table.count else None

    return Translator(
        rules,
        known,
        initial_domain=domain.domid in (0, None),
        ambiguous=domain.p2m.ambiguous,
        m2p=look_up if isinstance(table, HostM2p) else None,
    )
