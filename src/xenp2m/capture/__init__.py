"""Readers of the texts that people paste: boot logs, Xen's console, /proc/iomem, lspci.

``read_text`` and ``read_files`` give a Capture: the machine, what its kernel logged, and notes on what was
chosen, what is missing and what contradicts.  Errors are those of ``xenp2m.errors``.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from xenp2m.capture import bundle, facts, formats
from xenp2m.capture.merge import Part, merge
from xenp2m.capture.model import Capture, LoggedRange, MemoryFigures, Note, Observed, Severity, SourceNote
from xenp2m.capture.text import MAX_TEXT, Text, binary_kind, load
from xenp2m.errors import InputError, LimitError, MissingFactError, UsageError, Xenp2mError
from xenp2m.machine import MapSource
from xenp2m.units import MIB, format_size

__all__ = [
    "Capture",
    "LoggedRange",
    "MemoryFigures",
    "Note",
    "Observed",
    "Severity",
    "SourceNote",
    "formats",
    "read_files",
    "read_machines",
    "read_record",
    "read_text",
    "require_map",
]

_WANTED = "add dmesg (its first lines), Xen's console (xl dmesg) or /proc/iomem read as root"

_TEXTS = "a boot log, /proc/iomem, lspci, or - for standard input"

_PIECE = MIB


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


def read_files(paths: Iterable[str | Path], *, boot: int | None = None, called: str = "") -> Capture:
    """Read the files of one machine and merge them; "-" is standard input.

    A folder, an archive or a compressed file means the texts of the machine that it holds
    (``xenp2m.capture.bundle``).  ``called`` is what messages call the path of a copy.

    Raises what ``read_text`` raises, InputError for a file that cannot be read, UsageError for no file or for
    several machines in one bundle.
    """
    parts: list[Part] = []
    notes: list[Note] = []
    for path in paths:
        if not str(path):
            raise UsageError("a file name is empty", expected=_TEXTS)
        if path != "-" and Path(path).is_dir():
            name = called or str(path)
            parts += _from_bundle(bundle.read_folder(Path(path), name), name, boot, notes)
            continue
        name = called or ("standard input" if path == "-" else str(path))
        with _opened(path) as file:
            if bundle.is_bundle(file.read(bundle.HEAD)):
                parts += _from_bundle(bundle.read_archive(file, name), name, boot, notes)
            else:
                parts += _parts(load(_content(file, name), name), boot)
    if not parts:
        raise UsageError("no file to read", expected=_TEXTS)
    _check_boot(parts, boot)
    capture = merge(parts)
    return replace(capture, notes=(*notes, *capture.notes))


def read_machines(path: str | Path, *, called: str = "") -> Iterator[tuple[str, Capture | Xenp2mError]]:
    """Read the machines that a file, a folder or an archive holds, each with its place in an archive.

    The place is "" for all but archives of several machines: those with reports in several folders, or with
    several texts that hold a map of the same kind and are not known by name.  Of such an archive each machine
    is a capture or the error that reading it gave.  Raises what ``read_files`` raises.
    """
    name = called or str(path)
    if not Path(path).is_dir():
        with _opened(path) as file:
            if bundle.is_bundle(file.read(bundle.HEAD)):
                yield from _machines_in(file, name)
                return
    yield "", read_files([path], called=called)


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


def _from_bundle(contents: bundle.Contents, name: str, boot: int | None, notes: list[Note]) -> Iterator[Part]:
    """Read a bundle: of texts that tell the same, those up to the first that lacks nothing."""
    notes += contents.notes
    alone = sum(len(item.texts) for item in contents.parts) == 1
    unknown: list[str] = []
    used = 0
    for item in contents.parts:
        for raw in item.texts:
            if not alone and (not raw.data.strip() or binary_kind(raw.data)):
                continue
            text = load(raw.data, raw.name)
            found = _parts(text, boot) if alone or formats.detect(text) else []
            if not found:
                unknown.append(raw.name)
                continue
            yield from found
            used += 1
            lacks = {note.lacks for part in found for note in part.reading.notes}
            if not item.gives & lacks:
                break
    if unknown:
        notes.append(Note(Severity.INFO, f"nothing of use in {', '.join(unknown)}", name))
    if not used:
        raise MissingFactError(
            f"no memory map and no PCI BARs: its logs are empty or hold neither; {_WANTED}", where=name
        )


def _machines_in(file: IO[bytes], name: str) -> Iterator[tuple[str, Capture | Xenp2mError]]:
    try:
        contents = bundle.read_archive(file, name)
        capture, parts = _captured(contents, name)
        if not (contents.by_content and _are_several(parts)):
            yield "", capture
            return
    except bundle.SeveralMachinesError:
        pass
    except LimitError:  # too much for one machine
        if not bundle.holds_several(file, name):
            raise
    for place, contents in bundle.read_several(file, name):
        try:
            found: Capture | Xenp2mError = _captured(contents, f"{name}: {place}")[0]
        except Xenp2mError as error:
            found = error
        yield place, found


def _captured(contents: bundle.Contents, name: str) -> tuple[Capture, list[Part]]:
    notes: list[Note] = []
    parts = list(_from_bundle(contents, name, None, notes))
    capture = merge(parts)
    return replace(capture, notes=(*notes, *capture.notes)), parts


def _are_several(parts: list[Part]) -> bool:
    """Whether two texts hold a map of the same kind, which one machine's texts have no need for."""
    seen: dict[MapSource, str] = {}
    return any(
        seen.setdefault(found.source, part.name) != part.name for part in parts for found in part.reading.maps
    )


@contextmanager
def _opened(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a file to read and to seek in; standard input, pipes and /proc files are read first."""
    if path == "-":
        yield _read_first(sys.stdin.buffer)
        return
    try:
        with Path(path).open("rb") as file:
            yield file if os.fstat(file.fileno()).st_size else _read_first(file)
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror or error}", where=str(path)) from error


def _read_first(stream: IO[bytes]) -> IO[bytes]:
    """Read a stream in pieces, because ``read`` allocates all that it is asked for."""
    held = io.BytesIO()
    while held.tell() <= MAX_TEXT and (piece := stream.read(_PIECE)):
        held.write(piece)
    held.seek(0)
    return held


def _content(file: IO[bytes], name: str) -> bytes:
    size = file.seek(0, io.SEEK_END)
    if size > MAX_TEXT:
        raise LimitError(
            "text too large",
            where=name,
            expected=f"at most {format_size(MAX_TEXT)}",
            found=format_size(size),
        )
    file.seek(0)
    return file.read()
