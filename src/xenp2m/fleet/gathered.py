"""Results on their way to one process that keeps them, several chunks in a part.

Processes of this machine write their own parts into a folder.  Into an object store, where every object costs
a request, and from a cluster, which may not reach the store, results come here first.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import pyarrow as pa

from xenp2m.fleet.store import Store, counts_of, write_part
from xenp2m.units import MIB

_LARGEST = 32 * MIB
"""Bytes of packed results that are kept as one part."""


@dataclass(frozen=True, slots=True)
class Packed:
    """The tables of one chunk as bytes; ``counts`` are those of a ``Part``."""

    name: str
    tables: dict[str, bytes]
    counts: dict[str, int]

    @property
    def size(self) -> int:
        """Its bytes."""
        return sum(map(len, self.tables.values()))


def pack(name: str, tables: dict[str, pa.Table]) -> Packed:
    """Make the tables of one chunk ready to be sent."""
    packed = {}
    for table, content in tables.items():
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(
            sink, content.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")
        ) as file:
            file.write_table(content)
        packed[table] = sink.getvalue().to_pybytes()
    return Packed(name, packed, counts_of(tables))


class Gathered:
    """Results that wait to be one part; each is kept once, ``seconds`` after it came at the latest.

    That is measured when the next one comes.  ``flush`` at the end keeps what is left.
    """

    def __init__(self, store: Store, seconds: float) -> None:
        self._store = store
        self._seconds = seconds
        self._held: list[Packed] = []
        self._size = 0
        self._since = 0.0

    def add(self, packed: Packed) -> None:
        """Take the results of one chunk."""
        if not self._held:
            self._since = time.monotonic()
        self._held.append(packed)
        self._size += packed.size
        if self._size >= _LARGEST or time.monotonic() - self._since >= self._seconds:
            self.flush()

    def flush(self) -> None:
        """Keep what is here as one part."""
        if not self._held:
            return
        tables: dict[str, list[pa.Table]] = {}
        for packed in self._held:
            for table, data in packed.tables.items():
                with pa.ipc.open_stream(data) as reader:
                    tables.setdefault(table, []).append(reader.read_all())
        write_part(self._store, self._held[0].name, {name: pa.concat_tables(t) for name, t in tables.items()})
        self._held, self._size = [], 0
