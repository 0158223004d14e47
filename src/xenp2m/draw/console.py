"""The consoles that everything is printed on."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

from rich.console import Console
from rich.text import Text

_PIPED_WIDTH = 100


def stdout() -> Console:
    """Return the console of standard output.

    It colours only on a terminal and never when NO_COLOR is set.  Piped output is as wide as COLUMNS says,
    or 100 columns, and is not wrapped to the width of a terminal that it does not go to.  A character that
    the output's encoding does not have is printed as a question mark.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    if sys.stdout.isatty():
        return Console(highlight=False)
    width = int(columns) if (columns := os.environ.get("COLUMNS", "")).isdigit() else _PIPED_WIDTH
    return Console(highlight=False, width=max(width, 20), no_color=True, force_terminal=False)


def supports_unicode(console: Console) -> bool:
    """Return whether block characters can be printed; else plain ASCII is drawn."""
    return console.encoding.lower().startswith("utf")


def say(console: Console, text: str, *, style: str = "") -> None:
    """Print text as it is: what comes out of a file is no markup."""
    console.print(Text(text, style=style))
