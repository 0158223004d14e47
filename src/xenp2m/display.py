"""Values that a notebook shows as a picture or a table.

IPython asks the value of a cell for ``_repr_html_`` and ``_repr_svg_``.  Who paints them is above every
value: the package itself names the painter, which is imported when a notebook asks and not before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Painter(Protocol):
    """Draws any value of the package."""

    def svg_of(self, value: object) -> str:
        """Return a picture of a value."""

    def html_of(self, value: object) -> str:
        """Return the HTML form of a value."""


class _Painting:
    painter: Callable[[], Painter]


def paint_with(painter: Callable[[], Painter]) -> None:
    """Name who paints: a function that is called when a notebook asks for a value."""
    _Painting.painter = staticmethod(painter)


class Displayed:
    """Has an HTML form."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return _Painting.painter().html_of(self)


class Pictured(Displayed):
    """Has an SVG form too."""

    __slots__ = ()

    def _repr_svg_(self) -> str:
        return _Painting.painter().svg_of(self)
