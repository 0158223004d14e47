"""What 3.15 would have made of a mapping: with the host's map predicted, and without it."""

from __future__ import annotations

import pytest

from xenp2m.arch import X86_64
from xenp2m.check.mapped import OldKernel
from xenp2m.entry import Kind
from xenp2m.mmu.mappers import Mapper
from xenp2m.runs import Run, RunMap

END = 1 << 27
MODERN = RunMap(
    X86_64,
    END,
    Kind.IDENTITY,
    [
        Run(0, 159, Kind.RAM, 5000),
        Run(159, 97, Kind.IDENTITY, None),
        Run(256, 1000, Kind.RAM, 6000),
        Run(2000, END - 2000, Kind.IDENTITY, None),
    ],
)


def by_mapper(kernel: OldKernel, frame: int, *, user: bool) -> dict[Mapper, tuple[int | None, bool]]:
    (answer,) = kernel.answers(frame, frame + 1, user=user)
    return {way.mapper: (way.entry, way.works) for way in answer.ways}


def test_a_bar_above_all_memory() -> None:
    """Values of the failing scenario: only the ways that set _PAGE_IOMAP reach the device."""
    kernel = OldKernel(MODERN)
    assert by_mapper(kernel, 0x380_0000, user=True) == {
        Mapper.SYSFS: (0x8000_0038_0000_0627, True),
        Mapper.IO_REMAP: (0x200, False),
        Mapper.DEV_MEM: (0x200, False),
    }
    assert by_mapper(kernel, 0x380_0000, user=False)[Mapper.IOREMAP][1]
    assert kernel.assumed


@pytest.mark.parametrize("frame", [0xA0, 0xD_0000])
def test_a_hole_below_4_gib(frame: int) -> None:
    kernel = OldKernel(MODERN)
    assert all(works for _, works in by_mapper(kernel, frame, user=True).values())


def test_a_prediction_decides() -> None:
    predicted = RunMap(X86_64, END, Kind.MISSING, [Run(0, 1256, Kind.RAM, None)])
    kernel = OldKernel(MODERN, predicted=predicted)
    assert kernel.assumed == ""
    assert by_mapper(kernel, 0xD_0000, user=True)[Mapper.DEV_MEM] == (0x200, False)
    entry, works = by_mapper(kernel, 0x300, user=True)[Mapper.SYSFS]
    assert (entry, works) != (None, True)


def test_pieces() -> None:
    kernel = OldKernel(MODERN)
    answers = kernel.answers(0xF_FFFF, 0x10_0001, user=True)
    assert [(answer.start, answer.end, answer.kind) for answer in answers] == [
        (0xF_FFFF, 0x10_0000, Kind.IDENTITY),
        (0x10_0000, 0x10_0001, Kind.MISSING),
    ]
    assert [all(way.works for way in answer.ways) for answer in answers] == [True, False]
