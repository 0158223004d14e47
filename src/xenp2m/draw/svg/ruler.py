"""The address axis of a picture: where bytes are, the labels, the lines that go through all maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xenp2m.draw.axis import Scale
from xenp2m.draw.svg.letters import width_of
from xenp2m.draw.svg.pen import Pen

_FIRST_PART = 0.035
_LABEL_EMS = 4.2


@dataclass(frozen=True, slots=True)
class Ruler:
    """Addresses along a picture: ``x`` to ``x + width``; letters are ``em`` high."""

    scale: Scale
    x: float
    width: float
    em: float

    @classmethod
    def to(cls, highest: int, x: float, width: float, em: float) -> Ruler:
        """Make an axis from 0 past ``highest`` (a byte address)."""
        return cls(Scale.to(highest, _FIRST_PART), x, width, em)

    @property
    def end(self) -> float:
        """Where the axis ends."""
        return self.x + self.width

    def at(self, address: int) -> float:
        """Return where a byte address lies."""
        return self.x + self.width * self.scale.place(address)

    def columns(self) -> list[int]:
        """Return the addresses that bound columns of one unit each; the last one is the end."""
        count = round(self.width)
        return [*(self.scale.address(column / count) for column in range(count)), self.scale.end]

    def draw(self, pen: Pen, y: float) -> None:
        """Write the labels, their middle at the place that they name, none over another."""
        size = self.em * 0.86
        taken = self.x - self.em
        for address, text in self._ticks():
            wide = width_of(text, size, mono=True)
            start = min(max(self.at(address) - wide / 2, self.x), self.end - wide)
            if start < taken + self.em * 0.6:
                continue
            pen.text(start, y, text, size, fill="dim")
            taken = start + wide

    def lines(self, pen: Pen, top: float, bottom: float) -> None:
        """Draw a faint line at every label."""
        for address, _ in self._ticks():
            x = self.at(address)
            pen.path(f"M{x:.1f} {top:.1f}V{bottom:.1f}", stroke="faint")

    def _ticks(self) -> Sequence[tuple[int, str]]:
        return self.scale.ticks(self.width / (self.em * _LABEL_EMS))
