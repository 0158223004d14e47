"""Archives of several machines' reports or logs: the texts of one machine after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import IO

from xenp2m.capture.bundle.contents import (
    Alternatives,
    Contents,
    Kept,
    Members,
    is_known_text,
    passage,
)
from xenp2m.capture.bundle.kinds import Hit, SeveralMachinesError, choose, classify, is_wanted, reports
from xenp2m.capture.bundle.limits import MAX_REPORTS, Budget
from xenp2m.capture.bundle.walk import Walk
from xenp2m.errors import FormatError


def read_several(file: IO[bytes], name: str) -> Iterator[tuple[str, Contents]]:
    """Yield the place in an archive and the texts of each machine that it holds; ``name`` is the archive's.

    A machine is a report (a folder or an archive in it, see ``reports``), or where no name in it is known a
    text.  It is yielded when its last text was read, so that little is held of an archive in whose order
    machines follow one another.  What was read is yielded before an error is raised: FormatError where
    something could not be read, LimitError past a limit.
    """
    members = passage(file)
    hits = _hits(members, name)
    try:
        by_name = choose(hits, name) is not None
    except SeveralMachinesError:
        yield from _reports(members, reports(hits), name)
        return
    if not by_name:
        yield from _texts(members, name)


def holds_several(file: IO[bytes], name: str) -> bool:
    """Whether an archive holds reports of several machines, by the names in it."""
    try:
        choose(_hits(passage(file), name), name)
    except SeveralMachinesError:
        return True
    return False


def _hits(members: Members, name: str) -> list[Hit]:
    return [hit for member in members(_walk(name)) for hit in classify(member.path)]


def _walk(name: str) -> Walk:
    return Walk(name, Budget(name, most_archives=MAX_REPORTS), ": ")


def _reports(members: Members, found: dict[str, list[Hit]], name: str) -> Iterator[tuple[str, Contents]]:
    root_of = {hit.path: root for root, hits in found.items() for hit in hits if is_wanted(hit.path)}
    left = Counter(root_of.values())
    held: dict[str, Kept] = {}
    walk = _walk(name)
    for member in members(walk):
        root = root_of.get(member.path)
        if root is None:
            continue
        kept = held.setdefault(root, Kept(Walk(f"{name}: {root.rstrip('/')}", walk.budget, ": ")))
        if member.path in kept.texts:  # the archive has it twice
            continue
        kept.add(member)
        left[root] -= 1
        if not left[root]:
            choice = choose(found[root], kept.walk.name)
            walk.budget.keep(-sum(len(text.data) for text in kept.texts.values()))
            del held[root]
            if choice is not None:
                yield root.rstrip("/"), kept.contents(choice)
    _finish(walk)


def _texts(members: Members, name: str) -> Iterator[tuple[str, Contents]]:
    walk = _walk(name)
    for member in members(walk):
        if is_known_text(member):
            kept = Kept(walk)
            kept.add(member)
            text = kept.texts[member.path]
            walk.budget.keep(-len(text.data))
            yield member.path, Contents((Alternatives(frozenset(), (text,)),), tuple(kept.notes.values()))
    _finish(walk)


def _finish(walk: Walk) -> None:
    """Raise FormatError for what the passage could not read: there may have been machines in it."""
    walk.finish()
    if walk.notes:
        first, *more = map(str, walk.notes)
        raise FormatError(f"{first}, and {len(more)} more like that" if more else first)
