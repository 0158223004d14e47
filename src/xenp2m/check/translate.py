"""Frames, addresses and page table entries turned into each other, as one kernel does it on one map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xenp2m.check.places import KindsP2m
from xenp2m.entry import NO_MFN, Kind
from xenp2m.mmu.convert import Converter
from xenp2m.mmu.pte import PRESENT, describe, parse_pte
from xenp2m.p2m.m2p import M2p
from xenp2m.rules import Rules
from xenp2m.runs import Ambiguous, RunMap
from xenp2m.units import PAGE_SHIFT, PAGE_SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """One answer.

    ``asked`` repeats the question, ``kind`` is what the guest frame is, ``pfn`` and ``mfn`` are frames and
    ``pte`` an entry; each is None where there is none or where it is not known.  ``answer`` says it in words.
    """

    asked: str
    answer: str
    kind: Kind | None = None
    pfn: int | None = None
    mfn: int | None = None
    pte: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the answer as an object for ``json.dumps``."""
        return {
            "asked": self.asked,
            "answer": self.answer,
            "kind": None if self.kind is None else self.kind.label,
            "pfn": self.pfn,
            "mfn": self.mfn,
            "pte": self.pte,
        }


class Translator:
    """Translates on one frame map by the rules of one kernel.

    ``host_ram`` are the host's RAM ranges in frames, ``[start, end)``; they matter where the map does not
    name the machine frames of RAM (a prediction): a machine frame among them may be any of the guest's.
    ``ambiguous`` are frames whose kind the map's source does not tell.  ``m2p`` returns the M2P's word of a
    machine frame, None past its end; without it the map is searched.
    """

    def __init__(
        self,
        rules: Rules,
        runs: RunMap,
        *,
        host_ram: Sequence[tuple[int, int]] = (),
        initial_domain: bool = True,
        ambiguous: Sequence[Ambiguous] = (),
        m2p: Callable[[int], int | None] | None = None,
    ) -> None:
        self.rules = rules
        self.runs = runs
        self.ambiguous = tuple(ambiguous)
        self.m2p = m2p
        self.host_ram = tuple(host_ram)
        self.ram_known = all(run.mfn is not None for run in runs if run.kind is Kind.RAM)
        self.converter = Converter(rules, KindsP2m(runs), M2p(runs.arch, 0), initial_domain=initial_domain)

    def pfn(self, pfn: int, asked: str = "") -> Translation:
        """Return what guest frame ``pfn`` is, and its machine frame."""
        kind, mfn = self.runs.entry(pfn)
        asked = asked or f"pfn {pfn:#x}"
        untold = self._untold(pfn)
        if untold:
            return Translation(asked=asked, answer=untold, pfn=pfn)
        if kind is Kind.MISSING:
            return Translation(asked=asked, answer="missing: no machine frame", kind=kind, pfn=pfn)
        if mfn is None:
            text = f"{_NAMES[kind]}: only the hypervisor knows its machine frame"
            return Translation(asked=asked, answer=text, kind=kind, pfn=pfn)
        return Translation(
            asked=asked, answer=f"{_NAMES[kind]}: machine frame {mfn:#x}", kind=kind, pfn=pfn, mfn=mfn
        )

    def mfn(self, mfn: int, asked: str = "") -> Translation:
        """Return the guest frame of machine frame ``mfn``, as mfn_to_pfn finds it."""
        asked = asked or f"mfn {mfn:#x}"
        pfn, elsewhere = self._own_pfn(mfn)
        if pfn is not None:
            return Translation(
                asked=asked, answer=f"RAM: guest frame {pfn:#x}", kind=Kind.RAM, pfn=pfn, mfn=mfn
            )
        if not self.ram_known and any(start <= mfn < end for start, end in self.host_ram):
            text = "host RAM: only the M2P knows whether it is the guest's"
            return Translation(asked=asked, answer=text, mfn=mfn)
        if self.runs.entry(mfn) == (Kind.IDENTITY, mfn):
            text = f"1:1: guest frame {mfn:#x}"
            return Translation(asked=asked, answer=text, kind=Kind.IDENTITY, pfn=mfn, mfn=mfn)
        untold = self._untold(mfn)
        if untold and not elsewhere:
            return Translation(asked=asked, answer=f"not RAM of the guest; as a 1:1 frame: {untold}", mfn=mfn)
        return Translation(asked=asked, answer=f"no guest frame{elsewhere}", mfn=mfn)

    def _own_pfn(self, mfn: int) -> tuple[int | None, str]:
        """Return the guest frame whose RAM is ``mfn``; without one, what the M2P has instead, in words."""
        if self.m2p is not None:
            word = self.m2p(mfn)
            if word is None or word >= NO_MFN - 1:
                return None, ""
            if self.runs.entry(word) == (Kind.RAM, mfn):
                return word, ""
            return None, f" of this domain (the M2P has guest frame {word:#x}, of another domain)"
        for run in self.runs:
            if run.kind is Kind.RAM and run.mfn is not None and run.mfn <= mfn < run.mfn + run.pages:
                return run.pfn + (mfn - run.mfn), ""
        return None, ""

    def _untold(self, pfn: int) -> str:
        """Say what a frame can be where the source of the map does not tell; "" where it does."""
        for each in self.ambiguous:
            if each.start <= pfn < each.end:
                kinds = " or ".join(_NAMES[kind] for kind in each.among)
                return f"cannot tell: {kinds} ({each.reason})"
        return ""

    def phys(self, address: int) -> Translation:
        """Return the machine address of guest-physical byte ``address``."""
        found = self.pfn(address >> PAGE_SHIFT, f"phys {address:#x}")
        return found if found.mfn is None else _to_the_byte(found, "machine", found.mfn, address)

    def machine(self, address: int) -> Translation:
        """Return the guest-physical address of machine byte ``address``."""
        found = self.mfn(address >> PAGE_SHIFT, f"machine {address:#x}")
        return found if found.pfn is None else _to_the_byte(found, "guest-physical", found.pfn, address)

    def decode(self, text: str) -> Translation:
        """Take apart an entry as it stands in memory, and find its guest frame.  Raises UsageError."""
        value = parse_pte(text, self.rules, self.runs.arch)
        entry = describe(value, self.rules, self.runs.arch)
        asked = f"pte {value:#x}"
        if entry.none:
            return Translation(asked=asked, answer="none", pte=value)
        if not entry.present:
            return Translation(asked=asked, answer=f"not present: {entry}", pte=value)
        found = self.mfn(entry.frame)
        return Translation(
            asked=asked,
            answer=f"machine {entry}; {found.answer}",
            kind=found.kind,
            pfn=found.pfn,
            mfn=entry.frame,
            pte=value,
        )

    def encode(self, text: str) -> Translation:
        """Make the entry for a guest frame and flags ("0x3800000 PRESENT|RW").  Raises UsageError."""
        arch = self.runs.arch
        value = parse_pte(text, self.rules, arch)
        asked = f"make {describe(value, self.rules, arch)}"
        pfn = (value & self.converter.layout.pfn_mask) >> PAGE_SHIFT & arch.word_mask
        kind, mfn = self.runs.entry(pfn)
        raw = self.converter.takes_as_machine(value)
        untold = "" if raw or not value & PRESENT else self._untold(pfn)
        if untold:
            return Translation(asked=asked, answer=untold, pfn=pfn)
        if value & PRESENT and not raw and kind in (Kind.RAM, Kind.FOREIGN) and mfn is None:
            text = f"{_NAMES[kind]}: only the hypervisor knows its machine frame"
            return Translation(asked=asked, answer=text, kind=kind, pfn=pfn)
        entry = self.converter.make_pte(value)
        if not entry & PRESENT:
            why = "the frame is missing" if value & PRESENT else "not present: kept as it is"
            answer = f"{entry:#x} ({why})"
            return Translation(asked=asked, answer=answer, kind=kind, pfn=pfn, pte=entry)
        shown = describe(entry, self.rules, arch)
        why = "_PAGE_IOMAP: taken as a machine frame" if raw else _NAMES[kind]
        return Translation(
            asked=asked, answer=f"{entry:#x} ({why}): {shown}", kind=kind, pfn=pfn, mfn=shown.frame, pte=entry
        )


_NAMES = {Kind.RAM: "RAM", Kind.IDENTITY: "1:1", Kind.FOREIGN: "foreign", Kind.MISSING: "missing"}


def _to_the_byte(found: Translation, space: str, frame: int, address: int) -> Translation:
    """Turn the answer for a frame into that for the byte ``address`` in it; ``frame`` is in ``space``."""
    at = frame << PAGE_SHIFT | address % PAGE_SIZE
    return replace(found, answer=f"{_NAMES[found.kind or Kind.RAM]}: {space} address {at:#x}")
