"""What stands in an input: whether it holds records, its lines, the hash that its results are kept under."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from typing import IO

from xenp2m.capture.bundle.kinds import unpacked_name
from xenp2m.capture.bundle.limits import MAX_LISTED, Budget
from xenp2m.capture.bundle.streams import Reader, Unpacked, compression
from xenp2m.errors import FormatError, UsageError
from xenp2m.units import GIB, MIB

HASHED = GIB
"""Bytes of one input that its key follows; of what lies past them, size and time."""
LONGEST_LINE = 32 * MIB
"""The longest line of NDJSON that is read."""

_HEAD = MIB
_PIECE = MIB
_NDJSON = re.compile(r"\.(?:ndjson|jsonl)$")
_ID = re.compile(rb'\{\s*"id"\s*:\s*"([\w.:+-]{1,100})"')


def open_plain(path: str) -> IO[bytes]:
    """Open a file; raises OSError, and UsageError for a pipe, a device or a folder."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UsageError("not a plain file")
    return os.fdopen(descriptor, "rb")


def unpacked(file: IO[bytes], path: str, size: int) -> Reader:
    """Return a reader of what a file of ``size`` bytes holds, whatever it is compressed with."""
    reader = Reader(file, path)
    budget = Budget(path, packed=size)
    while (method := compression(reader.peek(8))) is not None:
        reader = Reader(Unpacked(reader, method, budget), path)
    return reader


def head_of(file: IO[bytes], path: str, size: int) -> bytes:
    """Return the first bytes of what a file of ``size`` bytes holds, none where it is damaged."""
    try:
        return unpacked(file, path, size).peek(_HEAD)
    except FormatError:
        return b""


def is_ndjson(head: bytes, path: str) -> bool:
    """Whether a text is a JSON object a line."""
    if _NDJSON.search(unpacked_name(path)):
        return True
    first, newline, rest = head.lstrip().partition(b"\n")
    if not newline or not first.startswith(b"{") or not rest.lstrip().startswith(b"{"):
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def lines(reader: Reader) -> Iterator[bytes | None]:
    """Yield the lines of a stream; None for one that is too long, which is passed over."""
    held: list[bytes] = []
    length = 0
    while piece := reader.read(_PIECE):
        *whole, rest = piece.split(b"\n")
        for line in whole:
            yield b"".join([*held, line]) if length + len(line) <= LONGEST_LINE else None
            held, length = [], 0
        length += len(rest)
        if length <= LONGEST_LINE:
            held.append(rest)
        else:
            held = []
    if length:
        yield b"".join(held) if length <= LONGEST_LINE else None


def record_name(line: bytes) -> str:
    """Return what a record is called; "" where it does not say."""
    match = _ID.match(line)
    if match:
        return match[1].decode()
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return ""
    found = value.get("id") or value.get("name") if isinstance(value, dict) else None
    return found[:200] if isinstance(found, str) else ""


def digest_of(data: bytes) -> bytes:
    """Hash some bytes."""
    return hashlib.blake2b(data, digest_size=16).digest()


def file_digest(file: IO[bytes], most: int = HASHED) -> bytes:
    """Hash a file's content; of one larger than ``most`` also its size and time."""
    digest = hashlib.blake2b(digest_size=16)
    left = most
    while left and (piece := file.read(min(left, _PIECE))):
        digest.update(piece)
        left -= len(piece)
    if not left:
        found = os.fstat(file.fileno())
        digest.update(f"{found.st_size} {found.st_mtime_ns}".encode())
    return digest.digest()


def folder_files(folder: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield the plain files below a folder, with their names there."""
    count = 0
    for place, folders, _ in os.walk(folder, followlinks=False):
        folders.sort()
        with os.scandir(place) as found:
            inside = sorted(found, key=lambda entry: entry.name)
        for entry in inside:
            if entry.is_file(follow_symlinks=False):
                count += 1
                if count > MAX_LISTED:
                    return
                yield os.path.relpath(entry.path, folder), entry


def folder_digest(folder: str) -> bytes:
    """Hash the names and contents of a folder's files; of those past HASHED bytes sizes and times."""
    digest = hashlib.blake2b(digest_size=16)
    left = HASHED
    for name, entry in folder_files(folder):
        found = entry.stat(follow_symlinks=False)
        digest.update(as_bytes(f"\0{name}\0{found.st_size}\0"))
        if found.st_size > left:
            digest.update(str(found.st_mtime_ns).encode())
            continue
        left -= found.st_size
        try:
            with open_plain(entry.path) as file:
                digest.update(file_digest(file))
        except OSError as error:
            digest.update(str(error.errno).encode())
    return digest.digest()


def folder_size(folder: str) -> int:
    """Return the bytes of a folder's files."""
    return sum(entry.stat(follow_symlinks=False).st_size for _, entry in folder_files(folder))


def size_of(path: str) -> int:
    """Return a file's bytes, 0 where that cannot be told."""
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return 0


def as_bytes(text: str) -> bytes:
    """Return the bytes of a path."""
    return text.encode("utf-8", "surrogatepass")


def clean(text: str) -> str:
    """Return a text that can be stored: what is no character is a question mark."""
    return text.encode("utf-8", "replace").decode()
