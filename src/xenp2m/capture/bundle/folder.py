"""Folders: listed first, so that only what is needed is opened."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from xenp2m.capture.bundle.contents import Contents, gather
from xenp2m.capture.bundle.kinds import choose, classify, unpacked_name
from xenp2m.capture.bundle.limits import MAX_FOLDERS, MAX_LISTED
from xenp2m.capture.bundle.walk import Member, Walk
from xenp2m.capture.model import Note, Severity
from xenp2m.errors import InputError, UsageError

_KNOWN = "dmesg.txt, xl-dmesg.txt, iomem.txt, lspci.txt, an unpacked sos report, an archive, ..."


def read_folder(path: Path) -> Contents:
    """Read the texts of a folder, and of the folders and archives in it; links in it are not followed.

    Raises UsageError when nothing in it is known or it holds reports of several machines, InputError for a
    file that cannot be read, and what ``read_archive`` raises.
    """
    listing = _list(path)
    hits = {file: classify(unpacked_name(file)) for file in listing.files}
    choice = choose((hit for found in hits.values() for hit in found), str(path))
    if choice is not None:
        chosen = {name for names in (*choice.members, choice.earlier) for name in names}
        wanted = [file for file in listing.files if unpacked_name(file) in chosen]
    else:
        wanted = listing.files

    def members(walk: Walk) -> Iterator[Member]:
        for name in wanted:
            yield from _open(path, name, walk, must=choice is not None)

    contents = gather(members, str(path), join=os.sep)
    if not contents.parts:
        found = "; ".join(str(note) for note in contents.notes[:1])
        raise UsageError("no known file in the folder", where=str(path), expected=_KNOWN, found=found)
    return Contents(contents.parts, (*contents.notes, *listing.notes))


@dataclass
class _Listing:
    """The plain files of a folder, those near the top first, as paths below it."""

    files: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def _list(folder: Path) -> _Listing:
    listing = _Listing()
    level = [""]
    for _ in range(MAX_FOLDERS):
        below: list[str] = []
        for name in level:
            try:
                entries = sorted(os.scandir(folder / name), key=lambda entry: entry.name)
            except OSError as error:
                if not name:
                    raise InputError(f"cannot read: {error.strerror or error}", where=str(folder)) from error
                continue
            for entry in entries:
                place = f"{name}/{entry.name}" if name else entry.name
                if entry.is_dir(follow_symlinks=False):
                    below.append(place)
                elif entry.is_file(follow_symlinks=False):
                    listing.files.append(place)
            if len(listing.files) + len(below) > MAX_LISTED:
                told = f"a folder of more than {MAX_LISTED} files: those deep in it are not looked at"
                listing.notes.append(Note(Severity.WARNING, told, str(folder)))
                return listing
        level = below
    return listing


def _open(folder: Path, name: str, walk: Walk, *, must: bool) -> Iterator[Member]:
    """Open one file; ``must`` says whether it is an error when that fails."""
    try:
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if must:
            raise InputError(f"cannot read: {error.strerror or error}", where=str(folder / name)) from error
        return
    with os.fdopen(descriptor, "rb") as file:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            walk.budget.packed += os.fstat(descriptor).st_size
            yield from walk.members(file, name)
