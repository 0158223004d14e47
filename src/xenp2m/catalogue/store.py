"""The data file of the catalogue, and looking machines up in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

import zstandard

from xenp2m.catalogue.model import PREFIX, Entry, RecordKind, Source
from xenp2m.errors import UsageError

DATA = "machines.ndjson.zst"
"""The data file in this package: a JSON object a line, in the order of their ids."""

_NEAR = 3
_SHORTEST_PREFIX = 4


def entries() -> Iterator[Entry]:
    """Yield every machine, in the order of their ids."""
    return iter(_all())


def lookup(name: str) -> Entry:
    """Return the machine of that name: its id, the first letters of it (four at least), or its product.

    Words of a product are enough, if no other machine's product has them.
    Raises UsageError when there is none, naming the nearest, or more than one.
    """
    name = name.removeprefix(PREFIX)
    known = {entry.id: entry for entry in _all()}
    if name in known:
        return known[name]
    found = [entry for entry in _all() if entry.id.startswith(name)] if len(name) >= _SHORTEST_PREFIX else []
    named = [entry for entry in _all() if name.strip() and _has_words(entry.product, name.split())]
    found = found or [entry for entry in named if entry.product.casefold() == name.casefold()] or named
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            "several machines of the catalogue have this name",
            where=f"{PREFIX}{name}",
            expected="an id",
            found=_listed(found),
        )
    products = [entry.product for entry in _all() if entry.product]
    near = get_close_matches(name, [*known, *products], n=_NEAR, cutoff=0.5)
    hint = f"{', '.join(near)}" if near else "an id or a product from xenp2m catalogue"
    raise UsageError("no such machine in the catalogue", where=f"{PREFIX}{name}", expected=hint)


def search(words: Sequence[str]) -> list[Entry]:
    """Return the machines in whose id, product, firmware, kind or source every word stands."""
    return [
        entry
        for entry in _all()
        if _has_words(f"{entry.id} {entry.product} {entry.firmware} {entry.kind.value} {entry.source}", words)
    ]


def _has_words(text: str, words: Iterable[str]) -> bool:
    folded = text.casefold()
    return all(word.casefold() in folded for word in words)


def _listed(found: Sequence[Entry]) -> str:
    ids = ", ".join(entry.id for entry in found[:_NEAR])
    return ids if len(found) <= _NEAR else f"{ids} and {len(found) - _NEAR} more"


@cache
def _all() -> tuple[Entry, ...]:
    packed = files(__package__).joinpath(DATA).read_bytes()
    lines = zstandard.ZstdDecompressor().decompressobj().decompress(packed).splitlines()
    return tuple(entry_of(json.loads(line)) for line in lines)


def entry_of(record: Mapping[str, Any]) -> Entry:
    """Return the entry of one record of the data file."""
    return Entry(
        id=record["id"],
        kind=RecordKind(record["kind"]),
        source=Source(**record["source"]),
        record=record,
        product=record.get("product", ""),
        firmware=record.get("firmware", ""),
        firmware_year=record.get("bios_year"),
        published=record.get("year"),
        is_virtual=record["virt"],
    )
