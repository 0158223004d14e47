"""The arrows of the tree: straight ones to private pages, a trunk for each shared page."""

from __future__ import annotations

from dataclasses import dataclass, field

from xenp2m.draw.svg.pen import Pen


@dataclass(slots=True)
class Trunk:
    """The slots that point to one shared page, joined in one line that ends in it.

    ``lane`` is where the line runs down, ``end`` the corner of the page that it reaches; ``slots`` counts
    how many point there.
    """

    role: str
    slots: int
    lane: float
    end: tuple[float, float] = (0.0, 0.0)
    feeders: list[tuple[float, float]] = field(default_factory=list)

    def feed(self, x: float, y: float) -> None:
        """Join slots that end at a place."""
        self.feeders.append((x, y))

    def draw(self, pen: Pen, em: float) -> None:
        """Draw the line with all that joins it; one to a missing page is dashed."""
        dash = f"{em * 0.35:.1f} {em * 0.22:.1f}" if self.role == "missing" else ""
        thick = em * 0.11
        x, y = self.end
        heights = [y, *(feeder for _, feeder in self.feeders)]
        if max(heights) > min(heights):
            line = f"M{self.lane:.1f} {min(heights):.1f}V{max(heights):.1f}"
            pen.path(line, stroke=self.role, thick=thick, dash=dash)
        for start, height in self.feeders:
            pen.path(f"M{start:.1f} {height:.1f}H{self.lane:.1f}", stroke=self.role, thick=thick, dash=dash)
            pen.dot(self.lane, height, em * 0.17, fill=self.role)
        arrow(pen, self.lane, x, y, em, self.role, dash)


def arrow(pen: Pen, start: float, end: float, y: float, em: float, role: str, dash: str = "") -> None:
    """Draw a straight arrow to the right."""
    head = em * 0.5
    pen.path(f"M{start:.1f} {y:.1f}H{end - head * 0.8:.1f}", stroke=role, thick=em * 0.11, dash=dash)
    pen.path(f"M{end:.1f} {y:.1f}l{-head:.1f} {-head / 2:.1f}v{head:.1f}z", fill=role)
