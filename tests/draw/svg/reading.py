"""Pictures read back: what a test can ask of an SVG."""

from __future__ import annotations

from xml.etree import ElementTree as ET

SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg: str) -> ET.Element:
    """Parse a picture, and check what holds for all: unique ids, references that lead somewhere."""
    root = ET.fromstring(svg)
    ids = [element.get("id", "") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    for element in root.iter():
        fill = element.get("fill", "")
        if fill.startswith("url(#"):
            assert fill[5:-1] in ids
    assert set(root.get("aria-labelledby", "").split()) <= set(ids)
    return root


def texts(root: ET.Element) -> list[str]:
    """Return what is written in it."""
    return ["".join(element.itertext()) for element in root.iter(f"{SVG}text")]


def groups(root: ET.Element, kind: str) -> list[ET.Element]:
    """Return the groups of a class."""
    return [element for element in root.iter(f"{SVG}g") if element.get("class") == f"xp-{kind}"]


def outside(root: ET.Element) -> list[str]:
    """Return the texts and rectangles that reach out of the picture, with the widths that are assumed."""
    from xenp2m.draw.svg.letters import width_of

    _, _, width, height = (float(part) for part in root.get("viewBox", "").split())
    found = []
    for element in root.iter(f"{SVG}text"):
        text, size = "".join(element.itertext()), float(element.get("font-size", ""))
        mono = "Mono" in element.get("font-family", "")
        wide = width_of(text.rstrip(), size, mono=mono)
        x = float(element.get("x", ""))
        left = x - {"end": wide, "middle": wide / 2}.get(element.get("text-anchor", ""), 0.0)
        if left < -0.5 or left + wide > width + 0.5 or not 0 < float(element.get("y", "")) < height:
            found.append(text)
    patterns = {id(inner) for tile in root.iter(f"{SVG}pattern") for inner in tile.iter()}
    for element in root.iter(f"{SVG}rect"):
        if id(element) in patterns:
            continue
        box = {name: float(element.get(name, "")) for name in ("x", "y", "width", "height")}
        if box["x"] < -0.5 or box["x"] + box["width"] > width + 2 or box["y"] + box["height"] > height + 0.5:
            found.append(str(box))
    return found
