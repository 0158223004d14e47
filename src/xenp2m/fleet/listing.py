"""What lies at a URL: objects and folders of objects that stand for machines, as on a disk.

A store is asked for all names below a folder at once, as that is a request a thousand objects; they are held
as names, sizes and tags.  A tag is the hash of what the store says of an object's content (ETag, a checksum):
with it nothing is read to find out that nothing has changed.
"""

from __future__ import annotations

import glob
import hashlib
import io
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, cast

from xenp2m.capture.bundle.kinds import KINDS, Part, classify, unpacked_name
from xenp2m.capture.bundle.limits import MAX_FOLDERS, MAX_LISTED
from xenp2m.errors import UsageError
from xenp2m.fleet.content import as_bytes, digest_of
from xenp2m.fleet.reach import filesystem, reason_of, shown, telling
from xenp2m.fleet.store import MANIFEST
from xenp2m.units import MIB

ROOTS = frozenset(path.partition("/")[0] for kind in KINDS for _, path in kind.members if "/" in path)
"""Folders that lie at the top of one machine's bundle."""
MOST_ROOTED = 5
"""How deep what is known by name lies in them."""

_TAGS = (
    *("ETag", "etag", "md5Hash", "content_md5", "contentMD5", "Content-MD5", "Digest", "crc32c"),
    *("Last-Modified", "LastModified", "last_modified", "mtime", "updated"),
)
"""What stores call their word on an object's content, the best first; a time is better than nothing."""
_MOST_FOLDERS = 4096
"""Folders of which each may cost a request of its own."""
_PIECE = MIB
_WHOLE = 16 * MIB
"""Objects up to this size are fetched in one request."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object, or a folder of objects that is one machine: its URL, its name for people, its bytes.

    ``tags`` are those of its objects by name; None where the store says nothing of an object's content.
    ``is_asked`` says whether its URL was given as it is.
    """

    url: str
    label: str
    size: int
    tags: tuple[tuple[str, bytes | None], ...]
    is_folder: bool = False
    is_asked: bool = False

    def digest(self) -> bytes:
        """Hash what the results depend on; objects without a tag are read.  Raises InputError."""
        digest = hashlib.blake2b(digest_size=16)
        for name, tag in self.tags:
            digest.update(as_bytes(f"\0{name}\0"))
            digest.update(tag if tag is not None else self._content(name))
        return digest.digest()

    def open(self) -> IO[bytes]:
        """Open an object to read from its start on.  Raises InputError, FileNotFoundError."""
        return open_url(self.url)

    def _content(self, name: str) -> bytes:
        digest = hashlib.blake2b(digest_size=16)
        url = f"{self.url}/{name}" if self.is_folder else self.url
        with open_url(url) as file, telling(url):
            while piece := file.read(_PIECE):
                digest.update(piece)
        return digest.digest()


def open_url(url: str, size: int = 0) -> IO[bytes]:
    """Open an object to read from its start on; ``size`` are its bytes, 0 if that is not known.

    Raises UnreachableError, FileNotFoundError, UsageError.
    """
    fs, path = filesystem(url)
    with telling(url):
        if 0 < size <= _WHOLE:
            # Stores that are told the range need not be asked for the size first.
            return io.BytesIO(fs.cat_file(path, start=0, end=size))
        return cast(IO[bytes], _Told(url, fs.open(path, "rb", block_size=4 * MIB)))


class _Told:
    """A file whose errors are told as those of its URL."""

    def __init__(self, url: str, file: IO[bytes]) -> None:
        self._url = url
        self._file = file

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""
        with telling(self._url):
            return self._file.read(size)

    def tell(self) -> int:
        """Return how far it is."""
        return self._file.tell()

    def __enter__(self) -> _Told:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class Listing:
    """Everything at a URL or pattern that is one machine, or lines of them; ``size`` are its bytes."""

    def __init__(self, url: str) -> None:
        """Ask the store; raises UsageError when nothing is there, UnreachableError when it cannot be had."""
        fs, path = filesystem(url)
        self._places: list[Found | _Below] = []
        reason = ""
        try:
            with telling(url):
                if glob.has_magic(path) and not url.startswith("http"):
                    for each, info in sorted(fs.glob(path, detail=True).items()):
                        self._places.append(_at(fs, _joined(url, path, each), info))
                else:
                    self._places.append(_at(fs, url, fs.info(path), is_asked=True))
        except FileNotFoundError as error:
            # Of the web, what went wrong is the cause.
            reason = reason_of(error.__cause__ or error, url)
        if not any(isinstance(place, Found) or len(place) for place in self._places):
            expected = "an object, a folder of objects or a pattern"
            raise UsageError("no such source", where=shown(url), expected=expected, found=reason)
        self.size = sum(place.size for place in self._places)

    def __iter__(self) -> Iterator[Found]:
        for place in self._places:
            if isinstance(place, Found):
                yield place
            else:
                yield from place


def _joined(url: str, path: str, found: str) -> str:
    """Return the URL of a path that a pattern found: the URL's start, then what the path has more."""
    end = path.find("*") if "*" in path else len(path)
    end = min([end, *(path.find(letter) for letter in "?[" if letter in path)])
    start = path.rfind("/", 0, end) + 1
    return url[: len(url) - len(path) + start] + found[start:]


def _at(fs: Any, url: str, info: dict[str, Any], *, is_asked: bool = False) -> Found | _Below:
    if info["type"] == "directory" or url.endswith("/"):
        return _Below(fs, url.rstrip("/"))
    name = url.partition("?")[0].rpartition("/")[2]
    return Found(url, name, _size(info), ((name, _tag(info)),), is_asked=is_asked)


def _size(info: dict[str, Any]) -> int:
    return int(info.get("size") or 0)


def _tag(info: dict[str, Any]) -> bytes | None:
    told = next((str(info[name]) for name in _TAGS if info.get(name)), None)
    return None if told is None else digest_of(as_bytes(f"{told} {info.get('size')}"))


def _objects(fs: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the paths below a path; a store's own description of an object is large, so folder by folder."""
    inside = fs.ls(path, detail=True)
    folders = [info["name"] for info in inside if info["type"] == "directory"]
    if len(folders) > _MOST_FOLDERS:
        yield from fs.find(path, detail=True).items()
        return
    yield from ((info["name"], info) for info in inside)
    for folder in folders:
        yield from fs.find(folder, detail=True).items()


class _Below:
    """The objects below a URL, sorted by name, so that those of a folder follow each other."""

    def __init__(self, fs: Any, url: str) -> None:
        self._url = url
        path = fs._strip_protocol(url).rstrip("/")
        rows = sorted(
            (name[len(path) + 1 :], _size(info), _tag(info))
            for name, info in _objects(fs, path)
            if info["type"] == "file" and name.startswith(f"{path}/") and not name.endswith("/")
        )
        self._names = [row[0] for row in rows]
        self._sizes = array("Q", (row[1] for row in rows))
        self._tags = [row[2] for row in rows]
        self.size = sum(self._sizes)

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[Found]:
        if self._is_machine(0, len(self._names), 0):
            yield self._folder("", 0, len(self._names))
        else:
            yield from self._inside("", 0, len(self._names), MAX_FOLDERS)

    def _inside(self, folder: str, first: int, end: int, depth: int) -> Iterator[Found]:
        at = first
        while at < end:
            name, slash, _ = self._names[at][len(folder) :].partition("/")
            if not slash:
                if not name.startswith("."):
                    yield self._file(at)
                at += 1
                continue
            inner = f"{folder}{name}/"
            last = bisect_left(self._names, f"{folder}{name}0", at, end)  # "0" follows "/"
            if not name.startswith(".") and name and not self._has(f"{inner}{MANIFEST}", at, last):
                if depth == 0 or self._is_machine(at, last, len(inner)):
                    yield self._folder(inner, at, last)
                else:
                    yield from self._inside(inner, at, last, depth - 1)
            at = last

    def _has(self, name: str, first: int, end: int) -> bool:
        at = bisect_left(self._names, name, first, end)
        return at < end and self._names[at] == name

    def _file(self, at: int) -> Found:
        name = self._names[at]
        tags = ((name.rpartition("/")[2], self._tags[at]),)
        return Found(f"{self._url}/{name}", name, self._sizes[at], tags)

    def _folder(self, folder: str, first: int, end: int) -> Found:
        url = f"{self._url}/{folder}".rstrip("/")
        rows = range(first, min(end, first + MAX_LISTED))
        label = folder.rstrip("/") or shown(url).rpartition("/")[2]
        tags = tuple((self._names[at][len(folder) :], self._tags[at]) for at in rows)
        return Found(url, label, sum(self._sizes[at] for at in rows), tags, is_folder=True)

    def _is_machine(self, first: int, end: int, length: int) -> bool:
        """Whether a folder holds, at its top, what is known by name: then it is one machine."""
        for at in range(first, end):
            name = self._names[at][length:]
            depth = name.count("/")
            if depth and (depth >= MOST_ROOTED or name.partition("/")[0] not in ROOTS):
                continue
            if any(not hit.root and hit.part is not Part.EARLIER for hit in classify(unpacked_name(name))):
                return True
        return False
