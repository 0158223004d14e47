"""Running a fleet: every input under every kernel, in many processes, from where the last run stopped."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import xenp2m
from xenp2m.errors import UsageError, Xenp2mError
from xenp2m.fleet.compact import compact
from xenp2m.fleet.gathered import Gathered, Packed, pack
from xenp2m.fleet.index import COLUMNS, Done, Numbers
from xenp2m.fleet.item import Chunk, Item
from xenp2m.fleet.pool import Limits, Pool
from xenp2m.fleet.reach import shown
from xenp2m.fleet.schema import WORK
from xenp2m.fleet.sources import Sources
from xenp2m.fleet.store import (
    LocalStore,
    Manifest,
    Part,
    Store,
    adopted,
    files_of,
    parts_of,
    read_manifest,
    read_table,
    sweep,
    write_manifest,
    write_part,
)
from xenp2m.prediction import WhatIf
from xenp2m.rules import rules_for
from xenp2m.units import GIB, MIB

KERNELS = ("3.15", "series", "6.1")
"""The kernels of a fleet when none are asked for: before the series, with it, and a recent one."""

LIMITS = Limits(seconds=60, memory=3 * GIB)
"""What one input may take by default: real ones take milliseconds, and support bundles seconds."""

_MOST_BYTES = 4 * MIB
_FILE_COST = 64 * 1024
"""What opening and reading a file costs beside its bytes, in bytes of records."""
_RESULTS = ("boot", "capture", "catalogue", "check", "fleet", "machine", "mmu", "p2m")
"""The packages that results depend on, beside the top modules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a run is to do: its sources, kernels and what-ifs, in how many processes, under which limits.

    ``together`` is the most inputs that are done, and kept, as one: what a stop can cost a process.  Where
    results are sent to one process to be kept, that is done every ``seconds_together`` seconds.
    """

    sources: Sequence[str]
    kernels: Sequence[str] = KERNELS
    what_if: WhatIf = field(default_factory=WhatIf)
    jobs: int = 1
    limits: Limits = LIMITS
    together: int = 128
    seconds_together: float = 10.0


@dataclass(slots=True)
class Tally:
    """How far a run is: inputs gone through and kept from before, and rows that it has added.

    ``share`` is the part of the sources that was gone through, 0 to 1.
    """

    inputs: int = 0
    kept: int = 0
    predictions: int = 0
    failures: int = 0
    share: float = 0.0


class Crew(Protocol):
    """Those who do the work: processes of this machine, or a cluster."""

    def run(self, tasks: Iterator[tuple[str, Chunk]]) -> Iterator[Part | Packed]:
        """Do every task (a name and a chunk) once; yield each part that was kept or is to be kept."""

    def close(self) -> None:
        """Let go of what is still being done."""


def run(
    store: Store,
    order: Order,
    told: Callable[[Tally], None] = lambda tally: None,
    joining: Callable[[int, int], None] = lambda done, total: None,
    crew: Crew | None = None,
) -> Tally:
    """Run a fleet into ``store``, adding to what is there, and return what was done.

    ``told`` hears of every part that is finished, ``joining`` of the parts that are joined at the end.
    ``crew`` does the work, by default processes of this machine; it is closed.
    Raises UsageError for a source or a kernel that is not there, and for a fleet of other options.
    """
    with closing(crew or _processes(store, order)) as workers:
        kernels = tuple(dict.fromkeys(rules_for(name).name for name in order.kernels))
        options = _options(order.what_if)
        with store.exclusive():
            return _run(store, order, kernels, options, told, joining, workers)


def _run(
    store: Store,
    order: Order,
    kernels: tuple[str, ...],
    options: dict[str, Any],
    told: Callable[[Tally], None],
    joining: Callable[[int, int], None],
    crew: Crew,
) -> Tally:
    before = read_manifest(store) or Manifest(program="", options=options)
    if before.options != options:
        raise UsageError(
            "the fleet was made with other options",
            where=store.label,
            expected=json.dumps(before.options),
            found=json.dumps(options),
        )
    program = program_hash()
    sources = Sources(order.sources, hashlib.blake2b(program.encode(), digest_size=32).digest())
    sources.measure()
    token = secrets.token_hex(4)
    manifest = replace(
        adopted(store, before, token),
        program=program,
        kernels=tuple(dict.fromkeys([*before.kernels, *kernels])),
        sources=tuple(dict.fromkeys([*before.sources, *map(shown, order.sources)])),
    )
    write_manifest(store, manifest)
    sweep(store, manifest)
    tally = Tally()
    gathered = Gathered(store, order.seconds_together)
    try:
        chunks = _chunks(sources, _done(store, manifest), kernels, order, tally)
        named = ((f"{token}-{index:06d}", chunk) for index, chunk in enumerate(chunks))
        for result in crew.run(named):
            if isinstance(result, Packed):
                gathered.add(result)
            _count(tally, result, sources)
            told(tally)
        gathered.flush()
    except (KeyboardInterrupt, Xenp2mError):
        with suppress(Xenp2mError):  # what went wrong first is to be told
            gathered.flush()
        raise
    finally:
        crew.close()
    compact(store, manifest, token, joining)
    return tally


def _processes(store: Store, order: Order) -> Crew:
    return Pool(
        order.jobs, order.limits, partial(write_part, store) if isinstance(store, LocalStore) else pack
    )


def _count(tally: Tally, part: Part | Packed, sources: Sources) -> None:
    tally.predictions += part.counts["predictions"]
    tally.failures += part.counts["failures"]
    tally.share = sources.done / sources.total if sources.total else 1.0


def _done(store: Store, manifest: Manifest) -> Done:
    files = files_of(manifest, parts_of(store, manifest), WORK.name)
    return Done(batch for file in files for batch in read_table(store, file, COLUMNS))


def _chunks(
    sources: Sources, done: Done, kernels: tuple[str, ...], order: Order, tally: Tally
) -> Iterator[Chunk]:
    """Yield what is left to do; what is in one chunk is to be done under the same kernels."""
    waiting: dict[tuple[str, ...], list[Item]] = {}
    cost: dict[tuple[str, ...], int] = {}
    for item in _distinct(sources.items()):
        tally.inputs += 1
        had = done.kernels(item.key)
        wanted = tuple(name for name in kernels if name not in had)
        if not wanted:
            tally.kept += 1
            continue
        waiting.setdefault(wanted, []).append(replace(item, new=not had))
        cost[wanted] = cost.get(wanted, 0) + item.size + (0 if item.form == "record" else _FILE_COST)
        if len(waiting[wanted]) == order.together or cost[wanted] > _MOST_BYTES:
            del cost[wanted]
            yield Chunk(tuple(waiting.pop(wanted)), wanted, order.what_if)
    for wanted, items in waiting.items():
        yield Chunk(tuple(items), wanted, order.what_if)


def _distinct(items: Iterator[Item]) -> Iterator[Item]:
    """Pass over inputs that are named twice; of two machines of one name the second is marked."""
    places, keys = Numbers(), Numbers()
    for item in items:
        is_new = keys.add(int.from_bytes(item.key[:8]))
        if places.add(item.number):
            yield item
        elif is_new:
            key = hashlib.blake2b(item.key, digest_size=16, person=b"twice").digest()
            problem = ("twice", f"{item.name} is the name of another machine before it, which counts")
            yield replace(item, number=int.from_bytes(key[:8]), key=key, problem=problem)


def _options(what_if: WhatIf) -> dict[str, Any]:
    """Return what differs from the defaults, as the manifest has it."""
    plain = asdict(WhatIf())
    return {name: value for name, value in asdict(what_if).items() if value != plain[name]}


@cache
def program_hash() -> str:
    """Return the version of the program, and a hash of the code that results depend on."""
    digest = hashlib.blake2b(digest_size=8)
    home = Path(xenp2m.__file__).parent
    files = [*home.glob("*.py"), *(file for name in _RESULTS for file in (home / name).rglob("*.py"))]
    for file in sorted(files):
        digest.update(file.read_bytes())
    return f"{version('xenp2m')}+{digest.hexdigest()}"
