"""Where a fleet is kept: a manifest, finished tables, and parts that wait to be joined to them.

::

    FLEET/
      fleet.json              the manifest: what counts, and nothing else does
      tables/bars-0001.parquet    finished tables
      parts/RUN-000001.json       a part: its tables are whole once this record is there
      parts/RUN-000001.bars.parquet

Every file is written under another name and renamed, so that a reader never sees half of one.  A part counts
when the manifest adopted it, or when it is of the run that is going on: what a lost process writes after
another run has begun counts for nothing.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from xenp2m.errors import FormatError, InputError, UsageError
from xenp2m.files import write_atomically, written

FORMAT = "xenp2m.fleet/1"
MANIFEST = "fleet.json"


class Store(Protocol):
    """A place for files, by names with ``/``.  A write is seen whole or not at all."""

    @property
    def label(self) -> str:
        """What messages call it."""

    def read(self, name: str) -> bytes:
        """Return a file's bytes; raises FileNotFoundError when there is none."""

    def write(self, name: str, data: bytes | memoryview) -> None:
        """Write a file, whole or not at all."""

    def open(self, name: str) -> IO[bytes]:
        """Open a file to read and to seek in."""

    def create(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """Open a file to write; it is there when the context ends well, and not before."""

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, sorted; none for a folder that is not there."""

    def remove(self, name: str) -> None:
        """Remove a file; it may be gone already."""

    @property
    def arrow(self) -> Any:
        """The filesystem in which Arrow finds ``location``; None is this machine's."""

    def location(self, name: str) -> str:
        """Return where Arrow finds a file."""

    def size(self, name: str) -> int:
        """Return a file's bytes."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Keep other runs out while the context lasts; raises UsageError when one is going on."""


class LocalStore:
    """A store in a folder of this machine."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def label(self) -> str:
        """The folder."""
        return str(self.path)

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        return (self.path / name).read_bytes()

    def write(self, name: str, data: bytes | memoryview) -> None:
        """Write a file, whole or not at all."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, bytes(data))

    def open(self, name: str) -> IO[bytes]:
        """Open a file to read and to seek in."""
        return (self.path / name).open("rb")

    @contextmanager
    def create(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file to write; it is there when the context ends well, and not before."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with written(target) as file:
            yield file

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, sorted, and what a killed process left unfinished."""
        place = self.path / folder
        return sorted(f"{folder}/{each.name}" for each in place.iterdir()) if place.is_dir() else []

    def remove(self, name: str) -> None:
        """Remove a file; it may be gone already."""
        (self.path / name).unlink(missing_ok=True)

    @property
    def arrow(self) -> Any:
        """The filesystem in which Arrow finds ``location``: this machine's."""
        return None

    def location(self, name: str) -> str:
        """Return where Arrow finds a file."""
        return str(self.path / name)

    def size(self, name: str) -> int:
        """Return a file's bytes."""
        return (self.path / name).stat().st_size

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other runs out; the system lets go of the lock when this process ends, however it does."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise UsageError("another run is writing this fleet", where=self.label) from error
            yield


@dataclass(frozen=True, slots=True)
class Part:
    """What one chunk of work left: a file a table, and what is in it.

    ``counts`` has the numbers of ``inputs``, ``predictions`` and ``failures``.
    """

    name: str
    files: dict[str, str]
    counts: dict[str, int]

    @property
    def run(self) -> str:
        """The run that made it."""
        return self.name.partition("-")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a fleet is made of.

    ``files`` are the finished ones by table, ``parts`` the names of those adopted, ``run`` the run that is
    going on or was interrupted, "" for a finished fleet.  ``program`` and ``options`` say what the results
    depend on.
    """

    program: str
    options: dict[str, Any]
    kernels: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    files: dict[str, list[str]] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    run: str = ""


def read_manifest(store: Store) -> Manifest | None:
    """Return the manifest; None where there is no fleet.  Raises FormatError for one of another format."""
    try:
        value = json.loads(store.read(MANIFEST))
        if value.pop("format") != FORMAT:
            raise ValueError("another format")
        lists = {name: tuple(value[name]) for name in ("kernels", "sources", "parts")}
        return Manifest(**{**value, **lists})
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        where = f"{store.label}/{MANIFEST}"
        raise FormatError("not a fleet", where=where, expected=FORMAT, found=str(error)[:80]) from error


def require_manifest(store: Store) -> Manifest:
    """Return the manifest; raises UsageError where there is no fleet."""
    manifest = read_manifest(store)
    if manifest is None:
        raise UsageError(
            "no fleet there", where=store.label, expected=f"a folder that xenp2m fleet run made ({MANIFEST})"
        )
    return manifest


def write_manifest(store: Store, manifest: Manifest) -> None:
    """Replace the manifest."""
    text = json.dumps({"format": FORMAT, **asdict(manifest)}, indent=1)
    store.write(MANIFEST, f"{text}\n".encode())


def write_part(store: Store, name: str, tables: dict[str, pa.Table]) -> Part:
    """Write the tables of one chunk, and last the record that makes them count."""
    files = {}
    for table, content in tables.items():
        sink = pa.BufferOutputStream()
        pq.write_table(content, sink, compression="zstd")
        files[table] = f"parts/{name}.{table}.parquet"
        store.write(files[table], sink.getvalue())
    part = Part(name, files, counts_of(tables))
    store.write(f"parts/{name}.json", json.dumps(asdict(part)).encode())
    return part


def counts_of(tables: dict[str, pa.Table]) -> dict[str, int]:
    """Return the numbers that a part's record has."""
    counted = ("inputs", "predictions", "failures")
    return {table: tables[table].num_rows if table in tables else 0 for table in counted}


def parts_of(store: Store, manifest: Manifest) -> list[Part]:
    """Return the parts that count, in the order in which they were adopted or begun."""
    names = list(manifest.parts)
    if manifest.run:
        there = (name.removeprefix("parts/") for name in store.names("parts"))
        of_run = [name for name in there if name.startswith(f"{manifest.run}-") and name.endswith(".json")]
        names += [name.removesuffix(".json") for name in of_run if name.removesuffix(".json") not in names]
    return [_read_part(store, name) for name in names]


def _read_part(store: Store, name: str) -> Part:
    try:
        return Part(**json.loads(store.read(f"parts/{name}.json")))
    except (ValueError, TypeError) as error:
        where = f"{store.label}/parts/{name}.json"
        raise InputError("damaged part", where=where, found=str(error)) from error


def files_of(manifest: Manifest, parts: Iterable[Part], table: str) -> list[str]:
    """Return every file of a table, the finished ones first."""
    return [*manifest.files.get(table, ()), *(part.files[table] for part in parts if table in part.files)]


def sweep(store: Store, manifest: Manifest) -> None:
    """Remove the files that do not count."""
    kept = {name for names in manifest.files.values() for name in names}
    for part in parts_of(store, manifest):
        kept |= {f"parts/{part.name}.json", *part.files.values()}
    for folder in ("parts", "tables"):
        for name in store.names(folder):
            if name not in kept:
                store.remove(name)


def read_table(store: Store, name: str, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield a file's rows in batches."""
    with store.open(name) as file, pq.ParquetFile(file) as parquet:
        yield from parquet.iter_batches(batch_size=1 << 12, columns=columns, use_threads=False)


def adopted(store: Store, manifest: Manifest, run: str) -> Manifest:
    """Return the manifest of a new run, which takes over what the one before it has left."""
    names = tuple(part.name for part in parts_of(store, manifest))
    return replace(manifest, parts=names, run=run)
