from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest
from hypothesis import given

from strategies import run_maps
from xenp2m.arch import X86_64
from xenp2m.entry import Kind
from xenp2m.errors import FormatError, UsageError
from xenp2m.runs import END_OF_FRAMES, Run, RunMap

pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")

SMALL = RunMap(
    X86_64,
    100,
    Kind.IDENTITY,
    [
        Run(0, 10, Kind.RAM, 0),
        Run(10, 10, Kind.RAM, None),
        Run(20, 10, Kind.IDENTITY, None),
        Run(30, 10, Kind.FOREIGN, END_OF_FRAMES - 10),
        Run(40, 10, Kind.IDENTITY, 7),
    ],
)


@given(run_maps())
def test_a_table_holds_the_whole_map(frame_map: RunMap) -> None:
    assert RunMap.from_arrow(frame_map.to_arrow()) == frame_map


@given(run_maps(known_mfns=True))
def test_the_rows_are_those_of_the_json(frame_map: RunMap) -> None:
    table = frame_map.to_arrow()
    rows = [[row["pfn"], row["pages"], row["kind"], row["mfn"]] for row in table.to_pylist()]
    value = frame_map.to_json()
    assert rows == value["runs"]
    metadata = {key.decode(): text.decode() for key, text in table.schema.metadata.items()}
    assert metadata == {key: str(value[key]) for key in ("format", "arch", "end_pfn", "beyond")}


@given(run_maps())
def test_a_data_frame_has_the_same_rows(frame_map: RunMap) -> None:
    frame = frame_map.to_pandas()
    rows = [
        [row.pfn, row.pages, row.kind, None if row.mfn is pd.NA else row.mfn] for row in frame.itertuples()
    ]
    assert rows == frame_map.to_json()["runs"]
    assert frame.attrs["end_pfn"] == str(frame_map.end_pfn)


def test_what_has_no_machine_frame_is_null_in_every_form() -> None:
    assert SMALL.to_arrow().column("mfn").to_pylist() == [0, None, None, END_OF_FRAMES - 10, 7, None]
    assert SMALL.to_pandas()["mfn"].isna().tolist() == [False, True, True, False, False, True]


def test_types_are_exact() -> None:
    schema = SMALL.to_arrow().schema
    assert [schema.field(name).type for name in ("pfn", "pages", "mfn")] == [pa.uint64()] * 3
    assert schema.field("kind").type.value_type == pa.string()
    types = SMALL.to_pandas().dtypes
    assert [str(types[name]) for name in ("pfn", "pages", "kind", "mfn")] == [
        "UInt64",
        "UInt64",
        "category",
        "UInt64",
    ]


def test_a_parquet_file_keeps_it() -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    file = io.BytesIO()
    parquet.write_table(SMALL.to_arrow(), file)
    assert RunMap.from_arrow(parquet.read_table(file)) == SMALL


def test_an_empty_map() -> None:
    empty = RunMap(X86_64, 0, Kind.MISSING, ())
    assert len(empty.to_arrow()) == 0
    assert RunMap.from_arrow(empty.to_arrow()) == empty
    assert empty.to_pandas().empty


def test_a_missing_run_with_a_number_stays_without_address() -> None:
    rows: dict[str, list[Any]] = {"pfn": [0], "pages": [100], "kind": ["missing"], "mfn": [5]}
    read = RunMap.from_arrow(table(rows))
    assert list(read) == [Run(0, 100, Kind.MISSING, None)]


def table(rows: dict[str, list[Any]], **changed: str) -> Any:
    types = {"pfn": pa.uint64(), "pages": pa.uint64(), "kind": pa.string(), "mfn": pa.uint64()}
    made = pa.table({name: pa.array(column, types.get(name)) for name, column in rows.items()})
    value = {**SMALL.to_json(), **changed}
    return made.replace_schema_metadata(
        {key: str(value[key]) for key in ("format", "arch", "end_pfn", "beyond")}
    )


WHOLE: dict[str, list[Any]] = {"pfn": [0], "pages": [100], "kind": ["ram"], "mfn": [None]}


@pytest.mark.parametrize(
    ("rows", "metadata", "message"),
    [
        ({}, {"format": "xenp2m.map/2"}, "not a table of a map"),
        ({}, {"arch": "vax"}, "damaged metadata"),
        ({}, {"end_pfn": "many"}, "damaged metadata"),
        ({}, {"end_pfn": "-1"}, "damaged metadata"),
        ({}, {"beyond": "ram"}, "damaged metadata"),
        ({}, {"end_pfn": "101"}, "do not cover"),
        ({"pfn": [1]}, {}, "do not cover"),
        ({"pfn": [None]}, {}, "bad column 'pfn'"),
        ({"pages": [END_OF_FRAMES + 1]}, {}, "bad column 'pages'"),
        ({"mfn": [END_OF_FRAMES + 1]}, {}, "bad column 'mfn'"),
        ({"kind": ["rom"]}, {}, "bad column 'kind'"),
        ({"kind": [None]}, {}, "bad column 'kind'"),
    ],
)
def test_other_tables_are_refused(rows: dict[str, Any], metadata: dict[str, str], message: str) -> None:
    assert RunMap.from_arrow(table(WHOLE)) == RunMap(
        X86_64, 100, Kind.IDENTITY, [Run(0, 100, Kind.RAM, None)]
    )
    with pytest.raises(FormatError, match=message):
        RunMap.from_arrow(table({**WHOLE, **rows}, **metadata))


def test_a_table_without_the_columns_is_refused() -> None:
    with pytest.raises(FormatError, match="not the columns"):
        RunMap.from_arrow(SMALL.to_arrow().drop_columns(["mfn"]))
    with pytest.raises(FormatError, match="bad column 'mfn'"):
        RunMap.from_arrow(SMALL.to_arrow().set_column(3, "mfn", pa.array([1.0] * 6)))
    with pytest.raises(FormatError, match="not a table of a map"):
        RunMap.from_arrow(SMALL.to_arrow().replace_schema_metadata(None))


@pytest.mark.parametrize("module", ["pyarrow", "pandas"])
def test_a_missing_extra_is_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=r"pip install 'xenp2m\[tables\]'"):
        SMALL.to_pandas()


def test_the_json_of_the_small_map_agrees() -> None:
    assert RunMap.from_json(json.loads(json.dumps(SMALL.to_json()))) == SMALL
