"""What a report says above its map, and everything that its template prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from xenp2m.arch import PTE_FRAMES
from xenp2m.draw.page.layers import Layer, layers_to_json, unique
from xenp2m.draw.page.rows import At, BarRow, FindingGroup, Log, RegionRow, bars_to_json
from xenp2m.draw.palette import LOOKS, UNTOLD
from xenp2m.entry import Kind
from xenp2m.machine import E820Entry, type_name
from xenp2m.prediction import Prediction
from xenp2m.units import PAGE_SHIFT, TIB, format_size, pfn_down, pfn_up

FORMAT = "xenp2m.page/1"

_SHOWN = 16 * TIB >> PAGE_SHIFT


@dataclass(frozen=True, slots=True)
class Reason:
    """One line below an answer: what is so, for how many, where it was read, and the first place of it."""

    text: str
    source: str = ""
    count: int = 0
    at: At | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of one layer in a line: ``state`` is "good", "bad", "warn" or "plain"."""

    name: str
    state: str
    headline: str
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Tree:
    """The p2m of a layer as inline SVG, and its pages in a sentence."""

    name: str
    svg: str
    pages: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """One page with an address map.  Parts that are empty do not appear."""

    title: str
    facts: Sequence[str]
    answers: Sequence[Answer]
    layers: Sequence[Layer]
    host: Sequence[E820Entry] = ()
    predictions: Sequence[Prediction] = ()
    predicted_as: Sequence[str] = ()
    """The layer of each prediction."""
    findings: Sequence[FindingGroup] | None = None
    """None where nothing was checked."""
    bars: Sequence[BarRow] = ()
    regions: Sequence[RegionRow] = ()
    regions_left_out: int = 0
    logs: Sequence[Log] = ()
    trees: Sequence[Tree] = ()
    remarks: Sequence[str] = ()
    compared: bool = True
    """Whether layers are worth comparing: kernels on one machine, not domains of one dump."""
    kind_words: dict[str, str] = field(
        default_factory=lambda: {**{kind.label: LOOKS[kind].word for kind in Kind}, "untold": UNTOLD.word}
    )

    @property
    def names(self) -> list[str]:
        """The layers' names, each once."""
        return unique([layer.name for layer in self.layers])

    @property
    def found(self) -> int:
        """How many places the findings have."""
        return sum(len(group.places) for group in self.findings or ())

    @property
    def differing(self) -> int:
        """How many regions are not the same in every layer."""
        return sum(row.differs for row in self.regions) if self.compared else 0

    def data(self) -> dict[str, Any]:
        """Return what the page's scripts work on: the ``xenp2m.page/1`` object."""
        layers = layers_to_json(self.layers)
        bars = bars_to_json(self.predictions, self.predicted_as, self.names)
        ends = [pfn_up(entry.end) for entry in self.host]
        ends += [layer.map.end_pfn for layer in self.layers]
        ends += [verdict.bar.pfn_end for each in self.predictions for verdict in each.bars]
        top = min(1 << max(_SHOWN, *ends, 1).bit_length() - 1, PTE_FRAMES)
        return {
            "format": FORMAT,
            "top": top if top >= max(_SHOWN, *ends) else min(top * 2, PTE_FRAMES),
            "kinds": [*(LOOKS[kind].word for kind in Kind), UNTOLD.word],
            "host": [
                [pfn_down(entry.start), pfn_up(entry.end), _host_kind(entry), _host_text(entry)]
                for entry in sorted(self.host)
                if entry.start < entry.end
            ],
            "bars": bars,
            "compared": self.compared and len(layers) > 1,
            "layers": layers,
        }


def _host_kind(entry: E820Entry) -> str:
    return "ram" if entry.is_ram else "other"


def _host_text(entry: E820Entry) -> str:
    return f"{type_name(entry.type)} [mem {entry.start:#x}-{entry.end - 1:#x}], {format_size(entry.size)}"
