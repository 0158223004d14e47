"""The layers of an address map: one frame map each, why each frame is so and how it maps."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xenp2m.arch import PTE_FRAMES, Arch
from xenp2m.boot import Guest
from xenp2m.check.bars import frame_class
from xenp2m.check.explain import explain_kind
from xenp2m.check.places import KindsP2m, predicted_m2p
from xenp2m.draw.page.encode import packed, packed_maps
from xenp2m.draw.page.ways import layout_to_json, predicted_ways, read_ways
from xenp2m.entry import Kind
from xenp2m.mmu.convert import ISA_END, ISA_START, Converter
from xenp2m.mmu.mappers import Step
from xenp2m.mmu.pte import layout_of
from xenp2m.p2m.m2p import M2p
from xenp2m.prediction import Prediction
from xenp2m.rules import Rules
from xenp2m.runs import Ambiguous, Run, RunMap
from xenp2m.units import PAGE_SHIFT

_BUDGET = 800_000
_ELSEWHERE = 0x5431
_FAR = 0x123_4567


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One frame map and what the page can say of its frames.

    ``about`` has the columns of what is known (see ``predicted_layer`` and ``read_layer``); ``ambiguous`` are
    frames whose kind the map does not tell.
    """

    name: str
    map: RunMap
    about: dict[str, Any]
    ambiguous: Sequence[Ambiguous] = ()


class _Pool:
    """Values that are often the same, each kept once."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._index: dict[str, int] = {}

    def add(self, value: Any) -> int:
        """Return the place of a value."""
        key = json.dumps(value)
        if key not in self._index:
            self._index[key] = len(self.values)
            self.values.append(value)
        return self._index[key]


def predicted_layer(prediction: Prediction) -> Layer:
    """Return the layer of a kernel on a machine.

    Its pieces are frames of one class: ``starts``, and for each the place of its reason in ``whys`` and of
    its ways of being mapped in ``ways``.  Numbers are cut where the frame bits of an entry end, so that what
    is at ``[wrap, 2 * wrap)`` comes again and again up to the last frame that hardware can address.
    """
    guest = prediction.guest
    converter = Converter(
        guest.rules, KindsP2m(guest.p2m), predicted_m2p(guest), initial_domain=guest.config.is_dom0
    )
    whys, ways = _Pool(), _Pool()
    starts: list[int] = []
    columns: list[tuple[int, int]] = []
    wrap = _end_of_numbers(guest.rules, guest.config.arch)
    for start, end in _pieces(guest, converter, wrap):
        why = whys.add(_steps(explain_kind(guest, start)))
        found, _ = frame_class(guest, start)
        again = (start + wrap,) if wrap <= start < PTE_FRAMES - wrap else ()
        way = ways.add(predicted_ways(converter, found, (start, end - 1, *again)))
        if not columns or columns[-1] != (why, way):
            starts.append(start)
            columns.append((why, way))
    about = {
        "predicted": True,
        "wrap": wrap,
        "layout": layout_to_json(converter),
        "pieces": packed(
            {
                "starts": starts,
                "why": [why for why, _ in columns],
                "way": [way for _, way in columns],
            }
        ),
        "whys": packed(whys.values),
        "ways": packed(ways.values),
    }
    return Layer(prediction.rules.name, guest.p2m, about)


def _end_of_numbers(rules: Rules, arch: Arch) -> int:
    """Return the first frame whose number is cut."""
    return min(layout_of(rules, arch).pfn_mask >> PAGE_SHIFT, arch.word_mask) + 1


def _pieces(guest: Guest, converter: Converter, wrap: int) -> Iterator[tuple[int, int]]:
    """Cut the frames up to twice ``wrap`` where their class, their story or the M2P changes."""
    own = {edge for op in guest.ops for edge in (op.start, op.end)} | set(converter.m2p.edges)
    cut = {wrap + edge for edge in converter.m2p.edges if edge < wrap}
    end_of_cut = min(2 * wrap, PTE_FRAMES)
    edges = sorted({edge for edge in own | cut if edge < end_of_cut} | {end_of_cut})
    at = 0
    while at < end_of_cut:
        _, until = frame_class(guest, at)
        end = min(until, edges[bisect_right(edges, at)])
        yield at, end
        at = end


def _steps(steps: Sequence[Step]) -> list[list[str]]:
    """Return a story with the rule that decides first."""
    *before, rule = steps
    return [[step.text, step.source] for step in (rule, *before)]


def read_layer(
    name: str,
    known: RunMap,
    ambiguous: Sequence[Ambiguous] = (),
    *,
    rules: Rules,
    source: Sequence[str] = (),
    initial_domain: bool = True,
) -> Layer:
    """Return the layer of a map that was read: from a dump, a running kernel or a file.

    ``source`` says in words where it comes from, and ``rules`` how its frames are mapped.  ``zones`` are
    where the outcome can change with a frame's number, and ``ways`` has, by kind and whether the machine
    frame is known, a template a zone.
    """
    zones = _zones(rules, known.arch)
    ways = {
        f"{kind.label}{'' if named else '?'}": [
            _zone_ways(rules, known.arch, kind, first, last, named=named, initial_domain=initial_domain)
            for first, last in zip(zones, [zone - 1 for zone in (*zones[1:], PTE_FRAMES)], strict=True)
        ]
        for kind in Kind
        for named in ((True, False) if kind in (Kind.RAM, Kind.FOREIGN) else (True,))
        if not (kind is Kind.FOREIGN and not named)
    }
    converter = Converter(rules, KindsP2m(known), M2p(known.arch, 0), initial_domain=initial_domain)
    about = {
        "predicted": False,
        "layout": layout_to_json(converter),
        "source": list(source),
        "zones": zones,
        "ways": ways,
    }
    return Layer(name, known, about, ambiguous)


def _zones(rules: Rules, arch: Arch) -> list[int]:
    """Return the frames from which on ioremap, a domU's low memory or the width of an entry matter."""
    edges = {0, ISA_START, ISA_END, arch.identity_bit, _end_of_numbers(rules, arch)}
    return sorted(edge for edge in edges if edge < PTE_FRAMES)


def _zone_ways(
    rules: Rules, arch: Arch, kind: Kind, first: int, last: int, *, named: bool, initial_domain: bool
) -> list[dict[str, Any]]:
    """Map the frames of one kind in one zone; a machine frame that is known lies elsewhere than the frame."""
    elsewhere = _ELSEWHERE if kind in (Kind.RAM, Kind.FOREIGN) and named else None
    one = RunMap(arch, PTE_FRAMES, Kind.MISSING, [Run(0, PTE_FRAMES, kind, elsewhere)])
    converter = Converter(rules, KindsP2m(one), M2p(arch, 0), initial_domain=initial_domain)
    return read_ways(converter, first, min(last, first + _FAR), named=named)


def layers_to_json(layers: Sequence[Layer]) -> list[dict[str, Any]]:
    """Return the layers for the page; each has its own name; ``whole`` says if all runs are there."""
    runs, whole = packed_maps([layer.map for layer in layers], _BUDGET)
    names = unique([layer.name for layer in layers])
    return [
        {
            "name": name,
            "end": layer.map.end_pfn,
            "beyond": int(layer.map.beyond),
            "runs": given,
            "whole": complete,
            "untold": [
                [each.start, each.end, " or ".join(kind.label for kind in each.among), each.reason]
                for each in layer.ambiguous
            ],
            **layer.about,
        }
        for name, layer, given, complete in zip(names, layers, runs, whole, strict=True)
    ]


def unique(names: Sequence[str]) -> list[str]:
    """Number names that occur again: "3.15", "3.15 (2)"."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return found
