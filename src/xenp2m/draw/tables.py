"""Tables that become paragraphs where the terminal is too narrow for them: nothing is cut off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

_LEAST = 16
_LONG_WORD = 32
_GAP = 2


@dataclass(frozen=True, slots=True)
class Packed:
    """Short texts in as few lines as the width allows, each kept whole; ``gap`` blanks are between them."""

    parts: Sequence[Text]
    gap: int = _GAP
    indent: int = 0

    @property
    def text(self) -> Text:
        """All of them in one line."""
        return Text(" " * self.gap).join(self.parts)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        line = Text()
        for part in self.parts:
            if line and line.cell_len + self.gap + part.cell_len > options.max_width:
                yield line
                line = Text(" " * self.indent)
            elif line:
                line.append(" " * self.gap)
            line.append_text(part)
        yield line


class FittedTable(Table):
    """A table without lines whose columns keep their width, but for those that fold.

    Where they do not all fit, with 16 columns for each that folds, or as many as its longest word has (32 at
    most), a row is a paragraph: the first column and those that keep their width in its first lines, the
    others below, with their headings.
    """

    def __init__(self, title: str | None = None, *, show_header: bool = True) -> None:
        super().__init__(
            title=title,
            title_justify="left",
            box=None,
            padding=(0, _GAP, 0, 0),
            pad_edge=False,
            header_style="bold",
            show_header=show_header,
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._fits(console, options):
            yield from super().__rich_console__(console, options)
        else:
            yield from self._paragraphs()

    def _fits(self, console: Console, options: ConsoleOptions) -> bool:
        wide = options.update(width=1 << 16)
        needed = 0
        for column in self.columns:
            cells = [*([column.header] if self.show_header else []), *column.cells]
            sizes = [Measurement.get(console, wide, cell) for cell in cells]
            width = max((size.maximum for size in sizes), default=0)
            word = max((size.minimum for size in sizes), default=0)
            folded = max(min(width, _LEAST), min(word, _LONG_WORD))
            needed += column.width or (folded if _folds(column) else width)
        return needed + _GAP * (len(self.columns) - 1) <= options.max_width

    def _paragraphs(self) -> Iterator[RenderableType]:
        if self.title:
            yield self.title
        if self.show_header and self.columns[0].header:
            yield Text(str(self.columns[0].header), "bold")
        for cells in zip(*(column.cells for column in self.columns), strict=True):
            head: list[Text] = []
            below: list[Text] = []
            for number, (column, cell) in enumerate(zip(self.columns, cells, strict=True)):
                name = str(column.header) if self.show_header else ""
                text = _text(cell)
                if not text.plain.strip():
                    continue
                if number and _folds(column):
                    below.append(Text.assemble((f"{name}: " if name else "", "dim"), text))
                else:
                    text = Text(" ").join(text.split("\n"))
                    head.append(Text.assemble((f"{name} " if number and name else "", "dim"), text))
            yield Packed(head, indent=_GAP)
            yield from (Padding(text, (0, 0, 0, _GAP), expand=False) for text in below)


def _folds(column: Column) -> bool:
    return column.overflow == "fold"


def _text(cell: RenderableType) -> Text:
    if not isinstance(cell, (str, Text)):
        raise TypeError(f"a cell of a fitted table is a text, not {type(cell).__name__}")
    return Text(cell) if isinstance(cell, str) else cell
