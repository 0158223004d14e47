"""Answers of any size as CSV, JSON or Parquet, row by row."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

FORMATS = ("csv", "json", "parquet")


def write(schema: pa.Schema, batches: Iterator[pa.RecordBatch], form: str, file: IO[bytes]) -> None:
    """Write rows to ``file`` in one of FORMATS; JSON is an array of objects, a line each."""
    if form == "parquet":
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch)
        return
    lines = _csv(schema, batches) if form == "csv" else _json(batches)
    for line in lines:
        file.write(line.encode("utf-8", "replace"))


def _csv(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[str]:
    """Yield lines of CSV; a list is its items joined by " | ", null is empty."""
    held = io.StringIO()
    writer = csv.writer(held, lineterminator="\n")
    writer.writerow(schema.names)
    for batch in batches:
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            writer.writerow([" | ".join(map(str, each)) if isinstance(each, list) else each for each in row])
        yield held.getvalue()
        held.seek(0)
        held.truncate()
    yield held.getvalue()


def _json(batches: Iterator[pa.RecordBatch]) -> Iterator[str]:
    before = "[\n"
    for batch in batches:
        for row in batch.to_pylist():
            yield f"{before}{json.dumps(row, default=_plain)}"
            before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def _plain(value: Any) -> str | float:
    """Return what JSON has for a value of SQL: numbers with a fraction, dates and the like."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)
