"""Readers of the texts that people paste: boot logs, Xen's console, /proc/iomem, lspci.

``read_text`` and ``read_files`` give a Capture: the machine, what its kernel logged, and notes on what was
chosen, what is missing and what contradicts.  Errors are those of ``xenp2m.errors``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from xenp2m.capture import facts, formats
from xenp2m.capture.merge import Part, merge
from xenp2m.capture.model import Capture, LoggedRange, Note, Observed, Severity, SourceNote
from xenp2m.capture.text import MAX_TEXT, Text, load
from xenp2m.errors import InputError, LimitError, MissingFactError, UsageError
from xenp2m.machine import MapSource
from xenp2m.units import format_size

__all__ = [
    "Capture",
    "LoggedRange",
    "Note",
    "Observed",
    "Severity",
    "SourceNote",
    "formats",
    "read_files",
    "read_record",
    "read_text",
    "require_map",
]

MEMBERS = (
    "xen-console.txt",
    "hypervisor.log",
    "xl-dmesg.txt",
    "dmesg.txt",
    "dmesg",
    "iomem.txt",
    "iomem",
    "memmap.txt",
    "pci.txt",
    "lspci.txt",
    "machine.json",
)
"""The files that are read from a folder, in this order; others in it are left alone."""

_WANTED = "add dmesg (its first lines), Xen's console (xl dmesg) or /proc/iomem read as root"


def read_text(text: bytes | str, name: str, *, boot: int | None = None) -> Capture:
    """Read one text.

    ``name`` is what messages call it; ``boot`` counts the boots in a log from 1, None is the last with a map.

    The capture of a text that holds BARs but no map has an empty ``machine.e820`` (see ``require_map``).
    Raises MissingFactError for an empty text or one of no known format, FormatError for a binary one or a map
    that cannot be, LimitError for one over 1 GiB, UsageError when there is no such boot.
    """
    parts = _parts(load(text, name), boot)
    _check_boot(parts, boot)
    return merge(parts)


def read_files(paths: Iterable[str | Path], *, boot: int | None = None) -> Capture:
    """Read the files of one machine and merge them; "-" is standard input, a folder means its known members.

    Raises what ``read_text`` raises, InputError for a file that cannot be read, UsageError for no file.
    """
    parts: list[Part] = []
    for path in _expand(paths):
        parts += _parts(load(_content(path), "standard input" if path == "-" else str(path)), boot)
    if not parts:
        raise UsageError(
            "no file to read", expected="a boot log, /proc/iomem, lspci, or - for standard input"
        )
    _check_boot(parts, boot)
    return merge(parts)


def read_record(record: Mapping[str, Any], name: str) -> Capture:
    """Turn one record of collected machine facts into a capture; ``name`` is what messages call it.

    A record without a RAM map gives a capture whose ``machine.e820`` is empty (see ``require_map``).
    Raises FormatError when a field is missing or malformed.
    """
    return merge([Part(name, facts.read_record(record, where=name), 0)])


def require_map(capture: Capture) -> Capture:
    """Return the capture if it has a map to predict from; else raise MissingFactError saying what it has."""
    machine = capture.machine
    if machine.e820 and machine.e820_source is not MapSource.PHYSMEM:
        return capture
    if machine.e820:
        found = f"a list of {len(machine.e820)} chunks of RAM without what lies between"
    elif machine.bars:
        found = "PCI BARs only"
    else:
        found = ", ".join(dict.fromkeys(source.format for source in capture.sources)) or "nothing"
    lack = next((note.text for note in capture.notes if note.lacks == "map"), "")
    where = ", ".join(dict.fromkeys(source.name for source in capture.sources))
    raise MissingFactError(f"no memory map: found {found}; {lack or _WANTED}", where=where)


def _parts(text: Text, boot: int | None) -> list[Part]:
    found = formats.detect(text)
    if not found:
        raise MissingFactError(
            f"no memory map and no PCI BARs: no line of a known text; {_WANTED}", where=text.name
        )
    return [Part(text.name, item.read(text, boot), item.bar_rank) for item in found]


def _check_boot(parts: list[Part], boot: int | None) -> None:
    most = max((part.reading.boots for part in parts), default=1)
    if boot is not None and not 1 <= boot <= most:
        raise UsageError("no such boot", where=parts[0].name, expected=f"1 to {most}", found=str(boot))


def _expand(paths: Iterable[str | Path]) -> Iterator[str | Path]:
    for path in paths:
        if path != "-" and Path(path).is_dir():
            members = [Path(path) / member for member in MEMBERS]
            present = [member for member in members if member.is_file()]
            if not present:
                raise UsageError("no known file in the folder", where=str(path), expected=", ".join(MEMBERS))
            yield from present
        else:
            yield path


def _content(path: str | Path) -> bytes:
    if path == "-":
        return sys.stdin.buffer.read(MAX_TEXT + 1)
    try:
        size = Path(path).stat().st_size
        if size > MAX_TEXT:
            limit = format_size(MAX_TEXT)
            raise LimitError(
                "text too large", where=str(path), expected=f"at most {limit}", found=format_size(size)
            )
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror or error}", where=str(path)) from error
