"""What is typed after ``/``: an address, a frame, a PCI function, a finding, a kind of frame."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from xenp2m.draw.palette import LOOKS
from xenp2m.entry import KIND_BY_LABEL, Kind
from xenp2m.errors import UsageError
from xenp2m.machine import parse_bdf
from xenp2m.units import PAGE_SHIFT, parse_size
from xenp2m.view.scene import Layer, Place, Row

_CODE = re.compile(r"X[A-Z]\d+", re.IGNORECASE)
_FRAME = re.compile(r"(pfn|mfn)[:\s]\s*(\S+)", re.IGNORECASE)
_KINDS = KIND_BY_LABEL | {LOOKS[kind].word.lower(): kind for kind in Kind}
_EXPECTED = "0x21fff000000, 64G, pfn:0x1000, mfn:0x1000, 82:00.0, XP101 or missing"


def is_code(text: str) -> bool:
    """Whether a text is the code of a finding, or the beginning of one."""
    return _CODE.fullmatch(text.strip()) is not None


def search(text: str, layer: Layer, cursor: int, findings: Sequence[Row], *, back: bool = False) -> Place:
    """Return where to go for a text: of several places the next after ``cursor``, or ``back`` before it.

    Raises UsageError when it is nothing that can be looked for, or is not there.
    """
    wanted = text.strip()
    if is_code(wanted):
        hits = [row.place for row in findings if row.code.startswith(wanted.upper()) and row.place]
        return _next(hits, cursor, back, f"no finding {wanted.upper()} that has a place")
    if (match := _FRAME.fullmatch(wanted)) is not None:
        return _frame(layer, match[1].lower(), _number(match[2], text))
    if wanted.lower() in _KINDS:
        kind = _KINDS[wanted.lower()]
        runs = (Place(run.pfn, run.end) for run in layer.map if run.kind is kind)
        return _next(runs, cursor, back, f"no frame below the end of the map is {LOOKS[kind].word}")
    name, _, index = wanted.partition("/")
    try:
        bdf = parse_bdf(name)
    except UsageError:
        frame = _number(wanted, text) >> PAGE_SHIFT
        return Place(frame, frame + 1)
    known = f"{bdf}/{index}"
    marks = [
        mark.place for mark in layer.bars if (mark.name == known if index else mark.name.startswith(known))
    ]
    return _next(marks, cursor, back, f"no BAR of {wanted}")


def _frame(layer: Layer, side: str, frame: int) -> Place:
    if side == "mfn":
        found = layer.pfn_of(frame)
        if found is None:
            raise UsageError(f"no guest frame of {layer.name} is known for machine frame {frame:#x}")
        frame = found
    return Place(frame, frame + 1)


def _number(text: str, asked: str) -> int:
    try:
        return parse_size(text)
    except UsageError:
        raise UsageError("cannot look for it", expected=_EXPECTED, found=repr(asked)) from None


def _next(places: Iterable[Place], cursor: int, back: bool, none: str) -> Place:
    ordered = sorted(places, reverse=back)
    if not ordered:
        raise UsageError(none)
    follows = (each for each in ordered if (each.start < cursor if back else each.start > cursor))
    return next(follows, ordered[0])
