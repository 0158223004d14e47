"""Scenes to look at: small ones of our own, predictions and dumps of the tests' data."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from rich.text import Text

from xenp2m.arch import X86_64
from xenp2m.capture import read_files
from xenp2m.dump import inspect, open_dump
from xenp2m.entry import Kind
from xenp2m.prediction import WhatIf, predict
from xenp2m.rules import rules_for
from xenp2m.runs import Ambiguous, Run, RunMap
from xenp2m.view.inspected import inspected_layer
from xenp2m.view.predicted import predicted_layer
from xenp2m.view.scene import Layer, Mark, Place, Row, Scene

DATA = Path(__file__).resolve().parent.parent / "data"
GIB = 1 << 18
"""Frames of a GiB."""
HOLE = 0x12345
"""The one missing frame among the RAM."""


def layer(
    name: str, *runs: Run, beyond: Kind = Kind.MISSING, bars: tuple[Mark, ...] = (), **more: object
) -> Layer:
    known = RunMap(X86_64, 4 * GIB, beyond, runs)
    return Layer(
        name=name,
        map=known,
        brief=lambda frame: (f"reason of {frame:#x}",),
        explain=lambda frame: [Row(Text(f"step {step} for {frame:#x}")) for step in range(30)],
        findings=lambda: (
            Row(Text("XP101 at a place"), Place(HOLE, HOLE + 1), "XP101"),
            Row(Text("XP401 at none"), None, "XP401"),
        ),
        log=("Released 1 page(s)",),
        log_title="will log",
        bars=bars,
        **more,  # type: ignore[arg-type]
    )


def own_scene() -> Scene:
    """Two layers: RAM with a hole of one frame in the first, and none in the second; BARs past 2 GiB."""
    bars = (
        Mark("0000:3b:00.0/0", Place(2 * GIB, 2 * GIB + 16), False, "does not map"),
        Mark("0000:3b:00.0/2", Place(3 * GIB, 3 * GIB + 512), True, "maps"),
        Mark("0000:3c:00.0/2", Place(2 * GIB, 2 * GIB + 1), True, "maps"),
    )
    low, high = Run(0, HOLE, Kind.RAM, None), Run(HOLE + 1, GIB - HOLE - 1, Kind.RAM, None)
    untold = Ambiguous(GIB, GIB + 8, (Kind.IDENTITY, Kind.MISSING), "it is not known")
    return Scene(
        "a machine",
        (
            layer("before", low, high, bars=bars),
            layer("after", Run(0, GIB, Kind.RAM, None), beyond=Kind.IDENTITY),
            layer("dump", Run(0, GIB, Kind.RAM, 0x1000), ambiguous=(untold,), pfn_of={0x1005: 5}.get),
        ),
    )


@cache
def predicted_scene() -> Scene:
    """A machine whose BAR past 512 GiB does not map before the series."""
    capture = read_files([DATA / "captures/k314-bar"])
    predictions = [predict(capture, kernel) for kernel in ("3.15", "series")]
    layers = [predicted_layer(prediction, capture, WhatIf()) for prediction in predictions]
    return Scene("k314-bar", tuple(layers), predictions[0].guest.config.e820 or ())


@cache
def inspected_scene() -> Scene:
    """dom0 in a dump of the same machine."""
    found = inspect(open_dump(DATA / "dumps/k314-bar.reduced.elf.zst"))
    layers = [inspected_layer(found, domain, rules_for("3.14")) for domain in found.domains if domain.p2m]
    return Scene(found.name, tuple(layers), slow=True)
