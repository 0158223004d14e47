"""Pictures that several commands can write beside what they print."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Pictures(NamedTuple):
    """The files that were asked for, None where none was; the width in pixels; the colours."""

    svg: str | None = None
    png: str | None = None
    width: int = 1200
    scheme: str = "auto"

    @property
    def wanted(self) -> bool:
        """Whether any picture was asked for."""
        return self.svg is not None or self.png is not None

    def write(self, draw: Callable[..., str]) -> None:
        """Write them, whole or not at all; ``draw`` takes ``width`` and ``scheme`` and returns an SVG.

        A PNG cannot follow the reader's preference: where that is asked for, it is light.
        """
        from xenp2m.draw.svg import Scheme
        from xenp2m.draw.svg.png import to_png
        from xenp2m.files import write_atomically

        scheme = Scheme(self.scheme)
        if self.png is not None:
            fixed = Scheme.LIGHT if scheme is Scheme.AUTO else scheme
            write_atomically(self.png, to_png(draw(width=self.width, scheme=fixed)))
        if self.svg is not None:
            write_atomically(self.svg, draw(width=self.width, scheme=scheme).encode())
