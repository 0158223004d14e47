"""What the commands of a fleet share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from xenp2m.fleet.query import Fleet

fleet_argument = click.argument("fleet", metavar="FLEET")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@contextmanager
def with_extra() -> Iterator[None]:
    """Say in one line what to install where pyarrow or duckdb is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("pyarrow", "duckdb"):
            raise
        raise click.UsageError("fleet needs the extra \"fleet\": pip install 'xenp2m[fleet]'") from None


def open_fleet(path: str) -> Fleet:
    """Open a fleet to ask it."""
    with with_extra():
        from xenp2m.fleet.query import Fleet
        from xenp2m.fleet.store import LocalStore
    return Fleet(LocalStore(path))
