"""``/sys/firmware/memmap`` (drivers/firmware/memmap.c): one range a folder, with files start, end and type.

Read as lines ``index start end type`` or as the output of ``grep . /sys/firmware/memmap/*/*``.  Ends are
inclusive.  Bare metal shows firmware's map there; a Xen PV kernel shows its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from xenp2m.capture.maplines import make_entry, type_number
from xenp2m.capture.model import FoundMap, Note, Reading, Severity
from xenp2m.capture.text import QUOTE, SMALL, Text
from xenp2m.machine import E820Entry, MapSource

NAME = "/sys/firmware/memmap"

_LINE = re.compile(
    QUOTE + rb"(\d{1,15}):?[ \t]+(0x[0-9a-f]+)[ \t]+(0x[0-9a-f]+)[ \t]+([A-Za-z][^\n]*)",
    re.MULTILINE | re.IGNORECASE,
)
_GREP = re.compile(QUOTE + rb"\S{0,80}?memmap/(\d{1,15})/(start|end|type):[ \t]*([^\n]+)", re.MULTILINE)
_HEX = re.compile(rb"0x[0-9a-f]+", re.IGNORECASE)


class _Listing(NamedTuple):
    """One listing: where it starts, and by the index of each range its files and what they say."""

    at: int
    rows: dict[int, dict[bytes, bytes]]


def matches(text: Text) -> bool:
    """Whether the text is such a listing."""
    if b"memmap/" in text:
        return _GREP.search(text.data) is not None
    return len(text.data) <= SMALL and _LINE.search(text.data) is not None


def read(text: Text, boot: int | None) -> Reading:
    """Read the longest listing, of equals the last, by its index; raises FormatError for a wrong range."""
    del boot
    listings = _listings(text)
    number, (first, rows) = max(enumerate(listings, 1), key=lambda pair: (len(pair[1].rows), pair[0]))
    entries: list[E820Entry] = []
    for index in sorted(rows):
        row = rows[index]
        kind = type_number(row.get(b"type", b""))
        low, high = (_HEX.fullmatch(row.get(name, b"")) for name in (b"start", b"end"))
        if kind is not None and low and high:
            entries.append(make_entry(text, first, int(low[0], 16), int(high[0], 16) + 1, kind))
    where = text.where(first)
    notes = []
    if any(listing.rows != rows for listing in listings):
        told = f"{len(listings)} different /sys/firmware/memmap listings; number {number} is used"
        notes.append(Note(Severity.WARNING, told, where))
    if len(entries) < len(rows):
        told = f"{len(rows) - len(entries)} of {len(rows)} ranges are not complete, ignored"
        notes.append(Note(Severity.WARNING, told, where))
    found = FoundMap(source=MapSource.FIRMWARE, entries=tuple(entries), where=where)
    return Reading(format=NAME, maps=(found,) if entries else (), notes=tuple(notes))


def _listings(text: Text) -> list[_Listing]:
    listings: list[_Listing] = []
    for at, index, said in _said(text):
        if not listings or said.keys() & listings[-1].rows.get(index, {}).keys():
            listings.append(_Listing(at, {}))
        listings[-1].rows.setdefault(index, {}).update(said)
    return listings


def _said(text: Text) -> Iterator[tuple[int, int, dict[bytes, bytes]]]:
    """Yield what each line says of a range: its offset, the index of the range, and the values."""
    if b"memmap/" in text:
        for match in _GREP.finditer(text.data):
            yield match.start(), int(match[1]), {match[2]: match[3].strip()}
        return
    for match in _LINE.finditer(text.data):
        yield match.start(), int(match[1]), {b"start": match[2], b"end": match[3], b"type": match[4]}
