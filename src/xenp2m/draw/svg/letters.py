"""How wide a text is, without a font at hand: the widest of the usual fonts is assumed."""

from __future__ import annotations

MONO = "'DejaVu Sans Mono',Menlo,Consolas,'Liberation Mono',monospace"
SANS = "'DejaVu Sans',Verdana,'Segoe UI',Helvetica,Arial,sans-serif"

_MONO_EM = 0.602
_NARROW = frozenset(" .,:;|!'`()[]{}/\\-iIjltfr·")
_WIDE = frozenset("mwMW@%…—→")


def width_of(text: str, size: float, *, mono: bool) -> float:
    """Return the width of a text in the units of ``size``, the height of its letters (em)."""
    if mono:
        return len(text) * _MONO_EM * size
    return sum(0.4 if char in _NARROW else 1.0 if char in _WIDE else 0.65 for char in text) * size


def fitting(room: float, size: float, *candidates: str, mono: bool) -> str:
    """Return the first of the candidates that fits; else the last one, cut with an ellipsis."""
    for text in candidates:
        if width_of(text, size, mono=mono) <= room:
            return text
    text = candidates[-1]
    while text and width_of(f"{text}…", size, mono=mono) > room:
        text = text[:-1]
    return f"{text}…" if text else ""


def wrapped(text: str, room: float, size: float, *, mono: bool = False) -> list[str]:
    """Break a text between words into lines that fit; a word that does not is cut with an ellipsis."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width_of(longer, size, mono=mono) <= room:
            lines[-1] = longer
        else:
            lines.append(fitting(room, size, word, mono=mono))
    return lines
