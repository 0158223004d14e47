"""RunMap: a frame map as sorted runs.  The one map type of the program: everything makes one or reads one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from xenp2m.arch import Arch, arch_of
from xenp2m.display import Pictured
from xenp2m.entry import KIND_BY_LABEL, NO_MFN, Entry, Kind, decode_array, encode_array
from xenp2m.errors import FormatError, UsageError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

MAP_FORMAT = "xenp2m.map/1"

END_OF_FRAMES = 1 << 52
"""The first frame that no x86 machine can have."""


class Run(NamedTuple):
    """Consecutive frames of one kind.

    ``pfn`` is the first frame and ``pages`` the number of frames.  ``mfn`` is the machine frame of the first
    one (the next ones count up); None for missing frames, for identity frames (they are their own machine
    frames) and for RAM whose machine frames are not known.
    """

    pfn: int
    pages: int
    kind: Kind
    mfn: int | None

    @property
    def end(self) -> int:
        """The first frame after the run."""
        return self.pfn + self.pages


class Ambiguous(NamedTuple):
    """Frames ``[start, end)`` of which the source of a map does not tell the kind.

    The map has them as missing, so that they never become an address; ``among`` lists what they can be and
    ``reason`` says why it is not known.
    """

    start: int
    end: int
    among: tuple[Kind, ...]
    reason: str


class RunMap(Pictured):
    """What every guest frame is, as runs.

    The runs cover ``[0, end_pfn)`` without gap or overlap, and neighbours that continue each other are one
    run.  ``beyond`` says what a frame at or past ``end_pfn`` is: IDENTITY or MISSING.  Memory follows the
    number of runs, whatever the size of the map.  A RunMap is a value: nothing changes it.

    ``starts``, ``mfns`` (uint64) and ``kinds`` (uint8) are parallel arrays, one element a run; ``mfns`` holds
    NO_MFN where a Run has None.
    """

    __slots__ = ("_starts", "arch", "beyond", "end_pfn", "kinds", "mfns", "starts")

    def __init__(self, arch: Arch, end_pfn: int, beyond: Kind, runs: Iterable[Run]) -> None:
        """Make a map of ``runs``, which must be sorted and must not overlap; gaps are missing frames.

        Raises UsageError when the runs overlap, are not sorted or reach past ``end_pfn``.
        """
        if beyond not in (Kind.IDENTITY, Kind.MISSING):
            raise UsageError("frames past a map are identity or missing", found=beyond.label)
        self.arch = arch
        self.end_pfn = end_pfn
        self.beyond = beyond
        starts, kinds, mfns = _merge(runs, end_pfn)
        self._starts = starts
        self.starts: NDArray[np.uint64] = np.array(starts, np.uint64)
        self.kinds: NDArray[np.uint8] = np.array(kinds, np.uint8)
        self.mfns: NDArray[np.uint64] = np.array(mfns, np.uint64)

    @classmethod
    def from_words(cls, words: NDArray[np.uint64], arch: Arch, beyond: Kind) -> Self:
        """Make the map of a whole p2m: ``words[pfn]`` is the raw word of each frame (uint64)."""
        kinds, mfns = decode_array(words, arch)
        pfns = np.arange(len(words), dtype=np.uint64)
        return cls.from_arrays(pfns, kinds, mfns, arch, len(words), beyond)

    @classmethod
    def from_arrays(
        cls,
        pfns: NDArray[np.uint64],
        kinds: NDArray[np.uint8],
        mfns: NDArray[np.uint64],
        arch: Arch,
        end_pfn: int,
        beyond: Kind,
    ) -> Self:
        """Make a map of single frames: sorted distinct ``pfns`` with their kinds and machine frames.

        The three arrays have one length; frames that are not listed are missing.
        """
        if len(pfns) == 0:
            return cls(arch, end_pfn, beyond, ())
        known = mfns != np.uint64(NO_MFN)
        follows = np.ones(len(pfns), np.bool_)
        follows[0] = False
        follows[1:] &= pfns[1:] == pfns[:-1] + np.uint64(1)
        follows[1:] &= kinds[1:] == kinds[:-1]
        follows[1:] &= known[1:] == known[:-1]
        follows[1:] &= ~known[1:] | (mfns[1:] == mfns[:-1] + np.uint64(1))
        first = np.flatnonzero(~follows)
        counts = np.diff(first, append=len(pfns))
        rows = zip(
            pfns[first].tolist(), counts.tolist(), kinds[first].tolist(), mfns[first].tolist(), strict=True
        )
        return cls(
            arch,
            end_pfn,
            beyond,
            (Run(pfn, count, Kind(kind), None if mfn == NO_MFN else mfn) for pfn, count, kind, mfn in rows),
        )

    def __len__(self) -> int:
        """Return the number of runs."""
        return len(self._starts)

    def __iter__(self) -> Iterator[Run]:
        ends = [*self._starts[1:], self.end_pfn] if self._starts else []
        for start, end, kind, mfn in zip(
            self._starts, ends, self.kinds.tolist(), self.mfns.tolist(), strict=True
        ):
            yield Run(start, end - start, Kind(kind), None if mfn == NO_MFN else mfn)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RunMap):
            return NotImplemented
        return (
            self.arch == other.arch
            and self.end_pfn == other.end_pfn
            and self.beyond == other.beyond
            and self._starts == other._starts
            and bool(np.array_equal(self.kinds, other.kinds))
            and bool(np.array_equal(self.mfns, other.mfns))
        )

    __hash__ = None  # type: ignore[assignment]  # compares by content, like the arrays that it holds

    def __repr__(self) -> str:
        return (
            f"<RunMap {self.arch.name} end_pfn={self.end_pfn:#x} runs={len(self)} beyond={self.beyond.label}>"
        )

    def run_at(self, pfn: int) -> Run:
        """Return the run that holds ``pfn``; past the end, the endless run that starts at ``end_pfn``."""
        if pfn >= self.end_pfn:
            return Run(self.end_pfn, END_OF_FRAMES - self.end_pfn, self.beyond, None)
        index = bisect_right(self._starts, pfn) - 1
        start = self._starts[index]
        end = self._starts[index + 1] if index + 1 < len(self._starts) else self.end_pfn
        mfn = int(self.mfns[index])
        return Run(start, end - start, Kind(int(self.kinds[index])), None if mfn == NO_MFN else mfn)

    def entry(self, pfn: int) -> Entry:
        """Return what one frame is."""
        run = self.run_at(pfn)
        if run.kind is Kind.IDENTITY and run.mfn is None:
            return Entry(Kind.IDENTITY, pfn)
        return Entry(run.kind, None if run.mfn is None else run.mfn + (pfn - run.pfn))

    def within(self, start: int, end: int) -> list[Run]:
        """Return the runs of ``[start, end)``, cut to it; frames past the end of the map included."""
        found = []
        pfn = start
        while pfn < end:
            run = self.run_at(pfn)
            stop = end if pfn >= self.end_pfn else min(end, run.end)
            mfn = None if run.mfn is None else run.mfn + (pfn - run.pfn)
            found.append(Run(pfn, stop - pfn, run.kind, mfn))
            pfn = stop
        return found

    def lookup(self, pfns: NDArray[np.uint64]) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
        """Look up many frames: kinds (uint8) and machine frames (uint64, NO_MFN where there is none).

        ``pfns`` is a uint64 array of any shape; the answers have its shape.  An identity frame is its
        own machine frame.
        """
        if not len(self):
            beyond = self.beyond is Kind.IDENTITY
            return np.full(pfns.shape, self.beyond, np.uint8), pfns.copy() if beyond else np.full_like(
                pfns, NO_MFN
            )
        index = np.searchsorted(self.starts, pfns, side="right") - 1
        kinds = self.kinds[index]
        bases = self.mfns[index]
        mfns = bases + (pfns - self.starts[index])
        mfns[bases == np.uint64(NO_MFN)] = NO_MFN
        past = pfns >= np.uint64(self.end_pfn)
        kinds[past] = self.beyond
        mfns[past] = NO_MFN
        own = (kinds == Kind.IDENTITY) & (mfns == np.uint64(NO_MFN))
        mfns[own] = pfns[own]
        return kinds, mfns

    def to_words(self, start: int, end: int) -> NDArray[np.uint64]:
        """Return the raw words (uint64) of the frames ``[start, end)``; RAM without known mfn is INVALID."""
        kinds, mfns = self.lookup(np.arange(start, end, dtype=np.uint64))
        return encode_array(kinds, mfns, self.arch)

    def counts(self) -> dict[Kind, int]:
        """Count the frames below ``end_pfn`` by kind; kinds that do not occur count 0."""
        lengths = np.diff(self.starts, append=np.uint64(self.end_pfn))
        return {kind: int(lengths[self.kinds == kind].sum()) for kind in Kind}

    def without_mfns(self) -> RunMap:
        """Return the same map with kinds only: no RAM or foreign run names its machine frames."""
        return RunMap(self.arch, self.end_pfn, self.beyond, (run._replace(mfn=None) for run in self))

    def to_json(self) -> dict[str, Any]:
        """Return the map as the ``xenp2m.map/1`` object."""
        return {
            "format": MAP_FORMAT,
            "arch": self.arch.name,
            "end_pfn": self.end_pfn,
            "beyond": self.beyond.label,
            "runs": [[run.pfn, run.pages, run.kind.label, run.mfn] for run in self],
        }

    def to_arrow(self) -> pa.Table:
        """Return the map as a ``pyarrow.Table``, a row a run (see ``xenp2m.runtable``).

        Raises UsageError without the extra "tables".
        """
        from xenp2m.runtable import to_arrow  # noqa: PLC0415 - needs an extra

        return to_arrow(self)

    def to_pandas(self) -> pd.DataFrame:
        """Return the map as a ``pandas.DataFrame``, a row a run (see ``xenp2m.runtable``).

        Raises UsageError without the extra "tables".
        """
        from xenp2m.runtable import to_pandas  # noqa: PLC0415 - needs an extra

        return to_pandas(self)

    @staticmethod
    def from_arrow(table: pa.Table) -> RunMap:
        """Read what ``to_arrow`` returns.  Raises FormatError when the table is none."""
        from xenp2m.runtable import from_arrow  # noqa: PLC0415 - needs an extra

        return from_arrow(table)

    @classmethod
    def from_json(cls, value: object, where: str = "") -> Self:
        """Read a ``xenp2m.map/1`` object.  Raises FormatError when it is not one."""
        if not isinstance(value, Mapping) or value.get("format") != MAP_FORMAT:
            found = value.get("format") if isinstance(value, Mapping) else type(value).__name__
            raise FormatError("not a map", where=where, expected=MAP_FORMAT, found=repr(found))
        try:
            arch = arch_of(value["arch"])
            end_pfn = _frame(value["end_pfn"])
            beyond = KIND_BY_LABEL[value["beyond"]]
            runs = [
                Run(_frame(pfn), _frame(count), KIND_BY_LABEL[kind], None if mfn is None else _frame(mfn))
                for pfn, count, kind, mfn in value["runs"]
            ]
            result = cls(arch, end_pfn, beyond, runs)
            if sum(run.pages for run in runs) != end_pfn:
                raise FormatError("the runs do not cover the map", where=where, expected=f"{end_pfn} frames")
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError("damaged map", where=where, found=f"{type(error).__name__}: {error}") from error
        except UsageError as error:
            raise FormatError(str(error), where=where) from error
        return result


def ambiguous_to_json(ambiguous: Iterable[Ambiguous]) -> list[list[Any]]:
    """Return ambiguous ranges as rows ``[start, end, [kind, ...], reason]``."""
    return [[each.start, each.end, [kind.label for kind in each.among], each.reason] for each in ambiguous]


def ambiguous_from_json(rows: object, where: str = "") -> tuple[Ambiguous, ...]:
    """Read such rows.  Raises FormatError when they are none."""
    try:
        if not isinstance(rows, list):
            raise TypeError(f"not a list: {type(rows).__name__}")
        return tuple(
            Ambiguous(_frame(start), _frame(end), tuple(KIND_BY_LABEL[label] for label in among), str(reason))
            for start, end, among, reason in rows
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(
            "damaged list of ambiguous frames", where=where, found=f"{type(error).__name__}: {error}"
        ) from error


def _frame(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= END_OF_FRAMES:
        raise ValueError(f"not a frame number: {value!r}")
    return value


def _merge(runs: Iterable[Run], end_pfn: int) -> tuple[list[int], list[int], list[int]]:
    """Fill gaps with missing frames and join runs that continue each other."""
    starts: list[int] = []
    kinds: list[int] = []
    mfns: list[int] = []
    at = 0
    last_kind = -1
    next_mfn = NO_MFN

    for pfn, pages, kind, given in runs:
        mfn = given
        if pages <= 0:
            continue
        if pfn < at or pfn + pages > end_pfn:
            raise UsageError(
                "runs overlap, are not sorted or leave the map",
                expected=f"a run in [{at:#x}, {end_pfn:#x})",
                found=f"[{pfn:#x}, {pfn + pages:#x})",
            )
        if pfn > at and last_kind != Kind.MISSING:
            starts.append(at)
            kinds.append(Kind.MISSING)
            mfns.append(NO_MFN)
            last_kind, next_mfn = Kind.MISSING, NO_MFN
        if mfn is None or kind == Kind.MISSING or (kind == Kind.IDENTITY and mfn == pfn):
            mfn = NO_MFN
        if kind != last_kind or mfn != next_mfn:
            starts.append(pfn)
            kinds.append(kind)
            mfns.append(mfn)
        last_kind, next_mfn = kind, NO_MFN if mfn == NO_MFN else mfn + pages
        at = pfn + pages
    if at < end_pfn and last_kind != Kind.MISSING:
        starts.append(at)
        kinds.append(Kind.MISSING)
        mfns.append(NO_MFN)
    return starts, kinds, mfns
