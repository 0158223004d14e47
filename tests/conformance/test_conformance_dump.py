"""Real dumps: the p2m read from them is the one that the kernel had, with symbols and without."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conformance.sources import SOURCES, case_name, load_json, paths
from writers.judge import assert_honest
from xenp2m.dump import Inspection, inspect, open_dump, symbols
from xenp2m.entry import Kind
from xenp2m.runs import Run, RunMap

TRUTHS = paths("dump", "*.truth.json")


def symbol_files(truth: Path) -> list[Path]:
    """The kernel's symbols for one dump, and those of the hypervisor build that ran it."""
    folder = truth.parent / "symbols"
    kernel = folder / f"linux-{load_json(truth).get('kernel_release')}.kallsyms"
    xen = sorted(folder.glob("xen*.map*"))
    efi = truth.name.startswith("ovmf")
    return [
        path for path in (kernel, *xen) if path.is_file() and ("efi" in path.name) == (efi and path in xen)
    ]


@cache
def inspection(truth: Path, with_symbols: bool) -> Inspection:
    dump = open_dump(truth.with_name(truth.name.removesuffix(".truth.json")))
    return inspect(dump, symbols.load(*symbol_files(truth)) if with_symbols else None)


def domains(truth: Path) -> list[Any]:
    value = load_json(truth)
    return list(value.get("domains", [value]))


def truth_runs(want: Any) -> list[Run]:
    return [Run(pfn, count, Kind[kind.upper()], mfn) for pfn, count, kind, mfn in want["runs"]]


@pytest.mark.parametrize("with_symbols", [False, True], ids=["bare", "symbols"])
@pytest.mark.parametrize("truth", TRUTHS, ids=case_name)
def test_dump(truth: Path, with_symbols: bool) -> None:
    if with_symbols and not symbol_files(truth):
        pytest.skip("no symbols of this kernel")
    found = {domain.domid: domain for domain in inspection(truth, with_symbols).domains}
    for want in domains(truth):
        domid = want["domain"] if isinstance(want["domain"], int) else None
        domain = found[domid]
        assert domain.p2m is not None
        have, runs = domain.p2m.map, truth_runs(want)
        if SOURCES["dump"].folder == SOURCES["dump"].own or with_symbols:
            assert domain.p2m.ambiguous == ()
        if want.get("ram_only"):
            ram = [run for run in have if run.kind is Kind.RAM]
            assert ram == list(RunMap(have.arch, runs[-1].end, Kind.MISSING, runs))
            continue
        kinds_only = replace(domain.p2m, map=have.without_mfns())
        assert_honest(kinds_only, RunMap(have.arch, runs[-1].end, have.beyond, runs).without_mfns())
        assert have.end_pfn == runs[-1].end or domain.p2m.ambiguous
        for run in runs:
            assert run.mfn is None or have.entry(run.pfn).mfn == run.mfn
        generation = want.get("p2m_generation")
        assert generation is None or (domain.info is not None and domain.info.generation == generation)


@pytest.mark.parametrize("truth", TRUTHS, ids=case_name)
def test_dump_agrees_with_the_m2p(truth: Path) -> None:
    found = inspection(truth, False)
    assert found.m2p is not None
    for domain in found.domains:
        assert domain.p2m is not None
        for run in domain.p2m.map:
            if run.kind is Kind.RAM and run.mfn is not None:
                mfns = np.arange(run.mfn, run.mfn + run.pages, dtype=np.uint64)
                back = found.m2p.lookup(mfns)
                assert (back == np.arange(run.pfn, run.end, dtype=np.uint64)).all()


def test_dump_forms_of_one_machine_agree() -> None:
    forms = [path for path in TRUTHS if path.name.startswith("small-bar.reduced.")]
    if len(forms) < 2:
        pytest.skip("the folder holds one form only")
    maps = [inspection(path, False).domains[0].p2m for path in forms]
    assert all(each is not None and maps[0] is not None and each.map == maps[0].map for each in maps)
    assert len({inspection(path, False).container for path in forms}) == len(forms)
