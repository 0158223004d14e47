"""Drawing SVG elements: colours by role, kinds of frames by colour and pattern, every string escaped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from xenp2m.draw.svg.colours import Scheme, dark_rules, role_of, value_of
from xenp2m.draw.svg.letters import MONO, SANS
from xenp2m.entry import Kind

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Parts = Sequence[tuple[str, str]]
"""A text in several colours: each piece with its role."""


def clean(text: str) -> str:
    """Return a text with a replacement character where XML has no character."""
    return _NOT_XML.sub("\ufffd", text)


class Pen:
    """Draws into one element of a picture.

    A position is of the picture's own units.  Texts stand on their base line.
    """

    def __init__(self, element: ET.Element, scheme: Scheme, prefix: str) -> None:
        self.element = element
        self._scheme = scheme
        self._prefix = prefix

    def group(self, kind: str, **data: str | int) -> Pen:
        """Return a pen for a new group of class ``xp-KIND`` with ``data-`` attributes."""
        attributes = {f"data-{name.replace('_', '-')}": clean(str(value)) for name, value in data.items()}
        child = ET.SubElement(self.element, "g", {"class": f"xp-{kind}", **attributes})
        return Pen(child, self._scheme, self._prefix)

    def title(self, text: str) -> None:
        """Give the element the text that is shown when one points at it."""
        ET.SubElement(self.element, "title").text = clean(text)

    def rect(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        fill: str = "",
        stroke: str = "",
        thick: float = 1.0,
        round_by: float = 0.0,
        dash: str = "",
    ) -> None:
        """Draw a rectangle."""
        attributes = {"x": _n(x), "y": _n(y), "width": _n(max(width, 0.0)), "height": _n(max(height, 0.0))}
        if round_by:
            attributes["rx"] = _n(round_by)
        self._paint("rect", attributes, fill, stroke, thick, dash)

    def fill_kind(self, x: float, y: float, width: float, height: float, kind: Kind | None) -> None:
        """Fill a rectangle as a kind looks: RAM solid, others with a pattern; None is "cannot tell"."""
        if kind is Kind.RAM:
            self.rect(x, y, width, height, fill="ram")
            return
        attributes = {"x": _n(x), "y": _n(y), "width": _n(max(width, 0.0)), "height": _n(height)}
        attributes["fill"] = f"url(#{self._prefix}-{role_of(kind)})"
        ET.SubElement(self.element, "rect", attributes)

    def path(
        self, points: str, *, fill: str = "", stroke: str = "", thick: float = 1.0, dash: str = ""
    ) -> None:
        """Draw a path."""
        self._paint("path", {"d": points}, fill, stroke, thick, dash)

    def dot(self, x: float, y: float, radius: float, *, fill: str) -> None:
        """Draw a filled circle."""
        self._paint("circle", {"cx": _n(x), "cy": _n(y), "r": _n(radius)}, fill, "", 1.0, "")

    def text(
        self,
        x: float,
        y: float,
        text: str | Parts,
        size: float,
        *,
        fill: str = "ink",
        anchor: str = "start",
        mono: bool = True,
        bold: bool = False,
    ) -> None:
        """Write a text; as parts, each has its own colour."""
        attributes = {"x": _n(x), "y": _n(y), "font-size": _n(size), "xml:space": "preserve"}
        if mono:
            attributes["font-family"] = MONO
        if bold:
            attributes["font-weight"] = "bold"
        if anchor != "start":
            attributes["text-anchor"] = anchor
        whole = isinstance(text, str)
        element = self._paint("text", attributes, fill if whole else "", "", 1.0, "")
        if isinstance(text, str):
            element.text = clean(text)
            return
        for piece, role in text:
            part = ET.SubElement(element, "tspan", {"fill": self._colour(role), "class": f"xp-f-{role}"})
            part.text = clean(piece)

    def _paint(
        self, tag: str, attributes: dict[str, str], fill: str, stroke: str, thick: float, dash: str
    ) -> ET.Element:
        classes = []
        if fill:
            classes.append(f"xp-f-{fill}")
            attributes["fill"] = self._colour(fill)
        elif tag != "text":
            attributes["fill"] = "none"
        if stroke:
            classes.append(f"xp-s-{stroke}")
            attributes |= {"stroke": self._colour(stroke), "stroke-width": _n(thick)}
        if dash:
            attributes["stroke-dasharray"] = dash
        if classes:
            attributes["class"] = " ".join(classes)
        return ET.SubElement(self.element, tag, attributes)

    def _colour(self, role: str) -> str:
        return value_of(role, self._scheme)


class Picture:
    """A whole SVG: its root, the patterns of the kinds, its title and description for screen readers.

    ``prefix`` begins every id in it, so that several pictures can be in one page.
    """

    def __init__(self, kind: str, title: str, *, em: float, scheme: Scheme, prefix: str) -> None:
        self.root = ET.Element(
            "svg",
            {
                "xmlns": "http://www.w3.org/2000/svg",
                "class": f"xp xp-{kind}",
                "role": "img",
                "aria-labelledby": f"{prefix}-title",
                "aria-describedby": f"{prefix}-desc",
                "font-family": SANS,
            },
        )
        self._scheme = scheme
        self._prefix = prefix
        ET.SubElement(self.root, "title", {"id": f"{prefix}-title"}).text = clean(title)
        self._desc = ET.SubElement(self.root, "desc", {"id": f"{prefix}-desc"})
        if scheme is Scheme.AUTO:
            self._style = ET.SubElement(self.root, "style")
        self._patterns(em)
        self._ground = ET.SubElement(self.root, "g")
        self.pen = Pen(ET.SubElement(self.root, "g"), scheme, prefix)

    def finish(self, width: float, height: float, desc: str, *, standalone: bool) -> str:
        """Return the picture as text; a standalone one has a ground, its style, and can be a file."""
        size = {"viewBox": f"0 0 {_n(width)} {_n(height)}", "width": _n(width), "height": _n(height)}
        self.root.attrib.update(size)
        self._desc.text = clean(desc)
        if standalone:
            self.root.set("style", "max-width:100%;height:auto")
            Pen(self._ground, self._scheme, self._prefix).rect(0, 0, width, height, fill="paper")
        if self._scheme is Scheme.AUTO:
            if standalone:
                self._style.text = dark_rules()
            else:
                self.root.remove(self._style)
        text = ET.tostring(self.root, encoding="unicode")
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n' if standalone else text

    def _patterns(self, em: float) -> None:
        """Define how kinds fill: 1:1 is hatched, foreign checked, missing sparsely dotted.

        A tile is of whole pixels, because some programs show seams between others.
        """
        defs = ET.SubElement(self.root, "defs")
        whole = max(round(em / 4) * 2, 4)
        half, cell = whole / 2, str(whole)
        for role in ("identity", "foreign", "missing", "untold"):
            tile = ET.SubElement(
                defs,
                "pattern",
                {
                    "id": f"{self._prefix}-{role}",
                    "patternUnits": "userSpaceOnUse",
                    "width": cell,
                    "height": cell,
                },
            )
            pen = Pen(tile, self._scheme, self._prefix)
            pen.rect(0, 0, whole, whole, fill="paper")
            match role:
                case "identity":
                    tile.set("patternTransform", "rotate(45)")
                    pen.rect(0, 0, half * 1.1, whole, fill=role)
                case "foreign":
                    pen.rect(0, 0, half, half, fill=role)
                    pen.rect(half, half, half, half, fill=role)
                case "missing":
                    pen.dot(half, half, em * 0.09, fill=role)
                case "untold":
                    pen.rect(0, half * 0.6, whole, half * 0.5, fill=role)


def _n(value: float) -> str:
    """Print a length: two decimals at most."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
