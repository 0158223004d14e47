"""Text that comes from inputs, for people: names of files, members of archives, words of a log."""

from __future__ import annotations


def printable(text: str, *, keep: str = "") -> str:
    """Return a text of which a terminal does nothing but print it.

    "\ufffd" stands for each character that moves the cursor, starts an escape sequence, turns the direction
    of writing or is no character at all; those in ``keep`` stay.
    """
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign in keep else "\ufffd" for sign in text)
