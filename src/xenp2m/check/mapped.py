"""What maps a device's frames in a dump, and what Linux 3.15 would have made of the same mappings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from xenp2m.check.places import KindsP2m
from xenp2m.entry import Kind
from xenp2m.mmu.convert import Converter
from xenp2m.mmu.mappers import Mapper, map_frame
from xenp2m.p2m.m2p import M2p
from xenp2m.rules import Rules, rules_for
from xenp2m.runs import Run, RunMap
from xenp2m.units import GIB, PAGE_SHIFT

OLD_KERNEL = "3.15"
"""The last kernel without any of the series."""

_FOUR_GIB = 4 * GIB >> PAGE_SHIFT
_USER_WAYS = (Mapper.SYSFS, Mapper.IO_REMAP, Mapper.DEV_MEM)
_KERNEL_WAYS = (Mapper.IOREMAP,)


class OldWay(NamedTuple):
    """One way of mapping a frame under the old kernel: the PTE that it stores (None: refused, or not known),
    whether an access reaches the frame, and what happens in words."""

    mapper: Mapper
    entry: int | None
    works: bool
    text: str


@dataclass(frozen=True, slots=True)
class OldAnswer:
    """What the old kernel makes of the frames ``[start, end)``: their kind in its p2m, and each way."""

    start: int
    end: int
    kind: Kind
    ways: tuple[OldWay, ...]


class OldKernel:
    """Linux 3.15 on the machine of a dump.

    ``assumed`` says in words what stands in for a memory map that is not known; it is empty where a
    prediction from captures of the machine was given.
    """

    def __init__(
        self, known: RunMap, *, predicted: RunMap | None = None, initial_domain: bool = True
    ) -> None:
        self.rules: Rules = rules_for(OLD_KERNEL)
        self.map = predicted if predicted is not None else _without_tail(known)
        self.assumed = (
            ""
            if predicted is not None
            else "frames past all memory and past 4 GiB are taken to lie past the end of the host's E820 map"
        )
        self._converter = Converter(
            self.rules, KindsP2m(self.map), M2p(known.arch, 0), initial_domain=initial_domain
        )

    def answers(self, start: int, end: int, *, user: bool) -> tuple[OldAnswer, ...]:
        """Return what becomes of the machine frames ``[start, end)``, piece by piece."""
        found = []
        for run in self.map.within(start, end):
            ways = tuple(
                self._way(mapper, run.pfn, run.kind) for mapper in (_USER_WAYS if user else _KERNEL_WAYS)
            )
            found.append(OldAnswer(run.pfn, run.end, run.kind, ways))
        return tuple(found)

    def _way(self, mapper: Mapper, frame: int, kind: Kind) -> OldWay:
        mapping = map_frame(
            self._converter, mapper, frame, system_ram=kind is Kind.RAM, ram_known=self._names_ram(frame)
        )
        if mapping.access is None:
            return OldWay(mapper, None, False, mapping.refused)
        return OldWay(mapper, mapping.entry, mapping.reaches, mapping.access.text)

    def _names_ram(self, frame: int) -> bool:
        run = self.map.run_at(frame)
        return run.kind is not Kind.RAM or run.mfn is not None


def _without_tail(known: RunMap) -> RunMap:
    """Return the map without the 1:1 frames past all memory: before patch 5 nothing makes them."""
    runs: list[Run] = []
    for run in known:
        if run.kind is Kind.IDENTITY and run.end == known.end_pfn and run.end > _FOUR_GIB:
            runs.append(run._replace(pages=max(run.pfn, _FOUR_GIB) - run.pfn))
        else:
            runs.append(run)
    return RunMap(known.arch, known.end_pfn, Kind.MISSING, (run for run in runs if run.pages))
