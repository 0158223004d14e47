"""Entries of memory maps as Linux and Xen print them, and the maps that they form."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from xenp2m.capture.model import Note, Severity
from xenp2m.capture.text import QUOTE, Line, Text
from xenp2m.errors import FormatError, LimitError
from xenp2m.machine import E820Entry, E820Type

TYPE = (
    rb"\(?(persistent(?: RAM| memory)? \(type \d{1,10}\)|type \d{1,10}|(?:device |kernel |soft )?reserved"
    rb"|usable|System RAM|ACPI +(?:data|tables?|NVS|non-volatile storage)|unusable(?: memory)?"
    rb"|persistent memory(?: \(legacy\))?|special purpose)(?![\w-])"
)
"""A type as printed: Linux's words and numbers of all versions, in or without parentheses."""

_NAMES = {
    b"usable": E820Type.RAM,
    b"system ram": E820Type.RAM,
    b"reserved": E820Type.RESERVED,
    b"device reserved": E820Type.RESERVED,
    b"unknown e820 type": E820Type.RESERVED,
    b"acpi data": E820Type.ACPI,
    b"acpi table": E820Type.ACPI,
    b"acpi tables": E820Type.ACPI,
    b"acpi nvs": E820Type.NVS,
    b"acpi non-volatile storage": E820Type.NVS,
    b"unusable": E820Type.UNUSABLE,
    b"unusable memory": E820Type.UNUSABLE,
    b"persistent memory": E820Type.PMEM,
    b"persistent memory (legacy)": E820Type.PRAM,
    b"kernel reserved": E820Type.RESERVED_KERN,
    b"soft reserved": E820Type.SOFT_RESERVED,
    b"special purpose": E820Type.SOFT_RESERVED,
}
_NUMBER = re.compile(rb"type (\d{1,15})")
_ELISION = re.compile(
    QUOTE + rb"[\[(<]?[ \t]{0,8}(?:\.{2,}|\xe2\x80\xa6|snip\b|cut\b|trimmed\b)", re.IGNORECASE | re.MULTILINE
)
_HEADER = re.compile(rb"(?:RAM|Dom0 memory) map:")
_DIGIT = re.compile(rb"[0-9a-f]")
_TOP = 1 << 64
CUT = "the last entry line is cut; entries may be missing"
_ALIKE = 24
"""How many characters of a cut line must look like the line before it, digits aside."""
MAX_ENTRIES = 16384
"""The most map lines read from one boot; Linux's own table holds 3200 entries at most."""
_NEAR = 12
"""Lines that other messages may take up between two entries of one map."""


def type_number(word: bytes) -> int | None:
    """Return the type that a printed word stands for, or None for a word that is no type."""
    key = b" ".join(word.lower().split())
    number = _NUMBER.search(key)
    if number:
        return int(number[1])
    known = _NAMES.get(key)
    return None if known is None else int(known)


def checked_range(text: Text, at: int, start: int, end: int) -> tuple[int, int]:
    """Return ``(start, end)`` of a range on the line at ``at``; raises FormatError naming file and line."""
    if start >= _TOP or end > _TOP:
        raise FormatError(
            "address over 64 bits",
            where=text.where(at),
            expected="at most 16 hex digits",
            found=f"{max(start, end):#x}",
        )
    if end < start:
        raise FormatError(
            "range ends before it starts", where=text.where(at), found=f"{start:#x} to {end:#x} (exclusive)"
        )
    return start, end


def make_entry(text: Text, at: int, start: int, end: int, kind: int) -> E820Entry:
    """Return an entry ``[start, end)`` of the line at ``at``; raises FormatError naming file and line."""
    return E820Entry(*checked_range(text, at, start, end), kind)


class Located(NamedTuple):
    """An entry, the offset of its line, and the depth of the mail quoting that it stands in."""

    at: int
    entry: E820Entry
    depth: int


class Group(NamedTuple):
    """Entries that stand together in the text: one printed map, or an excerpt of one."""

    at: int
    end: int
    entries: tuple[E820Entry, ...]


def group(text: Text, found: Iterable[Located]) -> list[Group]:
    """Split entries into the maps that they form: by headers, by distance, and by quoting depth."""
    groups: list[list[Located]] = []
    for number, item in enumerate(found, 1):
        last = groups[-1][-1] if groups else None
        if last is None or item.depth != last.depth or _apart(text, last.at, item.at):
            groups.append([])
        groups[-1].append(item)
        if number > MAX_ENTRIES:
            raise LimitError(
                "too many lines of memory maps", where=text.where(item.at), expected=f"at most {MAX_ENTRIES}"
            )
    return [Group(g[0].at, g[-1].at, tuple(item.entry for item in g)) for g in groups]


def _apart(text: Text, before: int, after: int) -> bool:
    between = text.data[before:after]
    return between.count(b"\n") > _NEAR or _HEADER.search(between) is not None


def choose(text: Text, groups: list[Group], what: str) -> tuple[Group | None, list[Note]]:
    """Return the map of a text that holds several groups, and notes on the others.

    A later group that goes on above the first is its continuation (lines between were left out); one whose
    entries are all in the larger is a quotation of it; else the longest wins, of equals the last.
    """
    if not groups:
        return None, []
    notes: list[Note] = []
    merged = [groups[0]]
    for item in groups[1:]:
        last = merged[-1]
        continues = item.entries[0].start >= max(e.end for e in last.entries) and not _HEADER.search(
            text.data[last.end : item.at]
        )
        if continues:
            merged[-1] = Group(last.at, item.end, last.entries + item.entries)
        else:
            merged.append(item)
    best = max(enumerate(merged), key=lambda pair: (len(pair[1].entries), pair[0]))[1]
    known = set(best.entries)
    rivals = [item for item in merged if not known.issuperset(item.entries)]
    if rivals:
        notes.append(
            Note(
                Severity.WARNING,
                f"{len(merged)} {what} maps that differ; the longest is used ({len(best.entries)} entries)",
                text.where(best.at),
            )
        )
    if _ELISION.search(text.data, best.at, text.line_at(best.end).start):
        notes.append(Note(Severity.WARNING, f"lines were left out of the {what} map", text.where(best.at)))
    cut = _cut_line(text, best)
    if cut is not None:
        notes.append(Note(Severity.WARNING, CUT, text.where(cut.start)))
    return best, notes


def _cut_line(text: Text, best: Group) -> Line | None:
    """Return the text's last line if it has no end and starts like the entry before it."""
    entry = text.line_at(best.end)
    after = text.line_after(entry) if text.is_cut else None
    if after is None or not after.text.strip() or text.line_after(after) is not None:
        return None
    length = min(len(after.text), _ALIKE)
    alike = _DIGIT.sub(b"0", after.text[:length]) == _DIGIT.sub(b"0", entry.text[:length])
    return after if alike else None
