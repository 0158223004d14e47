"""Joining parts: few large files instead of many small ones, and none of the rows that were replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from xenp2m.fleet.schema import NO_KEY, STORED, WORK
from xenp2m.fleet.store import Manifest, Part, Store, parts_of, read_table, sweep, write_manifest
from xenp2m.units import MIB

_GROUP = 8 * MIB
"""Bytes of rows, in memory, that are written together."""
_LARGEST = 1 << 22
"""Rows of one file."""


@dataclass(frozen=True)
class Generation:
    """Files of one run, or finished ones; ``dead`` are the machines in them that were done anew later."""

    files: dict[str, list[str]]
    dead: NDArray[np.uint64]

    def names(self, table: str) -> list[str]:
        """Return the files of a table."""
        return self.files.get(table, [])


def generations(store: Store, manifest: Manifest, parts: Sequence[Part]) -> list[Generation]:
    """Return what a fleet consists of, oldest first: the finished files, then run by run.

    A run has no machine twice, so that only what is of an older generation can have been replaced.
    """
    files = [manifest.files] if manifest.files else []
    for run in dict.fromkeys(part.run for part in parts):
        of_run = [part.files for part in parts if part.run == run]
        names = {name for each in of_run for name in each}
        files.append({name: [each[name] for each in of_run if name in each] for name in names})
    if len(files) <= 1:
        return [Generation(files[0] if files else {}, np.zeros(0, np.uint64))]
    rows = [_work(store, each.get(WORK.name, [])) for each in files]
    found = []
    for index, (machines, keys) in enumerate(rows):
        dead: list[NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
        for later_machines, later_keys in rows[index + 1 :]:
            _, ours, theirs = np.intersect1d(machines, later_machines, return_indices=True)
            anew = (keys[ours] != later_keys[theirs]) | (keys[ours] == NO_KEY)
            dead.append(machines[ours[anew]])
        found.append(Generation(files[index], np.unique(np.concatenate(dead))))
    return found


def _work(store: Store, names: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.bytes_]]:
    machines = [np.zeros(0, np.uint64)]
    keys = [np.zeros(0, "S16")]
    for name in names:
        for batch in read_table(store, name, ["machine", "key"]):
            machines.append(batch.column("machine").to_numpy())
            keys.append(np.array(batch.column("key").to_pylist(), "S16"))
    return np.concatenate(machines), np.concatenate(keys)


def compact(store: Store, manifest: Manifest, name: str, progress: Callable[[int, int], None]) -> Manifest:
    """Join all parts to finished files and return the manifest that has been written.

    ``name`` tells the new files from those that are there.  Where nothing was replaced, what is finished
    already stays as it is.
    """
    files = _join(store, manifest, name, progress)
    finished = replace(manifest, files=files, parts=(), run="")
    write_manifest(store, finished)
    sweep(store, finished)
    return finished


def _join(
    store: Store, manifest: Manifest, name: str, progress: Callable[[int, int], None]
) -> dict[str, list[str]]:
    made = generations(store, manifest, parts_of(store, manifest))
    clean = not any(len(each.dead) for each in made)
    kept = manifest.files if clean else {}
    todo = made[1:] if clean and manifest.files else made
    total = sum(len(each.names(table)) for each in todo for table in STORED)
    done = 0
    files: dict[str, list[str]] = {}

    def rows(table: str) -> Iterator[pa.RecordBatch]:
        nonlocal done
        for generation in todo:
            for file in generation.names(table):
                for batch in read_table(store, file):
                    yield _alive(batch, generation.dead)
                done += 1
                progress(done, total)

    for table in STORED:
        written = _write(store, table, name, _groups(rows(table)))
        if found := [*kept.get(table, ()), *written]:
            files[table] = found
    return files


def _alive(batch: pa.RecordBatch, dead: NDArray[np.uint64]) -> pa.RecordBatch:
    if not len(dead):
        return batch
    machines = batch.column("machine")
    if machines.type == pa.string():
        numbers = np.array([int(each, 16) for each in machines.to_pylist()], np.uint64)
    else:
        numbers = machines.to_numpy()
    return batch.filter(pa.array(~np.isin(numbers, dead)))


def _groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Join batches until there is enough for a group of rows."""
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        if batch.num_rows:
            held.append(batch)
            size += batch.nbytes
        if size >= _GROUP:
            yield pa.Table.from_batches(held)
            held, size = [], 0
    if held:
        yield pa.Table.from_batches(held)


def _write(store: Store, table: str, name: str, groups: Iterator[pa.Table]) -> list[str]:
    """Write groups of rows to as many files as they need and return their names."""
    files: list[str] = []
    for first in groups:
        files.append(f"tables/{table}-{name}-{len(files) + 1:04d}.parquet")
        rows = 0
        with (
            store.create(files[-1]) as file,
            pq.ParquetWriter(file, STORED[table].arrow, compression="zstd") as writer,
        ):
            for group in chain([first], groups):
                writer.write_table(group)
                rows += group.num_rows
                if rows >= _LARGEST:
                    break
    return files
