"""Two frame maps compared, run by run.

A machine frame that one side does not know (RAM of a prediction) is no difference, and frames whose kind a
side cannot tell are neither the same nor different, unless none of what they can be fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xenp2m.entry import NO_MFN, Kind
from xenp2m.runs import END_OF_FRAMES, Ambiguous, RunMap
from xenp2m.units import PAGE_SHIFT

DIFF_FORMAT = "xenp2m.diff/1"

_Frames = NDArray[np.uint64]
_NO = np.uint64(NO_MFN)


class Status(StrEnum):
    """How a piece of two maps compares."""

    DIFFERS = "differs"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One of the two maps: what to call it, and the frames whose kind it does not tell.

    ``predicted`` says that nothing was measured: only the hypervisor knows the machine frames of its RAM.
    """

    name: str
    map: RunMap
    ambiguous: tuple[Ambiguous, ...] = ()
    predicted: bool = False


class Half(NamedTuple):
    """One side of a piece: the kind (None: the side cannot tell), and the machine frame of the first guest
    frame, from which the others count up; None where there is none, or none that is known."""

    kind: Kind | None
    mfn: int | None

    @property
    def label(self) -> str:
        """The kind as a word; "?" where it is not known."""
        return "?" if self.kind is None else self.kind.label


class Piece(NamedTuple):
    """Frames ``[start, end)`` that are not the same in both maps, or that cannot be compared."""

    start: int
    end: int
    a: Half
    b: Half
    status: Status

    @property
    def pages(self) -> int:
        """How many frames it has."""
        return self.end - self.start


@dataclass(frozen=True, slots=True, eq=False)
class Diff:
    """Where two maps differ.  ``mfns`` says whether machine frames were compared, or kinds only."""

    a: Side
    b: Side
    pieces: tuple[Piece, ...]
    mfns: bool
    notes: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether some frame is certainly not the same."""
        return any(piece.status is Status.DIFFERS for piece in self.pieces)

    def amount(self, status: Status) -> str:
        """Say how many frames compare so: "12 frames and all from 0x8000000000 on"; "" for none."""
        pieces = [piece for piece in self.pieces if piece.status is status]
        count = sum(piece.pages for piece in pieces if piece.end < END_OF_FRAMES)
        endless = next((piece for piece in pieces if piece.end == END_OF_FRAMES), None)
        texts = [f"{count:,} frames"] if count else []
        if endless is not None:
            texts.append(f"all from {endless.start << PAGE_SHIFT:#x} on")
        return " and ".join(texts)

    @property
    def exit_status(self) -> int:
        """0 the same, 1 different, 2 cannot tell."""
        return 1 if self.differs else 2 if self.pieces else 0

    def counts(self) -> dict[tuple[str, str, Status], int]:
        """Count the frames of the pieces by the kinds on both sides."""
        found: dict[tuple[str, str, Status], int] = {}
        for piece in self.pieces:
            key = piece.a.label, piece.b.label, piece.status
            found[key] = found.get(key, 0) + piece.pages
        return found

    def regions(self) -> tuple[Piece, ...]:
        """Return the pieces joined where the kinds go on; machine frames that do not go on are then None."""
        found: list[Piece] = []
        for piece in self.pieces:
            last = found[-1] if found else None
            same = last is not None and (last.end, last.status, last.a.kind, last.b.kind) == (
                piece.start,
                piece.status,
                piece.a.kind,
                piece.b.kind,
            )
            if last is not None and same:
                found[-1] = Piece(
                    last.start, piece.end, Half(last.a.kind, None), Half(last.b.kind, None), last.status
                )
            else:
                found.append(piece)
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """Return the ``xenp2m.diff/1`` object."""
        return {
            "format": DIFF_FORMAT,
            "a": self.a.name,
            "b": self.b.name,
            "same": not self.pieces,
            "differs": self.differs,
            "mfns_compared": self.mfns,
            "pieces": [
                [
                    piece.start,
                    piece.end,
                    [piece.a.label, piece.a.mfn],
                    [piece.b.label, piece.b.mfn],
                    piece.status.value,
                ]
                for piece in self.pieces
            ],
            "counts": [[a, b, status.value, frames] for (a, b, status), frames in self.counts().items()],
            "notes": list(self.notes),
        }


def diff_maps(a: Side, b: Side, *, ignore_mfns: bool = False) -> Diff:
    """Compare two maps over all frames, those past both ends included.

    Machine frames are compared where both sides know them, unless ``ignore_mfns`` or one side is predicted.
    """
    mfns = not (ignore_mfns or a.predicted or b.predicted)
    edges = _edges(a, b)
    kinds_a, mfns_a = a.map.lookup(edges)
    kinds_b, mfns_b = b.map.lookup(edges)
    masks_a, masks_b = _among(a, edges, kinds_a), _among(b, edges, kinds_b)
    certain = _single(masks_a) & _single(masks_b)
    differs = (masks_a & masks_b) == 0
    if mfns:
        known = certain & (mfns_a != _NO) & (mfns_b != _NO)
        differs |= known & (mfns_a != mfns_b)
    listed = differs | ~certain
    ends = np.append(edges[1:], np.uint64(END_OF_FRAMES))
    pieces: list[Piece] = []
    rows = np.flatnonzero(listed)
    for row in rows.tolist():
        status = Status.DIFFERS if differs[row] else Status.UNKNOWN
        piece = Piece(
            int(edges[row]),
            int(ends[row]),
            _half(masks_a[row], kinds_a[row], mfns_a[row] if mfns else _NO, edges[row]),
            _half(masks_b[row], kinds_b[row], mfns_b[row] if mfns else _NO, edges[row]),
            status,
        )
        if pieces and _continues(pieces[-1], piece):
            pieces[-1] = pieces[-1]._replace(end=piece.end)
        else:
            pieces.append(piece)
    notes = []
    if a.map.arch != b.map.arch:
        notes.append(f"the guests are not of one width: {a.map.arch.name} and {b.map.arch.name}")
    return Diff(a, b, tuple(pieces), mfns, tuple(notes))


def _edges(a: Side, b: Side) -> _Frames:
    """Return every frame at which one of the maps changes, from 0 on."""
    parts = [np.zeros(1, np.uint64)]
    for side in (a, b):
        parts += [side.map.starts, np.array([side.map.end_pfn], np.uint64)]
        parts.append(np.array([edge for each in side.ambiguous for edge in each[:2]], np.uint64))
    edges = np.unique(np.concatenate(parts))
    return edges[edges < np.uint64(END_OF_FRAMES)]


def _among(side: Side, edges: _Frames, kinds: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return what each piece can be, as a bit a kind."""
    masks = np.left_shift(np.uint8(1), kinds)
    for each in side.ambiguous:
        low, high = np.searchsorted(edges, np.array([each.start, each.end], np.uint64))
        masks[low:high] = sum(1 << kind for kind in each.among)
    return masks


def _single(masks: NDArray[np.uint8]) -> NDArray[np.bool_]:
    single: NDArray[np.bool_] = (masks & (masks - np.uint8(1))) == 0
    return single


def _half(mask: np.uint8, kind: np.uint8, mfn: np.uint64, pfn: np.uint64) -> Half:
    value = int(mask)
    if value & (value - 1):
        return Half(None, None)
    own = kind == Kind.IDENTITY and mfn == pfn
    return Half(Kind(int(kind)), None if own or mfn == _NO else int(mfn))


def _continues(before: Piece, after: Piece) -> bool:
    if (before.end, before.status) != (after.start, after.status):
        return False
    pages = before.pages
    return all(
        old.kind == new.kind and (new.mfn is None if old.mfn is None else new.mfn == old.mfn + pages)
        for old, new in ((before.a, after.a), (before.b, after.b))
    )
