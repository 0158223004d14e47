"""How each kind of frame looks: a colour, a block and an ASCII sign, never colour alone."""

from __future__ import annotations

from typing import NamedTuple

from xenp2m.entry import Kind


class Look(NamedTuple):
    """The style, the sign (Unicode and ASCII) and the word of a kind."""

    style: str
    block: str
    ascii: str
    word: str

    def sign(self, unicode: bool) -> str:
        """Return the sign that the console can print."""
        return self.block if unicode else self.ascii


LOOKS = {
    Kind.RAM: Look("blue", "█", "#", "RAM"),
    Kind.IDENTITY: Look("green", "▒", "=", "1:1"),
    Kind.FOREIGN: Look("magenta", "▚", "%", "foreign"),
    Kind.MISSING: Look("red", "·", ".", "missing"),
}

UNTOLD = Look("yellow", "?", "?", "cannot tell")
"""Frames whose kind the source of a map does not tell."""

GOOD = "green"
BAD = "bold red"
DIM = "dim"
