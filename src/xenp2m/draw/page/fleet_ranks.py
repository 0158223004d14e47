"""The machines of a fleet in order, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from xenp2m.draw.page.fleet_figures import BROKEN, LEVEL, NO_PREDICTION, Ask


@dataclass(slots=True)
class Rank:
    """A machine: its key and what people call it, and by kernel its level and its BARs that do not map.

    ``bad`` counts these BARs, ``share`` says how many of its BARs they are, from 0 to 1.
    """

    machine: str
    name: str
    levels: list[int]
    bad: list[int] = field(default_factory=list)
    share: list[float] = field(default_factory=list)

    @property
    def badness(self) -> tuple[int, int, int, str, str]:
        """What machines are sorted by: worst level, kernels that break, BARs that do not map, name."""
        known = [level for level in self.levels if level != NO_PREDICTION]
        broken = sum(level >= BROKEN for level in known)
        return -max(known, default=0), -broken, -sum(self.bad), self.name.casefold(), self.machine

    @property
    def digits(self) -> str:
        """The levels, a digit a kernel."""
        return "".join(map(str, self.levels))


def ranked(ask: Ask, kernels: Sequence[str]) -> list[Rank]:
    """Return every machine, the worst first, then by name."""
    index = {kernel: number for number, kernel in enumerate(kernels)}
    count = len(kernels)
    found = {
        machine: Rank(machine, name, [NO_PREDICTION] * count, [0] * count, [0.0] * count)
        for machine, name in ask("SELECT machine, coalesce(product, name) FROM machines")
    }
    for machine, kernel, level, bad, bars in ask(
        f"SELECT p.machine, p.kernel, {LEVEL}, p.bars_bad, p.bars FROM predictions p"
    ):
        if kernel in index and machine in found:
            at, rank = index[kernel], found[machine]
            rank.levels[at], rank.bad[at], rank.share[at] = level, bad, bad / max(bars, 1)
    return sorted(found.values(), key=lambda rank: rank.badness)


def rest(ranks: Sequence[Rank]) -> list[list[Any]]:
    """Return ``[levels, machines, mean share by kernel]`` for machines of the same levels, worst first."""
    by_levels: dict[str, list[list[float]]] = {}
    for rank in ranks:
        by_levels.setdefault(rank.digits, []).append(rank.share)
    return [
        [digits, len(shares), [round(sum(each) / len(shares), 2) for each in zip(*shares, strict=True)]]
        for digits, shares in by_levels.items()
    ]
