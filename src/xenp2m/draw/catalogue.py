"""The catalogue of machines as a table, one machine of it in full, and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from xenp2m.catalogue import PREFIX, Entry
from xenp2m.draw.console import say
from xenp2m.draw.palette import BAD, DIM
from xenp2m.units import format_size

FORMAT = "xenp2m.catalogue/1"

_GAP = 2


class _Column(NamedTuple):
    """A column of the table; without a width it gets what the others leave."""

    heading: str
    cell: Callable[[Entry], str]
    width: int | None = None
    shown_from: int = 0
    right: bool = False


def entry_to_json(entry: Entry) -> dict[str, Any]:
    """Return an entry as an object for ``json.dumps``: its facts in figures, not the maps themselves."""
    return {
        "id": entry.id,
        "product": entry.product,
        "firmware": entry.firmware,
        "firmware_year": entry.firmware_year,
        "published": entry.published,
        "kind": entry.kind.value,
        "map": entry.kind.map,
        "virtual": entry.is_virtual,
        "lack": entry.lack,
        "caveats": list(entry.caveats),
        "ram_bytes": entry.ram,
        "map_end": entry.map_end,
        "bars": len(entry.record["bars"]),
        "bars_end": entry.bars_end,
        "source": asdict(entry.source),
    }


def catalogue_to_json(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return ``xenp2m.catalogue/1``."""
    return {"format": FORMAT, "entries": [entry_to_json(entry) for entry in entries]}


def print_catalogue(entries: Sequence[Entry], console: Console) -> None:
    """Print the machines, a row each; one alone in full."""
    if len(entries) == 1:
        _print_entry(entries[0], console)
        return
    columns = [column for column in _COLUMNS if console.width >= column.shown_from]
    left = console.width - sum((column.width or 0) + _GAP for column in columns)
    table = Table(box=None, padding=(0, _GAP, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(
            column.heading,
            justify="right" if column.right else "left",
            no_wrap=True,
            overflow="ellipsis",
            width=column.width or left,
        )
    for entry in entries:
        cells = [Text(column.cell(entry)) for column in columns]
        table.add_row(*cells, style=DIM if entry.lack else "")
    console.print(table)
    usable = sum(not entry.lack for entry in entries)
    say(
        console,
        f"{len(entries)} machines, of which {usable} can be predicted (the others are dim); "
        f"{PREFIX}ID stands for a capture",
        style=DIM,
    )


def year(entry: Entry) -> str:
    """Return the year of the firmware, or that before which the machine was there (``≤2022``)."""
    if entry.firmware_year:
        return str(entry.firmware_year)
    return f"≤{entry.published}" if entry.published else ""


def _rounded(size: int) -> str:
    """Return a size for comparing by eye: three digits."""
    if not size:
        return ""
    unit = min(max(size.bit_length() - 1, 0) // 10, 5)
    value = size / (1 << 10 * unit)
    return (
        f"{value:.3g} {('B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB')[unit]}" if value < 1000 else format_size(size)
    )


def _print_entry(entry: Entry, console: Console) -> None:
    say(console, f"{PREFIX}{entry.id}  {entry.product}".rstrip(), style="bold")
    rows = {
        "firmware": entry.firmware,
        "map": entry.kind.map,
        "entries": str(len(entry.record["e820"]) or ""),
        "RAM": format_size(entry.ram) if entry.ram else "",
        "map ends": format_size(entry.map_end) if entry.map_end else "",
        "BARs": str(len(entry.record["bars"])),
        "BARs end": format_size(entry.bars_end) if entry.bars_end else "",
        "source": str(entry.source),
        "published": str(entry.published or ""),
        "licence": entry.source.licence or "none recorded: facts only",
    }
    for name, text in rows.items():
        if text:
            say(console, f"  {name:<10}{text}")
    for caveat in entry.caveats:
        say(console, f"  note      {caveat}", style=DIM)
    if entry.lack:
        say(console, f"  cannot be predicted: {entry.lack}", style=BAD)


_COLUMNS = (
    _Column("id", lambda entry: entry.id, 12),
    _Column("product", lambda entry: entry.product),
    _Column("year", year, 5, shown_from=80),
    _Column("kind", lambda entry: entry.kind.value, 12, shown_from=90),
    _Column("RAM", lambda entry: _rounded(entry.ram), 8, shown_from=60, right=True),
    _Column("BARs", lambda entry: str(len(entry.record["bars"]) or ""), 4, shown_from=60, right=True),
    _Column("BARs end", lambda entry: _rounded(entry.bars_end), 8, shown_from=60, right=True),
    _Column("source", lambda entry: entry.source.repo, 40, shown_from=130),
)
