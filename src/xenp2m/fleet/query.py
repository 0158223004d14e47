"""Asking a fleet in SQL: its tables as views in an embedded database that can reach nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from xenp2m.errors import InputError, UsageError
from xenp2m.fleet.compact import Generation, generations
from xenp2m.fleet.schema import TABLES, Table
from xenp2m.fleet.store import Manifest, Store, parts_of, require_manifest

Values = Sequence[Any] | dict[str, Any]
"""What stands for the ``?`` or ``$name`` of a question."""


_TRIES = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """The columns of an answer, and its rows."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]

    def dicts(self) -> list[dict[str, Any]]:
        """Return the rows as objects."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Fleet:
    """A fleet that is open to be asked; ``manifest`` is as it was when it was opened.

    A fleet that a run is writing, or that one left unfinished, answers with what is finished of it.
    """

    def __init__(self, store: Store) -> None:
        """Open a fleet; raises UsageError where there is none, FormatError for a damaged manifest."""
        self.store = store
        self._database = duckdb.connect(":memory:")
        self.manifest: Manifest = self._attach(store, "main")
        self._database.execute("SET enable_external_access = false")
        self._database.execute("SET lock_configuration = true")

    def attach(self, store: Store, schema: str) -> Manifest:
        """Make the tables of another fleet known as ``schema.bars`` and so on; raises what opening does."""
        self._database.execute(f"CREATE SCHEMA {schema}")
        return self._attach(store, schema)

    def _attach(self, store: Store, schema: str) -> Manifest:
        for _ in range(_TRIES):
            with suppress(FileNotFoundError):  # a run has just joined the parts to other files
                return self._views(store, schema)
        return self._views(store, schema)

    def _views(self, store: Store, schema: str) -> Manifest:
        manifest = require_manifest(store)
        made = generations(store, manifest, parts_of(store, manifest))
        for index, generation in enumerate(made):
            gone = pa.array([f"{number:016x}" for number in generation.dead.tolist()], pa.string())
            self._database.register(f"{schema}_replaced_{index}", pa.table({"machine": gone}))
        for table in TABLES.values():
            self._view(store, table, made, schema)
        return manifest

    def _view(self, store: Store, table: Table, made: Sequence[Generation], schema: str) -> None:
        """Make a table's view, without the rows of machines that were done anew later."""
        pieces = []
        for index, generation in enumerate(made):
            files = [store.location(name) for name in generation.names(table.name)]
            name = f"{schema}_{table.name}_{index}"
            source = (
                ds.dataset(files, schema=table.arrow, format="parquet", filesystem=store.arrow)
                if files
                else table.arrow.empty_table()
            )
            self._database.register(name, source)
            piece = f"SELECT * FROM {name}"
            if len(generation.dead):
                piece += f" WHERE machine NOT IN (SELECT machine FROM {schema}_replaced_{index})"
            pieces.append(piece)
        self._database.execute(
            f"CREATE OR REPLACE VIEW {schema}.{table.name} AS {' UNION ALL '.join(pieces)}"
        )

    def ask(self, sql: str, values: Values = ()) -> Answer:
        """Answer one question; raises UsageError for SQL that is wrong or asks for what is not there."""
        with _told(sql):
            found = self._relation(sql, values)
            return Answer(tuple(found.columns), found.fetchall())

    def first(self, sql: str, most: int) -> tuple[Answer, bool]:
        """Answer with the first rows, and say whether there are more; raises what ``ask`` does."""
        with _told(sql):
            found = self._relation(sql, ()).limit(most + 1)
            rows = found.fetchall()
        return Answer(tuple(found.columns), rows[:most]), len(rows) > most

    def batches(self, sql: str, values: Values = ()) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
        """Answer one question piece by piece, whatever its size; raises what ``ask`` raises."""
        with _told(sql):
            found: Any = self._relation(sql, values)  # its types do not know the next method
            reader: pa.RecordBatchReader = found.to_arrow_reader()
        return reader.schema, self._read(reader, sql)

    def _relation(self, sql: str, values: Values) -> duckdb.DuckDBPyRelation:
        found: duckdb.DuckDBPyRelation | None = self._database.sql(sql, params=values or None)
        if found is None:
            raise UsageError("no question", where=_short(sql), expected="SELECT ...")
        return found

    def _read(self, reader: pa.RecordBatchReader, sql: str) -> Iterator[pa.RecordBatch]:
        with _told(sql):
            yield from reader

    @property
    def size(self) -> int:
        """The bytes of the finished tables."""
        return sum(self.store.size(name) for names in self.manifest.files.values() for name in names)


@contextmanager
def _told(sql: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise InputError("a run has changed the fleet meanwhile: ask again", found=str(error)) from error
    except (duckdb.Error, pa.ArrowException) as error:
        message = str(error).strip().split("\n\n")[0]
        raise UsageError("the question cannot be answered", where=_short(sql), found=message) from error


def _short(sql: str) -> str:
    text = " ".join(sql.split())
    return text if len(text) <= 60 else f"{text[:57]}..."
