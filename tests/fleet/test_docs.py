"""What docs/fleet.md says of tables and questions holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fleet.machines import opened, record, run_fleet, write_records
from xenp2m.fleet.query import Fleet
from xenp2m.fleet.schema import STORED, TABLES, Table, markdown

PAGE = (Path(__file__).parent.parent.parent / "docs/fleet.md").read_text()
QUESTIONS = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    place = tmp_path_factory.mktemp("fleet")
    source = write_records(
        place / "m.ndjson", [record("a", bar=600 << 30), record("b"), record("c", e820=[])]
    )
    run_fleet(place / "fleet", source)
    return opened(place / "fleet")


def test_the_schema_is_that_of_the_program() -> None:
    written = re.search(r"<!-- schema -->\n\n(.*?)\n<!-- /schema -->", PAGE, re.DOTALL)
    assert written is not None
    assert written[1] == markdown(), "paste xenp2m fleet schema --markdown"


@pytest.mark.parametrize("sql", QUESTIONS, ids=range(len(QUESTIONS)))
def test_every_example_has_an_answer(fleet: Fleet, sql: str) -> None:
    assert fleet.ask(sql).rows


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_every_column_is_there_under_its_type(fleet: Fleet, table: Table) -> None:
    rows = fleet.ask(f"DESCRIBE {table.name}").rows
    assert [(row[0], row[1]) for row in rows] == [(each.name, each.sql) for each in table.columns]


def test_only_columns_that_say_so_have_null(fleet: Fleet) -> None:
    for table in TABLES.values():
        for column in table.columns:
            ((nulls,),) = fleet.ask(f"SELECT count(*) FROM {table.name} WHERE {column.name} IS NULL").rows
            assert not nulls or column.null, f"{table.name}.{column.name}"


def test_every_table_that_is_kept_has_columns() -> None:
    assert all(table.columns and table.row for table in STORED.values())
