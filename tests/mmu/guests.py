"""Small guests to convert for."""

from __future__ import annotations

from xenp2m.arch import X86_64, Arch
from xenp2m.entry import Kind
from xenp2m.mmu.convert import Converter
from xenp2m.p2m.flat import FlatP2m
from xenp2m.p2m.m2p import M2p, M2pRun
from xenp2m.rules import Rules
from xenp2m.runs import Run, RunMap

RAM_MFN = 0x100_0000
BAR = 0x380_0000
"""Frame of a BAR at 224 GiB, past the end of RAM."""
HOLE = 0xD_0000
"""Frame of a BAR in the E820 hole below 4 GiB."""


def converter(rules: Rules, arch: Arch = X86_64, *, dom0: bool = True, m2p_nr: int = 0x130_0000) -> Converter:
    """Make a guest of 18 GiB with RAM, a hole below 4 GiB, a ballooned and a foreign part."""
    runs = [
        Run(0, 0xA0, Kind.RAM, RAM_MFN),
        Run(0xA0, 0x60, Kind.IDENTITY, None),
        Run(0x100, HOLE - 0x100, Kind.RAM, RAM_MFN + 0x100),
        Run(HOLE, 0x3_0000, Kind.IDENTITY, None),
        Run(0x10_0000, 0x10_0000, Kind.RAM, RAM_MFN + 0x10_0000),
        Run(0x20_0000, 4, Kind.FOREIGN, 0x30_0000),
    ]
    beyond = Kind.IDENTITY if rules.high_identity else Kind.MISSING
    runmap = RunMap(arch, 0x48_0000, Kind.MISSING, [*runs, Run(0x20_0004, 0x27_FFFC, Kind.MISSING, None)])
    runmap = RunMap(arch, 0x48_0000, beyond, runmap)
    words = [M2pRun(run.mfn, run.pages, run.pfn) for run in runs if run.kind is Kind.RAM and run.mfn]
    return Converter(rules, FlatP2m(runmap), M2p(arch, m2p_nr, words), initial_domain=dom0)
