"""Inputs as they are handed on: one item a machine, several in a chunk."""

from __future__ import annotations

from dataclasses import dataclass, field

from xenp2m.fleet.content import clean
from xenp2m.fleet.reach import shown
from xenp2m.prediction import WhatIf


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One input that stands for one machine; an archive may turn out to hold several.

    ``number`` is the machine's key, ``key`` the hash of what its results depend on.  ``data`` is the text of
    a record; of a file or a folder ``source`` is the path or the URL.  ``files`` is what a file ("") or a
    folder (names below it) holds, where the one who works on it may not reach ``source``.  ``new`` says
    whether the rows that do not depend on a kernel are wanted.  ``problem`` (kind, reason) is why it cannot
    be used, if that is known already.
    """

    number: int
    key: bytes
    name: str
    source: str
    form: str
    size: int
    data: bytes = b""
    files: tuple[tuple[str, bytes], ...] = ()
    new: bool = True
    problem: tuple[str, str] | None = None

    @property
    def machine(self) -> str:
        """The machine's key as the tables have it."""
        return f"{self.number:016x}"

    @property
    def place(self) -> str:
        """Where it was read from, for people: a path may hold bytes that are no characters, a URL secrets."""
        return clean(shown(self.source))

    @property
    def bytes_held(self) -> int:
        """The bytes that it carries."""
        return len(self.data) + sum(len(data) for _, data in self.files)


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one call of ``work`` does: every item under every kernel, with the same what-ifs."""

    items: tuple[Item, ...]
    kernels: tuple[str, ...]
    what_if: WhatIf = field(default_factory=WhatIf)
