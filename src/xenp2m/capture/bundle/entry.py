"""What archives yield: a name, and the bytes under it where it is a plain file."""

from __future__ import annotations

from typing import NamedTuple

from xenp2m.capture.bundle.limits import MAX_NAME
from xenp2m.capture.bundle.streams import Source
from xenp2m.printable import printable


class Entry(NamedTuple):
    """One member of an archive.

    ``source`` is None for what is no file of its own (folders, links, devices) or cannot be read; ``lack``
    then says why, if that is worth saying.
    """

    name: str
    source: Source | None
    lack: str = ""


def clean_name(raw: bytes) -> str:
    """Return a member's name for matching and for messages.

    It never names a file of this system, so an absolute name or one with ``..`` is a name like others.
    """
    text = raw[:MAX_NAME].decode("utf-8", "replace").replace("\\", "/")
    parts = [part for part in text.split("/") if part not in {"", "."}]
    return printable("/".join(parts)) or "?"
