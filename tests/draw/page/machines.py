"""Machines to make pages of."""

from __future__ import annotations

from collections.abc import Sequence

from xenp2m.capture import Capture
from xenp2m.check.findings import check_capture
from xenp2m.draw.page import predictions_page
from xenp2m.machine import Bar, E820Entry, E820Type, Machine
from xenp2m.prediction import Prediction, WhatIf, predict
from xenp2m.units import GIB, MIB, TIB

HOLE = 0x4000_0000
"""Where the machine has a reserved range of 4 KiB between RAM."""
HIGH = 7 * TIB // 2
"""Where its second function has a BAR, past what the p2m tree can hold."""

MACHINE = Machine(
    name="a machine with a hole",
    e820=(
        E820Entry(0, 0x9FC00, E820Type.RAM),
        E820Entry(0x9FC00, 0xA0000, E820Type.RESERVED),
        E820Entry(MIB, HOLE, E820Type.RAM),
        E820Entry(HOLE, HOLE + 0x1000, E820Type.RESERVED),
        E820Entry(HOLE + 0x1000, 2 * GIB, E820Type.RAM),
        E820Entry(4 * GIB, 8 * GIB, E820Type.RAM),
    ),
    bars=(
        Bar("0000:3a:00.0", 0, 0xE000_0000, 16 * MIB),
        Bar("0000:3b:00.0", 2, HIGH, 32 * MIB, is_64bit=True),
        Bar("0000:3b:00.0", 4, HIGH + 32 * MIB, 0x4000, is_64bit=True),
    ),
    nr_pages=4 * GIB >> 12,
)

KERNELS = ("3.15", "series", "6.1")


def predictions(kernels: Sequence[str] = KERNELS) -> list[Prediction]:
    """The machine under some kernels."""
    return [predict(MACHINE, kernel) for kernel in kernels]


def page(kernels: Sequence[str] = KERNELS) -> str:
    """The page of the machine with everything that was found."""
    capture = Capture(machine=MACHINE)
    return predictions_page(predictions(kernels), check_capture(capture, kernels, WhatIf()))
