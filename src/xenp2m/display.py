"""Values that a notebook shows as a picture or a table.

IPython asks the value of a cell for ``_repr_html_`` and ``_repr_svg_``.  What they return is drawn above, in
``xenp2m.draw.notebook``, which is imported when a notebook asks and not before.
"""

from __future__ import annotations


class Displayed:
    """Has an HTML form."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from xenp2m.draw.notebook import html_of  # noqa: PLC0415 - only notebooks ask

        return html_of(self)


class Pictured(Displayed):
    """Has an SVG form too."""

    __slots__ = ()

    def _repr_svg_(self) -> str:
        from xenp2m.draw.notebook import svg_of  # noqa: PLC0415 - only notebooks ask

        return svg_of(self)
