"""Going through a bundle: archives in archives, recognised by their first bytes and read forward."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO

from xenp2m.capture.bundle.cpio import is_cpio, read_cpio
from xenp2m.capture.bundle.entry import Entry
from xenp2m.capture.bundle.kinds import is_wanted, unpacked_name
from xenp2m.capture.bundle.limits import MAX_DEPTH, MAX_KEPT, Budget
from xenp2m.capture.bundle.streams import CutError, Reader, Source, Unpacked, compression
from xenp2m.capture.bundle.tar import BLOCK, is_tar, read_tar
from xenp2m.capture.bundle.zip import MAGIC, read_zip
from xenp2m.capture.model import Note, Severity
from xenp2m.errors import FormatError, LimitError
from xenp2m.progress import reporter
from xenp2m.units import format_size

HEAD = BLOCK
"""How many bytes archives are recognised by."""


@dataclass(frozen=True, slots=True)
class Member:
    """A plain file in a bundle, which must be read before the next; archives in its path count as folders."""

    path: str
    reader: Reader


@dataclass
class Walk:
    """One passage through a bundle; ``notes`` tell what could not be read.

    ``join`` stands between the bundle's name and a member's in messages.
    """

    name: str
    budget: Budget
    join: str
    notes: list[Note] = field(default_factory=list)
    _passed_over: int = 0

    def members(self, file: IO[bytes], path: str = "") -> Iterator[Member]:
        """Yield every plain file in ``file``, which is the only one itself unless it is an archive.

        ``path`` is its place in a folder.  Raises FormatError for damage and LimitError past a limit.
        """
        name = self._label(path)
        yield from self._open(Reader(_watched(file, name), name), path, 0, file)

    def finish(self) -> None:
        """Note what was passed over, after the last member."""
        if self._passed_over:
            self._note(f"{self._passed_over} more archives in it were not opened", Severity.INFO)

    def _open(self, reader: Reader, path: str, depth: int, file: IO[bytes] | None) -> Iterator[Member]:
        head, inner = reader.peek(HEAD), depth
        while (method := compression(head)) is not None:
            file, inner = None, inner + 1
            self._check_depth(inner)
            reader = Reader(Unpacked(reader, method, self.budget), reader.name)
            head = reader.peek(HEAD)
        if not _is_archive(head):
            yield Member(unpacked_name(path) if inner > depth else path, reader)
            return
        inner = max(inner, depth + 1)
        self._check_depth(inner)
        self.budget.archives += 1
        if self.budget.archives > self.budget.most_archives:
            self._passed_over += 1
            return
        try:
            for entry in self._entries(reader, head, file):
                self.budget.member()
                yield from self._member(entry, path, inner)
        except CutError as error:
            self._note(f"{error.message}; what stands before is used", where=error.where)

    def _member(self, entry: Entry, path: str, depth: int) -> Iterator[Member]:
        place = f"{path}/{entry.name}" if path else entry.name
        if entry.source is None:
            if entry.lack:
                self._note(f"{entry.lack}; not read", where=self._label(place))
            return
        try:
            yield from self._open(Reader(entry.source, self._label(place)), place, depth, None)
        except FormatError as error:
            if is_wanted(unpacked_name(place)):
                raise
            self._note(f"{error.message}; not read", where=error.where)

    def _entries(self, reader: Reader, head: bytes, file: IO[bytes] | None) -> Iterator[Entry]:
        if is_tar(head):
            return read_tar(reader)
        if is_cpio(head):
            return read_cpio(reader)
        if file is None:
            data = reader.upto(MAX_KEPT + 1)
            if len(data) > MAX_KEPT:
                raise LimitError(
                    "too large a zip archive in another",
                    where=reader.name,
                    expected=f"at most {format_size(MAX_KEPT)}",
                )
            file = io.BytesIO(data)
        return read_zip(file, reader.name, self.budget)

    def _check_depth(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise LimitError(
                "archives nested too deep", where=self.name, expected=f"at most {MAX_DEPTH} in one another"
            )

    def _label(self, path: str) -> str:
        return f"{self.name}{self.join}{path}" if path else self.name

    def _note(self, text: str, severity: Severity = Severity.WARNING, where: str = "") -> None:
        self.notes.append(Note(severity, text, where or self.name))


def is_bundle(head: bytes) -> bool:
    """Whether a file that starts with ``head`` (HEAD bytes) is an archive, or compressed."""
    return compression(head) is not None or _is_archive(head)


@dataclass(frozen=True, slots=True)
class _Watched:
    """A file whose reading is told to ``report``."""

    file: IO[bytes]
    size: int
    report: Callable[[int, int], None]

    def read(self, size: int, /) -> bytes:
        """Return the next bytes; the last call is that which finds none."""
        data = self.file.read(size)
        self.report(self.file.tell() if data else self.size, self.size)
        return data


def _watched(file: IO[bytes], name: str) -> Source:
    report = reporter(f"reading {name}")
    if report is None:
        return file
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return _Watched(file, size, report)


def _is_archive(head: bytes) -> bool:
    return head.startswith(MAGIC) or is_tar(head) or is_cpio(head)
