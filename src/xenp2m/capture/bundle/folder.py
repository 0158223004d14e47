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


def read_folder(path: Path, called: str = "") -> Contents:
    """Read the texts of a folder, and of the folders and archives in it; links in it are not followed.

    ``called`` is what messages call the folder, its path by default.
    Raises UsageError when nothing in it is known or it holds reports of several machines, InputError for a
    file that cannot be read, and what ``read_archive`` raises.
    """
    where = called or str(path)
    listing = _list(path, where)
    wanted, is_known = files_to_read(listing.files, where)

    def members(walk: Walk) -> Iterator[Member]:
        for name in wanted:
            yield from _open(path, name, walk, must=is_known)

    contents = gather(members, where, join=os.sep)
    if not contents.parts:
        found = "; ".join(str(note) for note in contents.notes[:1])
        raise UsageError("no known file in the folder", where=where, expected=_KNOWN, found=found)
    return Contents(contents.parts, (*contents.notes, *listing.notes))


def files_to_read(files: list[str], where: str) -> tuple[list[str], bool]:
    """Return those of a folder's files that are read, and whether they are known by name; else it is all.

    Raises UsageError when they are reports of several machines; ``where`` is what it calls the folder.
    """
    hits = {file: classify(unpacked_name(file)) for file in files}
    choice = choose((hit for found in hits.values() for hit in found), where)
    if choice is None:
        return files, False
    chosen = {name for names in (*choice.members, choice.earlier) for name in names}
    return [file for file in files if unpacked_name(file) in chosen], True


@dataclass
class _Listing:
    """The plain files of a folder, those near the top first, as paths below it."""

    files: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def _list(folder: Path, where: str) -> _Listing:
    listing = _Listing()
    level = [""]
    for _ in range(MAX_FOLDERS):
        below: list[str] = []
        for name in level:
            try:
                entries = sorted(os.scandir(folder / name), key=lambda entry: entry.name)
            except OSError as error:
                if not name:
                    raise InputError(f"cannot read: {error.strerror or error}", where=where) from error
                continue
            for entry in entries:
                place = f"{name}/{entry.name}" if name else entry.name
                if entry.is_dir(follow_symlinks=False):
                    below.append(place)
                elif entry.is_file(follow_symlinks=False):
                    listing.files.append(place)
            if len(listing.files) + len(below) > MAX_LISTED:
                told = f"a folder of more than {MAX_LISTED} files: those deep in it are not looked at"
                listing.notes.append(Note(Severity.WARNING, told, where))
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
