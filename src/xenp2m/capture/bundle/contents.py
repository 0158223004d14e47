"""The texts of a bundle: those that its kind is known to hold, else those that are recognised by content."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, NamedTuple

from xenp2m.capture import formats
from xenp2m.capture.bundle.kinds import PLAIN, Choice, Hit, choose, classify, is_wanted
from xenp2m.capture.bundle.limits import CHUNK, MAX_EXAMINED, MAX_FOUND, MAX_TEXT, Budget
from xenp2m.capture.bundle.streams import CutError
from xenp2m.capture.bundle.walk import Member, Walk
from xenp2m.capture.model import Note, Severity
from xenp2m.capture.text import Text, binary_kind
from xenp2m.errors import MissingFactError
from xenp2m.units import format_size

Members = Callable[[Walk], Iterator[Member]]
"""A passage through a bundle; it can be made more than once."""


class RawText(NamedTuple):
    """A member that is to be read: what messages call it, and its bytes."""

    name: str
    data: bytes


class Alternatives(NamedTuple):
    """Texts that tell the same of one machine, the best first: when one gives ``gives``, it is enough.

    ``gives`` names facts as notes name them: "map", "bars".
    """

    gives: frozenset[str]
    texts: tuple[RawText, ...]


@dataclass(frozen=True, slots=True)
class Contents:
    """What a bundle holds of its machine, and notes on what was chosen and what was left alone.

    ``by_content`` says that no name in it was known, and its texts are all that look like one.
    """

    parts: tuple[Alternatives, ...]
    notes: tuple[Note, ...]
    by_content: bool = False


def read_archive(file: IO[bytes], name: str) -> Contents:
    """Read the texts of an archive or a compressed file; ``name`` is what messages call it.

    Raises FormatError for damage, LimitError for what no real bundle is, MissingFactError when nothing in it
    is known, SeveralMachinesError when it holds reports of several machines.
    """
    contents = gather(passage(file), name)
    if not contents.parts:
        raise MissingFactError(
            "no member is a known text",
            where=name,
            expected="a boot log, Xen's console, /proc/iomem, lspci -vv or a machine of xenp2m",
            found="; ".join(str(note) for note in contents.notes[:1]),
        )
    return contents


def passage(file: IO[bytes]) -> Members:
    """Return the passage through an archive or a compressed file."""
    size = file.seek(0, 2)

    def members(walk: Walk) -> Iterator[Member]:
        file.seek(0)
        walk.budget.packed = size
        return walk.members(file)

    return members


def gather(members: Members, name: str, join: str = ": ") -> Contents:
    """Go through a bundle and keep the texts of its machine; there may be none.

    ``join`` stands between the bundle's name and a member's in messages.
    Raises what ``read_archive`` raises.
    """
    walk = Walk(name, Budget(name), join)
    kept = Kept(walk)
    hits: list[Hit] = []
    for member in members(walk):
        if not member.path:
            kept.add(member)
            return Contents((Alternatives(frozenset(), (kept.texts[""],)),), kept.all_notes())
        hits += classify(member.path)
        if is_wanted(member.path):
            kept.add(member)
    walk.finish()
    choice = choose(hits, name)
    return _by_content(members, name, join) if choice is None else kept.contents(choice)


@dataclass
class Kept:
    """The members of a passage that were kept, by path, and what there is to say of each."""

    walk: Walk
    texts: dict[str, RawText] = field(default_factory=dict)
    notes: dict[str, Note] = field(default_factory=dict)

    def add(self, member: Member) -> None:
        """Read a member, at most MAX_TEXT of it."""
        reader, pieces, left = member.reader, [], MAX_TEXT
        told = ""
        try:
            while left and (piece := reader.read(min(left, CHUNK))):
                pieces.append(piece)
                left -= len(piece)
            if not left and reader.peek(1):
                told = f"only the first {format_size(MAX_TEXT)} of it are read"
        except CutError as error:
            told = f"{error.message}; what stands before is used"
        data = b"".join(pieces)
        self.walk.budget.keep(len(data))
        self.texts[member.path] = RawText(reader.name, data)
        if told:
            self.notes[member.path] = Note(Severity.WARNING, told, reader.name)

    def all_notes(self) -> tuple[Note, ...]:
        """Return what there is to say of all of them."""
        return (*self.walk.notes, *self.notes.values())

    def contents(self, choice: Choice) -> Contents:
        """Return the chosen ones."""
        name = self.walk.name
        parts = tuple(
            Alternatives(gives, tuple(self.texts[path] for path in paths))
            for gives, paths in zip(choice.gives, choice.members, strict=True)
        )
        chosen = [path for paths in choice.members for path in paths]
        return Contents(parts, (*self._about(choice, name), *self.walk.notes, *self._of(chosen)))

    def _of(self, paths: list[str]) -> list[Note]:
        return [self.notes[path] for path in paths if path in self.notes]

    def _about(self, choice: Choice, name: str) -> Iterator[Note]:
        if choice.kind != PLAIN:
            count = sum(len(paths) for paths in choice.members)
            told = f"{choice.kind}: {count} known members; of each part the best is used"
            yield Note(Severity.INFO, told, name)
        if choice.earlier:
            told = f"logs of earlier boots are not used: {_some(choice.earlier)}"
            yield Note(Severity.INFO, told, name)
        if choice.others:
            yield Note(Severity.INFO, f"also in it, not used: {_some(choice.others)}", name)


def _by_content(members: Members, name: str, join: str) -> Contents:
    walk = Walk(name, Budget(name), join)
    kept = Kept(walk)
    for examined, member in enumerate(members(walk)):
        if examined == MAX_EXAMINED or len(kept.texts) == MAX_FOUND:
            told = f"{examined} members were looked at and {len(kept.texts)} are read; the rest is not"
            walk.notes.append(Note(Severity.WARNING, told, name))
            break
        if is_known_text(member):
            kept.add(member)
    walk.finish()
    if not kept.texts:
        return Contents((), tuple(walk.notes))
    told = f"members known by what they hold: {_some(tuple(kept.texts))}"
    note = Note(Severity.INFO, told, name)
    parts = tuple(Alternatives(frozenset(), (text,)) for text in kept.texts.values())
    return Contents(parts, (note, *kept.all_notes()), by_content=True)


def is_known_text(member: Member) -> bool:
    """Whether a member looks like a text that can be read."""
    head = member.reader.peek(CHUNK)
    return bool(head.strip()) and not binary_kind(head) and bool(formats.detect(Text(member.path, head)))


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
