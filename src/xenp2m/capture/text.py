"""A text as bytes, searched by literal: a large log costs passes of ``bytes.find``, no loop over lines."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from xenp2m.errors import FormatError, LimitError, MissingFactError
from xenp2m.units import GIB, format_size

MAX_TEXT = GIB
"""The largest text read, in bytes: a year of a busy host's kernel log is below it."""

HEAD = 2 << 20
"""How far after the start of a boot its one-time lines are looked for, in bytes."""

_MAGIC = {
    b"\x7fELF": "an ELF file (a dump or program)",
    b"\x1f\x8b": "gzip data",
    b"\x28\xb5\x2f\xfd": "zstd data",
    b"\xfd7zXZ": "xz data",
    b"BZh": "bzip2 data",
    b"PK\x03\x04": "a zip archive",
    b"KDUMP   ": "a kdump file",
}
_ESCAPE = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
_BREAK = re.compile(rb"<(?:br ?/?|pre)>\n?")
_CLOCK = rb"(?:\[?(?=\d)[\d \t:.,TZ+-]{0,24}\d\d:\d\d:\d\d[\d:.,Z+-]{0,16}\]?[ \t]{1,64})?"
QUOTE = rb"^(?:[ \t]{0,8}[>|]){0,16}[ \t]{0,64}" + _CLOCK
"""The start of a line: mail quoting to a sane depth, indentation, the time that a terminal's log adds."""
_QUOTE = re.compile(rb"(?:[ \t]{0,8}[>|]){1,16}")
SMALL = 1 << 20
"""A text that may be searched line by line for what has no literal to look for."""
_SAMPLE = 1 << 16
_MAIL = 1 << 24
"""The largest text that may be a page of a mail archive."""


class Line(NamedTuple):
    """One line of a text, without its end: ``start`` is its offset in bytes."""

    start: int
    text: bytes


@dataclass(frozen=True)
class Text:
    """A text that was read, and what to call it in messages."""

    name: str
    data: bytes

    def __contains__(self, needle: bytes) -> bool:
        return needle in self.data

    def where(self, offset: int) -> str:
        """Name the line at ``offset``, for messages."""
        number = self.data.count(b"\n", 0, offset) + 1
        return f"{self.name}, line {number}" if self.name else f"line {number}"

    def line_at(self, offset: int) -> Line:
        """Return the line that holds the byte at ``offset``."""
        start = self.data.rfind(b"\n", 0, offset) + 1
        end = self.data.find(b"\n", offset)
        return Line(start, self.data[start : end if end >= 0 else len(self.data)])

    def line_after(self, line: Line) -> Line | None:
        """Return the next line, or None at the end."""
        end = self.data.find(b"\n", line.start)
        return None if end < 0 or end + 1 >= len(self.data) else self.line_at(end + 1)

    def lines_with(self, *needles: bytes, start: int = 0, end: int | None = None) -> Iterator[Line]:
        """Yield each line in ``[start, end)`` that holds one of the literals, once and in order."""
        stop = len(self.data) if end is None else end
        found: dict[int, Line] = {}
        for needle in needles:
            at = self.data.find(needle, start, stop)
            while at >= 0:
                line = self.line_at(at)
                found[line.start] = line
                at = self.data.find(needle, line.start + max(len(line.text), 1), stop)
        return iter([found[key] for key in sorted(found)])

    def lines(self, start: int = 0, end: int | None = None) -> Iterator[Line]:
        """Yield every line in ``[start, end)``."""
        at = start
        for raw in self.data[start:end].split(b"\n"):
            yield Line(at, raw)
            at += len(raw) + 1

    @cached_property
    def is_cut(self) -> bool:
        """Whether the last line has no end: the text may have been cut there."""
        return not self.data.endswith(b"\n")


def load(data: bytes | str, name: str) -> Text:
    """Make a Text: UTF-16 decoded, lines ended by LF, blanks that are blanks, no colours, no HTML.

    Raises FormatError for a binary file, LimitError past MAX_TEXT and MissingFactError for an empty one.
    """
    raw = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    if len(raw) > MAX_TEXT:
        raise LimitError(
            "text too large",
            where=name,
            expected=f"at most {format_size(MAX_TEXT)}",
            found=format_size(len(raw)),
        )
    if not raw or raw.isspace():
        raise MissingFactError(
            "the file is empty", where=name, expected="a boot log, /proc/iomem or lspci text"
        )
    found = binary_kind(raw)
    if found:
        raise FormatError(
            "not a text", where=name, expected="a boot log, /proc/iomem or lspci text", found=found
        )
    if raw[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raw = raw.decode("utf-16", "replace").encode()
    raw = raw.removeprefix(codecs.BOM_UTF8).replace(b"\0", b"").replace(b"\xc2\xa0", b" ")
    # Serial consoles end lines in CR LF, LF CR and CR CR LF.
    raw = raw.replace(b"\r", b"" if b"\n" in raw else b"\n")
    if b"\x1b" in raw:
        raw = _ESCAPE.sub(b"", raw)
    if len(raw) <= _MAIL:
        raw = _BREAK.sub(b"\n", raw).replace(b"&gt;", b">").replace(b"&lt;", b"<").replace(b"&nbsp;", b" ")
    return Text(name, raw)


def binary_kind(raw: bytes) -> str:
    """Say what a file is that is no text, by how it starts; an empty string for a text."""
    found = next((what for magic, what in _MAGIC.items() if raw.startswith(magic)), "")
    sample = raw[:_SAMPLE]
    if not found and raw[:2] not in {b"\xff\xfe", b"\xfe\xff"}:
        controls = len(sample) - len(sample.translate(None, bytes({*range(32)} - {*b"\t\n\r\f\b\x1b"})))
        if controls * 50 > len(sample):
            found = "binary data"
    return found


def quote_depth(line: bytes) -> int:
    """Return how deep a line is quoted in mail."""
    match = _QUOTE.match(line)
    return match[0].count(b">") + match[0].count(b"|") if match else 0


def joined(text: Text, line: Line) -> bytes:
    """Return the line with its successor appended: mail programs break long lines at blanks."""
    after = text.line_after(line)
    if after is None:
        return line.text
    return line.text.rstrip() + b" " + after.text.lstrip(b"> |\t")
