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

_EXTRAS = {"pyarrow": "fleet", "duckdb": "fleet", "dask": "dask", "distributed": "dask"}


@contextmanager
def with_extra() -> Iterator[None]:
    """Say in one line what to install where a package that a command needs is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        what = "--dask" if extra == "dask" else "fleet"
        raise click.UsageError(f"{what} needs the extra \"{extra}\": pip install 'xenp2m[{extra}]'") from None


def open_fleet(path: str) -> Fleet:
    """Open a fleet to ask it."""
    with with_extra():
        from xenp2m.fleet.query import Fleet
        from xenp2m.fleet.remote import store_at
    return Fleet(store_at(path))
