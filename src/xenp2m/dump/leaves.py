"""From the leaf pages of a p2m to a map: the part that the list, the tree and the frame lists have in common.

Each leaf page is either a page of words of its own, or one of the two shared pages, ``p2m_identity`` and
``p2m_missing``.  Both are all ones, in every word; only which page it is tells identity from missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from xenp2m.arch import Arch
from xenp2m.dump.layout import ENTRIES
from xenp2m.dump.memory import Frames, Memory
from xenp2m.entry import NO_MFN, Kind
from xenp2m.p2m.lookup import word_runs
from xenp2m.runs import Ambiguous, Run, RunMap

_CHUNK = 8192  # leaf pages per step: 32 MiB of words
_NO = np.uint64(NO_MFN)
_ABSENT = "the dump does not hold this p2m page"
_BLANK = "a p2m page of all ones, which may be the shared one"


class Confidence(StrEnum):
    """How sure a finding is."""

    CERTAIN = "certain"
    """Said by the guest, the hypervisor or their symbols, and checked."""
    STRONG = "strong"
    """Follows from how the structures refer to each other."""
    LIKELY = "likely"
    """Follows from where things usually are."""
    UNKNOWN = "unknown"
    """The dump does not say."""


@dataclass(frozen=True, slots=True)
class SharedLeaves:
    """Which leaf pages (machine frames) are the shared ones, and how that is known.

    With ``identity`` known every other page of all ones is missing; with only ``missing`` known, pages in
    ``others`` (shared, all ones) are identity when there is exactly one.
    """

    identity: int | None = None
    missing: int | None = None
    evidence: tuple[str, ...] = ()
    confidence: Confidence = Confidence.UNKNOWN


class Span(NamedTuple):
    """Leaves ``[first, first + leaves)`` that are all backed by one machine frame; NO_MFN: by none."""

    first: int
    leaves: int
    frame: int


@dataclass(frozen=True, slots=True, eq=False)
class Leaves:
    """All leaves of a p2m in order: ``spans`` of one frame each, and single ones.

    ``index`` (int64) and ``frames`` (uint64) are parallel: leaf number and machine frame, NO_MFN for none.
    """

    arch: Arch
    spans: tuple[Span, ...]
    index: NDArray[np.int64]
    frames: Frames

    @classmethod
    def of_rows(cls, arch: Arch, rows: Iterable[Frames]) -> Self:
        """Make leaves of rows of frames, all of one length and in order; a row of one frame is a span."""
        spans: list[Span] = []
        index: list[NDArray[np.int64]] = []
        frames: list[Frames] = []
        for number, row in enumerate(rows):
            frame, width = int(row[0]), len(row)
            first = number * width
            if bool((row != row[0]).any()):
                index.append(np.arange(first, first + width))
                frames.append(row)
            elif spans and spans[-1].frame == frame and spans[-1].first + spans[-1].leaves == first:
                spans[-1] = spans[-1]._replace(leaves=spans[-1].leaves + width)
            else:
                spans.append(Span(first, width, frame))
        return cls(
            arch,
            tuple(spans),
            np.concatenate(index) if index else np.empty(0, np.int64),
            np.concatenate(frames) if frames else np.empty(0, np.uint64),
        )

    @property
    def end(self) -> int:
        """The first leaf number past all."""
        last = int(self.index[-1]) + 1 if len(self.index) else 0
        return max([last, *(span.first + span.leaves for span in self.spans)])

    def frame_at(self, leaf: int) -> int:
        """Return the frame of one leaf; NO_MFN for none."""
        for span in self.spans:
            if span.first <= leaf < span.first + span.leaves:
                return span.frame
        at = int(np.searchsorted(self.index, leaf))
        return int(self.frames[at]) if at < len(self.index) and self.index[at] == leaf else NO_MFN

    def uses(self) -> dict[int, int]:
        """Count how many leaves each frame backs, for the frames that back more than one."""
        found, counts = np.unique(self.frames[self.frames != _NO], return_counts=True)
        total = dict(zip(found[counts > 1].tolist(), counts[counts > 1].tolist(), strict=True))
        for span in self.spans:
            if span.frame != NO_MFN and (span.leaves > 1 or span.frame in total):
                total[span.frame] = total.get(span.frame, 0) + span.leaves
        return total


@dataclass(frozen=True, slots=True, eq=False)
class P2m:
    """A p2m as read from a dump.

    ``map`` has machine frames; the frames in ``ambiguous`` are missing in it.  ``source`` names the
    structure that was read; ``evidence`` and ``confidence`` say how identity was told from missing;
    ``notes`` are inconsistencies and what is left out.
    """

    map: RunMap
    source: str
    ambiguous: tuple[Ambiguous, ...] = ()
    evidence: tuple[str, ...] = ()
    confidence: Confidence = Confidence.CERTAIN
    notes: tuple[str, ...] = ()


def blank_pages(memory: Memory, frames: list[int]) -> set[int]:
    """Return those of the frames whose pages are all ones, or nearly.

    Kernels before 3.19 write to the shared identity page when a frame below it is set (and go on reading it
    as identity), so that a shared page need not be all ones.
    """
    return set(_written_words(memory, frames))


def _written_words(memory: Memory, frames: list[int]) -> dict[int, int]:
    """Count the words that are not all ones, of those pages that mostly are."""
    pages = memory.read_pages(np.array(frames, np.uint64))
    counts = np.count_nonzero(pages.words != _NO, axis=1)
    rows = np.flatnonzero(pages.present & (counts <= ENTRIES // 2)).tolist()
    return {frames[row]: int(counts[row]) for row in rows}


class MapBuilder:
    """Turns leaves into runs, and remembers what could not be told."""

    def __init__(self, memory: Memory, arch: Arch, shared: SharedLeaves) -> None:
        self._memory = memory
        self._arch = arch
        self._shared = shared
        self.ambiguous: list[Ambiguous] = []
        self._used_often: Frames = np.empty(0, np.uint64)

    def notes(self) -> tuple[str, ...]:
        """Say which of the shared pages was written to."""
        frames = [frame for frame in (self._shared.identity, self._shared.missing) if frame is not None]
        written = _written_words(self._memory, frames)
        return tuple(
            f"{count} words of the shared page {frame:#x} are not all ones"
            for frame, count in written.items()
            if count
        )

    def runs(self, leaves: Leaves) -> list[Run]:
        """Return the runs of all leaves, in order."""
        per = self._arch.pfns_per_leaf
        found: list[Run] = []
        self._used_often = np.array(list(leaves.uses()), np.uint64)
        for span in leaves.spans:
            found.extend(self._span(span.first * per, span.leaves * per, span.frame))
        found.extend(self._single(leaves))
        found.sort()
        self.ambiguous.sort(key=lambda each: each.start)
        return found

    def _single(self, leaves: Leaves) -> Iterator[Run]:
        """Yield the runs of the leaves that are listed one by one."""
        per = self._arch.pfns_per_leaf
        if len(leaves.index) == 0:
            return
        breaks = np.diff(leaves.index) != 1
        special = self._special(leaves.frames)
        breaks |= special[1:] != special[:-1]
        breaks |= (special[1:] != 0) & (leaves.frames[1:] != leaves.frames[:-1])
        starts = np.concatenate(([0], np.flatnonzero(breaks) + 1))
        ends = np.append(starts[1:], len(leaves.index))
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            pfn = int(leaves.index[start]) * per
            if special[start]:
                yield from self._span(pfn, (end - start) * per, int(leaves.frames[start]))
                continue
            for at in range(start, end, _CHUNK):
                part = leaves.frames[at : min(at + _CHUNK, end)]
                yield from self._own(pfn + (at - start) * per, part)

    def _special(self, frames: Frames) -> NDArray[np.bool_]:
        special: NDArray[np.bool_] = frames == _NO
        for frame in (self._shared.identity, self._shared.missing):
            if frame is not None:
                special |= frames == np.uint64(frame)
        return special | np.isin(frames, self._used_often)

    def _span(self, pfn: int, count: int, frame: int) -> Iterator[Run]:
        """Yield what ``count`` pfns below one shared page are."""
        if frame == NO_MFN:
            self.unknown(pfn, count, tuple(Kind), "no p2m page is mapped here")
        elif frame == self._shared.identity:
            yield Run(pfn, count, Kind.IDENTITY, None)
        elif frame == self._shared.missing:
            yield Run(pfn, count, Kind.MISSING, None)
        else:
            page = self._memory.read_pages(np.array([frame], np.uint64))
            if not page.present[0]:
                self.unknown(pfn, count, tuple(Kind), _ABSENT)
            elif blank_pages(self._memory, [frame]):
                self.unknown(pfn, count, (Kind.IDENTITY, Kind.MISSING), _BLANK)
            elif count == self._arch.pfns_per_leaf and frame not in self._used_often:
                yield from self._own(pfn, np.array([frame], np.uint64))
            else:
                self.unknown(pfn, count, tuple(Kind), "one p2m page in several places, which holds frames")

    def _own(self, pfn: int, frames: Frames) -> Iterator[Run]:
        """Yield what the words of consecutive leaves say."""
        pages = self._memory.read_pages(frames)
        per = self._arch.pfns_per_leaf
        words = pages.words
        if self._arch.bits == 32:
            words = np.ascontiguousarray(words).view("<u4").astype(np.uint64)
        flat = words.reshape(-1)
        doubtful = ~pages.present
        blank = np.zeros(len(frames), np.bool_)
        if self._shared.identity is None:
            blank = (words == np.uint64(self._arch.invalid)).all(axis=1)
            doubtful = doubtful | blank
        edges = np.flatnonzero(np.diff(doubtful.astype(np.int8) + blank)) + 1
        bounds = [0, *edges.tolist(), len(frames)]
        for start, end in pairwise(bounds):
            at, count = pfn + start * per, (end - start) * per
            if not doubtful[start]:
                yield from word_runs(flat[start * per : end * per], at, self._arch)
            elif blank[start]:
                self.unknown(at, count, (Kind.IDENTITY, Kind.MISSING), _BLANK)
            else:
                self.unknown(at, count, tuple(Kind), _ABSENT)

    def unknown(self, pfn: int, count: int, among: tuple[Kind, ...], reason: str) -> None:
        """Remember that some frames can be several things."""
        if count <= 0:
            return
        last = self.ambiguous[-1] if self.ambiguous else None
        if last is not None and last.end == pfn and last[2:] == (among, reason):
            self.ambiguous[-1] = last._replace(end=pfn + count)
        else:
            self.ambiguous.append(Ambiguous(pfn, pfn + count, among, reason))
