"""What an audit says: codes, findings, and the case that the rules look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from xenp2m.check.findings.model import Severity
from xenp2m.dump import Domain, Inspection
from xenp2m.dump.frametable import FrameTable
from xenp2m.dump.memory import Frames
from xenp2m.dump.spaces import AddressSpaces
from xenp2m.entry import Kind
from xenp2m.runs import Run, RunMap

AUDIT_FORMAT = "xenp2m.audit/1"

CHUNK = 1 << 20
"""Frames that are compared at a time."""


class Code(NamedTuple):
    """One kind of finding: its title, how much it matters, and what to do."""

    title: str
    severity: Severity
    remedy: str


_ERROR, _WARNING, _INFO = Severity.ERROR, Severity.WARNING, Severity.INFO
_LIVE = (
    "Take the dump of a paused domain or of a crashed host; if that shows it too, the guest's p2m is damaged."
)

CODES = {
    "XA101": Code("RAM frames that the M2P gives to other guest frames", _ERROR, _LIVE),
    "XA102": Code("RAM frames that no M2P entry points back to", _ERROR, _LIVE),
    "XA103": Code("Machine frames that are RAM at several guest frames", _ERROR, _LIVE),
    "XA104": Code("Machine frames that are RAM of several domains", _ERROR, _LIVE),
    "XA105": Code("RAM frames that Xen's frame table gives to another owner", _ERROR, _LIVE),
    "XA201": Code(
        "1:1 frames whose number is a machine frame of the guest's own RAM",
        _INFO,
        "Nothing to do: a PV guest's RAM lies anywhere in the host, also at numbers that are 1:1 in its map.",
    ),
    "XA202": Code(
        "1:1 frames whose number is host RAM of another owner",
        _INFO,
        "Nothing to do: Xen refuses to map them to a guest that does not own them.",
    ),
    "XA203": Code(
        "Foreign frames whose number is 1:1 in the guest's map",
        _WARNING,
        "Such a frame reads back as a 1:1 frame since patch 5 of the series; kernels with the m2p override "
        "(before 4.0) find it when it was mapped through a grant.",
    ),
    "XA301": Code(
        "Page table entries with a frame that no machine has",
        _ERROR,
        "A missing frame was made into an address: look at who wrote the entry.",
    ),
    "XA302": Code(
        "Page table entries that lost their frame (0x200)",
        _ERROR,
        "I/O was mapped while its frames were missing in the p2m; Linux 3.16 or later makes them 1:1.",
    ),
    "XA303": Code(
        "Page table entries with frames of another domain that are not foreign in the p2m",
        _WARNING,
        "In dom0 the toolstack maps guests so; in another domain the entry is wrong.",
    ),
    "XA304": Code(
        "Page table entries with frames that the p2m does not name",
        _WARNING,
        "I/O that is missing in the p2m reads back as nothing; Linux 3.16 or later makes it 1:1.",
    ),
    "XA305": Code(
        "I/O mapped past the p2m with _PAGE_IOMAP",
        _INFO,
        "What kernels before 3.16 do with I/O that their p2m does not have; mprotect loses such a mapping.",
    ),
    "XA401": Code(
        "The p2m was being changed when the dump was taken (odd generation)",
        _WARNING,
        "Entries near the change can be old or new; take the dump of a paused domain.",
    ),
    "XA402": Code("The dump is damaged or incomplete", _WARNING, "Take it again, or copy it again."),
    "XA403": Code("What the readers noticed", _INFO, ""),
    "XA404": Code(
        "The dump does not tell what some frames are",
        _INFO,
        "Give the kernel's symbols (--symbols), or a dump of the whole host.",
    ),
    "XA405": Code(
        "The p2m of a PV domain cannot be read", _WARNING, "Give the kernel's symbols (--symbols)."
    ),
    "XA406": Code(
        "The frame list for the toolstack differs from the kernel's p2m",
        _WARNING,
        "Migration and xl dump-core go by the frame list: they would lose or mix up these frames.",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that an audit found.

    ``where`` names the first places, ``count`` says how many frames or entries it is about (0 where that
    means nothing).  ``domain`` is the domain's name, empty for what is about the whole dump.
    """

    code: str
    message: str
    domain: str = ""
    where: str = ""
    count: int = 0
    severity: Severity

    @property
    def title(self) -> str:
        """What this kind of finding is."""
        return CODES[self.code].title

    @property
    def remedy(self) -> str:
        """What to do about this kind of finding."""
        return CODES[self.code].remedy

    def to_json(self) -> dict[str, Any]:
        """Return the finding as an object for ``json.dumps``."""
        return {
            "code": self.code,
            "title": self.title,
            "severity": self.severity.value,
            "message": self.message,
            "domain": self.domain or None,
            "where": self.where,
            "count": self.count,
            "remedy": self.remedy,
        }


@dataclass(frozen=True, slots=True)
class Audit:
    """The result: findings in order of code within a domain, and for each domain what was compared."""

    name: str
    container: str
    findings: tuple[Finding, ...]
    scope: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def exit_status(self) -> int:
        """1 where an error or a warning was found, else 0."""
        return int(any(each.severity.reaches(Severity.WARNING) for each in self.findings))

    def to_json(self) -> dict[str, Any]:
        """Return the ``xenp2m.audit/1`` object."""
        return {
            "format": AUDIT_FORMAT,
            "dump": self.name,
            "container": self.container,
            "domains": [{"name": name, "compared": list(parts)} for name, parts in self.scope],
            "findings": [finding.to_json() for finding in self.findings],
        }


class Case:
    """One domain of a dump: what the rules look at."""

    def __init__(self, found: Inspection, domain: Domain) -> None:
        self.found = found
        self.domain = domain
        self.name = "?" if domain.domid is None else str(domain.domid)
        self.spaces = AddressSpaces(found.memory, domain)

    @property
    def map(self) -> RunMap | None:
        """The domain's p2m."""
        return None if self.domain.p2m is None else self.domain.p2m.map

    def runs(self, kind: Kind) -> list[Run]:
        """Return the runs of a kind; RAM and foreign runs only where their machine frames are known."""
        if self.map is None:
            return []
        named = kind in (Kind.RAM, Kind.FOREIGN)
        return [run for run in self.map if run.kind is kind and not (named and run.mfn is None)]

    @property
    def ram_frames(self) -> int:
        """How many RAM frames are known with their machine frames."""
        return sum(run.pages for run in self.runs(Kind.RAM))

    def ram(self) -> Iterator[tuple[Frames, Frames]]:
        """Yield guest frames and machine frames of the RAM, ``CHUNK`` and a run at a time at most."""
        pfns: list[Frames] = []
        mfns: list[Frames] = []
        size = 0
        for run in self.runs(Kind.RAM):
            assert run.mfn is not None
            for at in range(0, run.pages, CHUNK):
                count = min(CHUNK, run.pages - at)
                pfns.append(np.arange(run.pfn + at, run.pfn + at + count, dtype=np.uint64))
                mfns.append(np.arange(run.mfn + at, run.mfn + at + count, dtype=np.uint64))
                size += count
                if size >= CHUNK:
                    yield np.concatenate(pfns), np.concatenate(mfns)
                    pfns, mfns, size = [], [], 0
        if pfns:
            yield np.concatenate(pfns), np.concatenate(mfns)

    @cached_property
    def owners(self) -> Owners | None:
        """Who owns machine frames; None where the dump has no frame table of Xen's, or not this domain."""
        if self.found.root is None:
            return None
        table = FrameTable(self.found.memory, self.found.root)
        names = {owner.frame: owner.domid for owner in table.owners()} if table.count else {}
        own = next((frame for frame, domid in names.items() if domid == self.domain.domid), None)
        return None if own is None else Owners(table, own, names)

    def finding(
        self, code: str, message: str, *, where: str = "", count: int = 0, severity: Severity | None = None
    ) -> Finding:
        """Return a finding about this domain."""
        return Finding(
            code=code,
            message=message,
            domain=self.name,
            where=where,
            count=count,
            severity=severity or CODES[code].severity,
        )


class Owners(NamedTuple):
    """Xen's frame table, the frame of this domain's struct domain, and every domain's id by that frame."""

    table: FrameTable
    own: int
    names: dict[int, int]


def places(pfns: Frames, mfns: Frames, most: int = 3) -> str:
    """Name the first guest frames with their machine frames."""
    shown = ", ".join(
        f"pfn {pfn:#x} (mfn {mfn:#x})"
        for pfn, mfn in zip(pfns[:most].tolist(), mfns[:most].tolist(), strict=True)
    )
    return shown + (", ..." if len(pfns) > most else "")
