"""What a fleet is made from: files, folders, archives, lines of NDJSON, the catalogue, one item a machine.

* A file whose text is a JSON object a line (NDJSON, plain or compressed; always by the names ``*.ndjson`` and
  ``*.jsonl``) holds a machine a line.
* Any other file (a log, a capture, an archive, a support bundle) is one machine, or as many as the archive
  turns out to hold when it is worked on.
* A folder that holds what ``xenp2m predict FOLDER`` knows by name (dmesg.txt, proc/iomem, sos_commands, ...)
  is one machine.  Of any other folder each file and each folder in it is looked at by the same rules; links,
  hidden files, fleets and what is no plain file are passed over.
* Objects below a URL that fsspec reaches are as files below a folder, except that of objects which were not
  named themselves only those with "json" in their name are looked into for lines.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from xenp2m.capture.bundle.kinds import Part, classify, unpacked_name
from xenp2m.capture.bundle.limits import MAX_FOLDERS, MAX_LISTED
from xenp2m.catalogue import PREFIX, Entry, entries, lookup
from xenp2m.errors import FormatError, LimitError, UsageError, Xenp2mError
from xenp2m.fleet.carry import with_content
from xenp2m.fleet.content import (
    LONGEST_LINE,
    as_bytes,
    clean,
    digest_of,
    file_digest,
    folder_digest,
    folder_size,
    head_of,
    is_ndjson,
    lines,
    open_plain,
    record_name,
    size_of,
    unpacked,
)
from xenp2m.fleet.item import Item
from xenp2m.fleet.listing import MOST_ROOTED, ROOTS, Found, Listing
from xenp2m.fleet.reach import identity, is_private, is_url, plain, shown
from xenp2m.fleet.store import MANIFEST
from xenp2m.units import format_size


@dataclass
class Sources:
    """The inputs that ``names`` stand for, as items.

    ``total`` are the bytes of what has been found, ``done`` those that were gone through: how far it is.
    ``salt`` goes into every key: the program and its options.
    """

    names: Sequence[str]
    salt: bytes
    done: int = 0
    total: int = 0
    _listings: dict[str, Listing] = field(default_factory=dict)

    def measure(self) -> None:
        """Find out how much there is.  Raises UsageError for a source that is not there."""
        for name in self.names:
            if name.startswith(PREFIX):
                self.total += sum(1 for _ in _named(name))
            elif is_url(name):
                self._listings[name] = Listing(name)
                self.total += self._listings[name].size
            else:
                self.total += sum(size_of(place) for path in _expanded(name) for place, _ in _machines(path))

    def items(self) -> Iterator[Item]:
        """Yield every item, source by source."""
        for name in self.names:
            if name.startswith(PREFIX):
                yield from self._catalogue(name)
                continue
            if is_url(name):
                yield from self._objects(self._listings.get(name) or Listing(name))
                continue
            for path in _expanded(name):
                for place, label in _machines(path):
                    yield from self._at(place, label)

    def _item(self, place: str, name: str, content: bytes, **more: Any) -> Item:
        number = hashlib.blake2b(as_bytes(place), digest_size=8).digest()
        key = hashlib.blake2b(number + content, digest_size=16, key=self.salt).digest()
        return Item(number=int.from_bytes(number), key=key, name=clean(name), **more)

    def _catalogue(self, name: str) -> Iterator[Item]:
        for entry in _named(name):
            data = json.dumps(dict(entry.record)).encode()
            place = f"{PREFIX}{entry.id}"
            yield self._item(
                place, entry.id, digest_of(data), source=place, form="record", size=len(data), data=data
            )
            self.done += 1

    def _at(self, path: str, label: str) -> Iterator[Item]:
        place = os.path.abspath(path)  # noqa: PTH100 - a path is a text here, as the input wrote it
        size = size_of(path)
        try:
            if os.path.isdir(path):  # noqa: PTH112
                yield self._item(
                    place, label, folder_digest(path), source=path, form="folder", size=folder_size(path)
                )
                return
            with open_plain(path) as file:
                head = head_of(file, path, size)
                file.seek(0)
                if is_ndjson(head, path):
                    yield from self._records(file, path, place, size)
                    return
                content = file_digest(file)
            yield self._item(place, label, content, source=path, form="file", size=size)
        except OSError as error:
            yield self._bad(place, label, path, size, f"cannot read: {error.strerror or error}")
        except Xenp2mError as error:
            yield self._bad(place, label, path, size, str(error))
        finally:
            self.done += size

    def _objects(self, listing: Listing) -> Iterator[Item]:
        end = self.done + listing.size
        for found in listing:
            yield from self._object(found)
        self.done = end  # with what was passed over

    def _object(self, found: Found) -> Iterator[Item]:
        place, where = identity(found.url), shown(found.url)
        started = self.done
        try:
            if _holds_records(found, where):
                with found.open() as file:
                    yield from self._records(file, where, place, found.size)
                return
            form = "folder" if found.is_folder else "file"
            item = self._item(
                place, found.label, found.digest(), source=found.url, form=form, size=found.size
            )
            yield with_content(item) if is_private(found.url) else item
        except (Xenp2mError, FileNotFoundError) as error:
            reason = "it is not there any more" if isinstance(error, FileNotFoundError) else str(error)
            yield self._bad(place, found.label, where, found.size, reason, "unreachable")
        finally:
            self.done = started + found.size

    def _bad(
        self, place: str, label: str, path: str, size: int, reason: str, kind: str = "unreadable"
    ) -> Item:
        content = digest_of(reason.encode("utf-8", "replace"))
        problem = (kind, clean(" ".join(reason.split())))
        return self._item(place, label, content, source=path, form="file", size=size, problem=problem)

    def _records(self, file: IO[bytes], path: str, place: str, size: int) -> Iterator[Item]:
        """Yield a file's lines; what is damaged is an item of its own, and ends the file."""
        reader = unpacked(file, path, size)
        started = self.done
        number = 0
        try:
            for number, line in enumerate(lines(reader), start=1):
                self.done = started + min(file.tell(), size)
                where = f"{path}, line {number}"
                if line is None:
                    reason = f"a line of more than {format_size(LONGEST_LINE)}"
                    yield self._bad(f"{place}\0{number}", f"line {number}", where, 0, reason, "too large")
                elif line.strip():
                    name = record_name(line)
                    content = digest_of(line)
                    yield self._item(
                        f"{place}\0{name or content.hex()}",
                        name or f"line {number}",
                        content,
                        source=where,
                        form="record",
                        size=len(line),
                        data=line,
                    )
        except (FormatError, LimitError) as error:
            kind = "too large" if isinstance(error, LimitError) else "unreadable"
            reason = f"what follows line {number} cannot be read: {error}"
            yield self._bad(f"{place}\0damage", f"after line {number}", path, 0, reason, kind)
        finally:
            self.done = started


def _holds_records(found: Found, where: str) -> bool:
    """Whether an object holds a machine a line; only those that may are looked into."""
    if found.is_folder or not (found.is_asked or "json" in found.label):
        return False
    if is_ndjson(b"", where):
        return True
    with found.open() as file:
        return is_ndjson(head_of(file, where, found.size), where)


def _named(name: str) -> Iterator[Entry]:
    return entries() if name == PREFIX else iter([lookup(name)])


def _expanded(name: str) -> list[str]:
    """Return the paths that a source names; raises UsageError when there is none."""
    name = plain(name)
    if os.path.lexists(name):
        return [name]
    is_pattern = glob.has_magic(name)
    found = sorted(glob.glob(name, recursive=True)) if is_pattern else []  # noqa: PTH207 - paths as written
    if not found:
        raise UsageError(
            "no such source", where=name, expected="a file, a folder, a pattern that fits some, or catalogue:"
        )
    return found


def _machines(path: str) -> Iterator[tuple[str, str]]:
    """Yield the path and the name of everything below ``path`` that is one machine, or lines of them."""
    if not os.path.isdir(path) or _is_machine(path):  # noqa: PTH112
        yield path, Path(path).name or path
        return
    yield from _below(path, "", MAX_FOLDERS)


def _below(folder: str, label: str, depth: int) -> Iterator[tuple[str, str]]:
    try:
        with os.scandir(folder) as found:
            inside = sorted(found, key=lambda entry: entry.name)
    except OSError:
        yield folder, label or Path(folder).name
        return
    for entry in inside:
        name = f"{label}/{entry.name}" if label else entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_file(follow_symlinks=False):
            yield entry.path, name
        elif entry.is_dir(follow_symlinks=False) and not Path(entry.path, MANIFEST).exists():
            if depth == 0 or _is_machine(entry.path):
                yield entry.path, name
            else:
                yield from _below(entry.path, name, depth - 1)


def _is_machine(folder: str) -> bool:
    """Whether a folder holds, at its top, what is known by name: then it is one machine."""
    for name in _files_near(folder):
        hits = classify(unpacked_name(name))
        if any(not hit.root and hit.part is not Part.EARLIER for hit in hits):
            return True
    return False


def _files_near(folder: str) -> Iterator[str]:
    """Yield the files of a folder, and those of folders that are known to lie at the top of a bundle."""
    level = [""]
    for depth in range(MOST_ROOTED):
        below: list[str] = []
        for name in level:
            try:
                with os.scandir(Path(folder, name)) as found:
                    inside = sorted(found, key=lambda entry: entry.name)
            except OSError:
                continue
            for entry in inside[:MAX_LISTED]:
                path = f"{name}/{entry.name}" if name else entry.name
                if entry.is_file(follow_symlinks=False):
                    yield path
                elif entry.is_dir(follow_symlinks=False) and (depth or entry.name in ROOTS):
                    below.append(path)
        level = below
