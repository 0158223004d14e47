"""The consoles that everything is printed on."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterable
from io import TextIOWrapper
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from xenp2m.printable import printable

_PIPED_WIDTH = 100
_WIDEST = 240
"""Columns past which a terminal's width is left empty: wider maps and tables are no easier to read."""
_PLAIN_LOCALES = ("C", "POSIX")
_ASCII = "xenp2m.ascii"
_SIGNS = str.maketrans(
    {
        "·": "-",
        "×": "x",
        "→": ">",
        "←": "<",
        "…": "~",
        "✓": "v",
        "✗": "X",
        "█": "#",
        "▒": "=",
        "▚": "%",
        "░": "-",
        "−": "-",
        "–": "-",
        "▲": "^",
        "≠": "!",
        "≤": "<",
        "≥": ">",
        "│": "|",
        "─": "-",
        "└": "`",
        "├": "|",
    }
)
"""What stands for each of our signs, one column each, where the output's encoding does not have it."""


class _Console(Console):
    """A console that sends no escape sequences but its own, and whose closed pipe is a BrokenPipeError."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render, and take the sting out of what inputs hold."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(printable(text, keep="\n"), style)

    def on_broken_pipe(self) -> None:
        """Say it as Python does; rich makes exit status 1 of it."""
        raise BrokenPipeError


def stdout() -> Console:
    """Return the console of standard output.

    It colours only on a terminal and never when NO_COLOR is set.  It is as wide as the terminal, or as
    COLUMNS says, up to 240 columns; piped output is 100 columns wide without COLUMNS, and is not wrapped to
    the width of a terminal that it does not go to.  A character that the output's encoding does not have is
    printed as its nearest ASCII sign.
    """
    _spell_out(sys.stdout)
    if sys.stdout.isatty():
        return _fitted(_Console(highlight=False))
    width = int(columns) if (columns := os.environ.get("COLUMNS", "")).isdigit() else _PIPED_WIDTH
    width = min(max(width, 20), _WIDEST)
    return plain(width)


def plain(width: int, file: TextIO | None = None) -> Console:
    """Return a console without colours for a file or a pipe, by default standard output."""
    return _Console(file=file, highlight=False, width=width, no_color=True, force_terminal=False)


def stderr() -> Console:
    """Return the console of standard error, as ``stdout`` is."""
    _spell_out(sys.stderr)
    return _fitted(_Console(stderr=True, highlight=False))


def supports_unicode(console: Console) -> bool:
    """Return whether block characters can be printed; else plain ASCII is drawn."""
    return console.encoding.lower().startswith("utf")


def locale_is_plain() -> bool:
    """Return whether the user asked for the C locale: its terminal is taken to know ASCII only.

    Python prints UTF-8 there as everywhere.  A locale that is not set at all tells nothing, and
    PYTHONIOENCODING or PYTHONUTF8 tell more.
    """
    if "PYTHONIOENCODING" in os.environ or "PYTHONUTF8" in os.environ or not sys.flags.utf8_mode:
        return False
    return (os.environ.get("LC_ALL") or os.environ.get("LANG")) in _PLAIN_LOCALES


def to_ascii(text: str) -> str:
    """Return a text with the nearest ASCII sign for each character: its length stays the same."""
    return text.translate(_SIGNS).encode("ascii", "replace").decode()


def say(console: Console, text: str, *, style: str = "") -> None:
    """Print text as it is: what comes out of a file is no markup."""
    console.print(Text(text, style=style))


def _fitted(console: Console) -> Console:
    console.width = min(console.width, _WIDEST)
    return console


def _spell_out(stream: TextIO) -> None:
    """Make a stream print what it cannot encode as ASCII signs."""
    if isinstance(stream, TextIOWrapper):
        codecs.register_error(_ASCII, _nearest)
        stream.reconfigure(encoding="ascii" if locale_is_plain() else None, errors=_ASCII)


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return to_ascii(error.object[error.start : error.end]), error.end
