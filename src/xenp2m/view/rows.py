"""The rows of the panes below the map that cost nothing: the frame, BARs, differences."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from rich.text import Text

from xenp2m.check.diff import Half
from xenp2m.draw.palette import BAD, DIM, GOOD, LOOKS, UNTOLD, Look
from xenp2m.units import PAGE_SHIFT, format_frames
from xenp2m.view.compared import Compared
from xenp2m.view.scene import Layer, Mark, Place, Row, Scene

_MOST_DIFFERENCES = 1000


def bars(layer: Layer) -> tuple[Row, ...]:
    """Return a layer's BARs with their verdicts."""
    return tuple(Row(_bar(mark), mark.place) for mark in layer.bars)


def _bar(mark: Mark, before: str = "") -> Text:
    return Text.assemble((f"{before}{mark.name}  ", "bold"), (mark.verdict, GOOD if mark.maps else BAD))


@lru_cache(maxsize=4)
def differences(compared: Compared, end: int) -> tuple[Row, ...]:
    """Return the first thousand differences; ``end`` is the first frame past all that is shown."""
    found = tuple(
        Row(
            Text.assemble(
                (f"{piece.start << PAGE_SHIFT:#x}", "bold"),
                f"  {'no end' if piece.end >= end else format_frames(piece.pages)}: ",
                _half(piece.a),
                " → ",
                _half(piece.b),
            ),
            Place(piece.start, piece.end),
        )
        for piece in compared.regions[:_MOST_DIFFERENCES]
    )
    more = len(compared.regions) - len(found)
    return (*found, Row(Text(f"{more} more: n goes on to them", style=DIM))) if more else found


def _half(half: Half) -> tuple[str, str]:
    look = UNTOLD if half.kind is None else LOOKS[half.kind]
    return look.word, look.style


def frame(scene: Scene, layer: Layer, pfn: int) -> Iterator[Row]:
    """Say what a frame is in a layer, and its kind in the others."""
    run = layer.map.run_at(pfn)
    look = _look(layer, pfn)
    extent = "no end" if pfn >= layer.map.end_pfn else format_frames(run.pages)
    yield Row(
        Text.assemble(
            (f"{pfn << PAGE_SHIFT:#x}", "bold"),
            f"  pfn {pfn:#x}  ",
            (look.word, f"bold {look.style}"),
            f" in {layer.name}: from {run.pfn << PAGE_SHIFT:#x}, {extent}",
        )
    )
    yield from (Row(Text(line)) for line in layer.brief(pfn) if line)
    yield from (Row(_bar(mark, "BAR ")) for mark in layer.bars if mark.place.start <= pfn < mark.place.end)
    others = [(each.name, _look(each, pfn)) for each in scene.layers if each is not layer]
    if others:
        yield Row(
            Text("  ").join(
                Text.assemble((f"{name}: ", DIM), (look.word, look.style)) for name, look in others
            )
        )


def _look(layer: Layer, pfn: int) -> Look:
    return LOOKS[layer.map.run_at(pfn).kind] if layer.untold(pfn) is None else UNTOLD
