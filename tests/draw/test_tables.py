from __future__ import annotations

import io

from rich.console import Console
from rich.text import Text

from xenp2m.draw.tables import FittedTable, Packed


def printed(what: FittedTable | Packed, width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(what)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def regions() -> FittedTable:
    table = FittedTable()
    table.add_column("address", justify="right")
    table.add_column("size", justify="right")
    table.add_column("3.15")
    table.add_column("what is there", overflow="fold")
    table.add_row("0x1080000000", "446 GiB", Text("missing", "red"), "past the end of the E820 map")
    table.add_row("0x8000000000", "", Text("missing", "red"), "past the end of the p2m")
    return table


def test_a_table_that_fits_is_a_table() -> None:
    heading, first, second = printed(regions(), 80)
    assert heading.split() == ["address", "size", "3.15", "what", "is", "there"]
    assert first.split("  ")[0] == "0x1080000000"
    assert second.startswith("0x8000000000")


def test_a_table_that_does_not_fit_is_paragraphs_with_everything_in_them() -> None:
    lines = printed(regions(), 36)
    assert lines == [
        "address",
        "0x1080000000  size 446 GiB",
        "  3.15 missing",
        "  what is there: past the end of the",
        "  E820 map",
        "0x8000000000  3.15 missing",
        "  what is there: past the end of the",
        "  p2m",
    ]


def test_nothing_is_cut_at_any_width() -> None:
    words = set(" ".join(printed(regions(), 200)[1:]).split())
    for width in range(24, 100):
        lines = printed(regions(), width)
        assert words <= set(" ".join(lines).split())
        assert max(map(len, lines)) <= width


def test_names_are_whole_at_any_width() -> None:
    table = FittedTable()
    table.add_column("BAR")
    table.add_column("3.15", overflow="fold")
    table.add_column("series", overflow="fold")
    table.add_row("0000:82:00.0/0", "does not map: io_remap_pfn_range, /dev/mem", "maps")
    for width in range(24, 100):
        assert "io_remap_pfn_range," in " ".join(printed(table, width)).split(), width


def test_a_column_of_a_set_width_counts_with_it() -> None:
    table = FittedTable()
    table.add_column("view", width=30, overflow="fold")
    table.add_column("pages", no_wrap=True, width=12)
    table.add_row("in use", "1234")
    assert printed(table, 44)[1].split() == ["in", "use", "1234"]
    assert printed(table, 43) == ["view", "in use  pages 1234"]


def test_packed_texts_are_kept_whole() -> None:
    parts = Packed([Text("RAM"), Text("BAR maps"), Text("BAR does not map")], gap=3, indent=2)
    assert printed(parts, 80) == ["RAM   BAR maps   BAR does not map"]
    assert printed(parts, 20) == ["RAM   BAR maps", "  BAR does not map"]
