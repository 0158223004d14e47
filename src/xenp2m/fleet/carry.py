"""Bringing an input and the process that works on it together, where that is not the same machine."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

from xenp2m.capture.bundle import files_to_read
from xenp2m.capture.bundle.limits import MAX_LISTED
from xenp2m.errors import LimitError, Xenp2mError
from xenp2m.fleet.content import folder_files, open_plain
from xenp2m.fleet.item import Item
from xenp2m.fleet.listing import open_url
from xenp2m.fleet.reach import UnreachableError, filesystem, is_url, shown, telling
from xenp2m.units import GIB, MIB, format_size

MOST_SENT = 256 * MIB
"""Bytes of one input that are sent to another machine."""
MOST_FETCHED = 2 * GIB
"""Bytes of one input that are fetched."""
_PIECE = MIB


def with_content(item: Item) -> Item:
    """Return an item that carries what its file or folder holds; a record does already.

    One that cannot be read or is too large to be sent has that for its problem.
    """
    if item.form == "record" or item.problem is not None or item.files:
        return item
    try:
        return replace(item, files=tuple(_content(item)))
    except OSError as error:
        reason = f"cannot read: {error.strerror or error}"
    except LimitError as error:
        return replace(item, problem=("not sent", str(error)))
    except Xenp2mError as error:
        reason = str(error).removeprefix(f"{error.where}: ") if error.where else str(error)
    return replace(item, problem=("unreadable", reason))


def _content(item: Item) -> Iterator[tuple[str, bytes]]:
    left = MOST_SENT
    for name, file in _files(item):
        with file:
            data = file.read(left + 1)
        left -= len(data)
        if left < 0:
            raise LimitError(
                f"too large to be sent to another machine (more than {format_size(MOST_SENT)}); "
                "put it where the workers reach it by a URL"
            )
        yield name, data


def _files(item: Item) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the names and the files of an item that are wanted."""
    source = item.source
    if item.form == "file":
        yield "", open_url(source, item.size) if is_url(source) else open_plain(source)
        return
    names = _names_below(source) if is_url(source) else [name for name, _ in folder_files(source)]
    for name in files_to_read(names, shown(source))[0]:
        path = f"{source}/{name}"
        yield name, open_url(path, item.size) if is_url(source) else open_plain(path)


def _names_below(url: str) -> list[str]:
    fs, path = filesystem(url)
    with telling(url):
        found = (name[len(path) + 1 :] for name in fs.find(path) if name.startswith(f"{path}/"))
        # A store's names are any text; only those that are names of files here are taken.
        names = [name for name in found if all(part not in ("", ".", "..") for part in name.split("/"))]
    names.sort(key=lambda name: (name.count("/"), name))
    return names[:MAX_LISTED]


@contextmanager
def at_hand(item: Item) -> Iterator[str]:
    """Give the path at which a file or a folder can be read while the context lasts.

    Raises UnreachableError when it is not there any more or the store cannot be reached, LimitError when it
    is too large.
    """
    if not item.files and not is_url(item.source):
        yield item.source
    elif item.form == "file":
        # A file without a name is gone with its process, however that ends.
        with tempfile.TemporaryFile() as copy:
            for _, file in _held(item):
                _copy(file, copy, MOST_FETCHED)
            copy.flush()
            yield f"/proc/self/fd/{copy.fileno()}"
    else:
        with tempfile.TemporaryDirectory(prefix="xenp2m-") as folder:
            left = MOST_FETCHED
            for name, file in _held(item):
                target = Path(folder, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as copy:
                    left -= _copy(file, copy, left)
            yield folder


def _held(item: Item) -> Iterator[tuple[str, IO[bytes]]]:
    if item.files:
        yield from ((name, io.BytesIO(data)) for name, data in item.files)
        return
    try:
        yield from _files(item)
    except FileNotFoundError as error:
        raise UnreachableError("it is not there any more") from error


def _copy(file: IO[bytes], copy: IO[bytes], most: int) -> int:
    size = 0
    with file:
        while piece := file.read(_PIECE):
            size += len(piece)
            if size > most:
                raise LimitError("too large", expected=f"at most {format_size(MOST_FETCHED)}")
            copy.write(piece)
    return size
