"""Frame maps as Arrow tables and pandas frames: a row a run.

The columns are those of ``xenp2m.map/1``: ``pfn`` and ``pages`` (uint64), ``kind`` (a dictionary of strings)
and ``mfn`` (uint64), which is null for missing frames, for identity frames and where it is not known: no
number stands in for it.  The schema's metadata has the rest of the map: ``format``, ``arch``, ``end_pfn``
and ``beyond``.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xenp2m.arch import Arch, arch_of
from xenp2m.entry import KIND_BY_LABEL, NO_MFN, Kind
from xenp2m.errors import FormatError, UsageError
from xenp2m.runs import END_OF_FRAMES, MAP_FORMAT, Run, RunMap

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_COLUMNS = ("pfn", "pages", "kind", "mfn")


def to_arrow(frame_map: RunMap) -> pa.Table:
    """Return a map as a table.  Raises UsageError without the extra "tables"."""
    pa = _pyarrow()
    ends = np.append(frame_map.starts[1:], np.uint64(frame_map.end_pfn))[: len(frame_map)]
    kinds = pa.DictionaryArray.from_arrays(
        pa.array(frame_map.kinds.astype(np.int8)), pa.array([kind.label for kind in Kind])
    )
    columns = [
        pa.array(frame_map.starts),
        pa.array(ends - frame_map.starts),
        kinds,
        pa.array(frame_map.mfns, mask=frame_map.mfns == np.uint64(NO_MFN)),
    ]
    metadata = {
        "format": MAP_FORMAT,
        "arch": frame_map.arch.name,
        "end_pfn": str(frame_map.end_pfn),
        "beyond": frame_map.beyond.label,
    }
    return pa.table(dict(zip(_COLUMNS, columns, strict=True))).replace_schema_metadata(metadata)


def to_pandas(frame_map: RunMap) -> pd.DataFrame:
    """Return a map as a data frame: nullable UInt64 and a categorical ``kind``; ``attrs`` has the metadata.

    Raises UsageError without the extra "tables".
    """
    table = to_arrow(frame_map)
    try:
        import pandas as pd  # noqa: PLC0415 - an extra
    except ImportError:
        raise _missing() from None
    pa = _pyarrow()
    frame: pd.DataFrame = table.to_pandas(types_mapper={pa.uint64(): pd.UInt64Dtype()}.get)
    frame.attrs = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    return frame


def from_arrow(table: pa.Table) -> RunMap:
    """Read such a table, or one from a file that kept its metadata.  Raises FormatError for any other."""
    arch, end_pfn, beyond = _header(table)
    pfns, pages = _numbers(table, "pfn"), _numbers(table, "pages")
    kinds = _kinds(table)
    mfns = _numbers(table, "mfn", null=NO_MFN)
    if int(pages.sum()) != end_pfn or not np.array_equal(pfns, np.cumsum(pages) - pages):
        raise FormatError("the runs do not cover the map", expected=f"[0, {end_pfn:#x}) in order")
    runs: Iterable[Run] = (
        Run(pfn, count, kind, None if mfn == NO_MFN else mfn)
        for pfn, count, kind, mfn in zip(pfns.tolist(), pages.tolist(), kinds, mfns.tolist(), strict=True)
    )
    try:
        return RunMap(arch, end_pfn, beyond, runs)
    except UsageError as error:
        raise FormatError(str(error)) from error


def _header(table: pa.Table) -> tuple[Arch, int, Kind]:
    metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    if metadata.get("format") != MAP_FORMAT:
        raise FormatError(
            "not a table of a map",
            expected=f"metadata format {MAP_FORMAT}",
            found=repr(metadata.get("format")),
        )
    try:
        arch, end_pfn = arch_of(metadata["arch"]), int(metadata["end_pfn"])
        beyond = KIND_BY_LABEL[metadata["beyond"]]
    except (KeyError, ValueError, UsageError) as error:
        raise FormatError("damaged metadata of a map", found=f"{type(error).__name__}: {error}") from error
    if not 0 <= end_pfn <= END_OF_FRAMES or beyond not in (Kind.IDENTITY, Kind.MISSING):
        raise FormatError("damaged metadata of a map", found=str(metadata))
    return arch, end_pfn, beyond


def _numbers(table: pa.Table, name: str, null: int | None = None) -> NDArray[np.uint64]:
    """Return a column of frames; ``null`` stands for a null, None where there may be none."""
    pa = _pyarrow()
    column = _column(table, name)
    if not pa.types.is_uint64(column.type) or (null is None and column.null_count):
        raise FormatError(f"bad column {name!r}", expected="uint64", found=str(column.type))
    known = column.is_valid().to_numpy(zero_copy_only=False)
    numbers: NDArray[np.uint64] = column.fill_null(0).to_numpy()
    if len(numbers) and int(numbers.max()) > END_OF_FRAMES:
        raise FormatError(
            f"bad column {name!r}", expected=f"at most {END_OF_FRAMES:#x}", found=f"{numbers.max():#x}"
        )
    return numbers if null is None else np.where(known, numbers, np.uint64(null))


def _kinds(table: pa.Table) -> list[Kind]:
    labels = _column(table, "kind").to_pylist()
    strange = next((label for label in set(labels) if label not in KIND_BY_LABEL), None)
    if strange is not None or None in labels:
        raise FormatError("bad column 'kind'", expected=", ".join(KIND_BY_LABEL), found=repr(strange))
    return [KIND_BY_LABEL[label] for label in labels]


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    if table.column_names.count(name) != 1:
        expected = ", ".join(_COLUMNS)
        raise FormatError("not the columns of a map", expected=expected, found=", ".join(table.column_names))
    return table.column(name)


def _pyarrow() -> ModuleType:
    try:
        return import_module("pyarrow")
    except ImportError:
        raise _missing() from None


def _missing() -> UsageError:
    return UsageError("tables of maps need the extra \"tables\": pip install 'xenp2m[tables]'")
