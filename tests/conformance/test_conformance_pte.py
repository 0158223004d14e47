"""Replay the PTE vectors: outputs of the compiled functions of four kernels, scalar and array forms alike.

``before`` is Linux 3.15.5, ``mid`` 3.16.0, ``after`` 3.18.0 and ``v6`` 6.4.0 (tests/vectors/pte/FORMAT.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from conformance.sources import case_name, load_json, paths
from xenp2m.arch import X86_32, X86_64, Arch
from xenp2m.entry import KIND_BY_LABEL, Kind
from xenp2m.mmu import bulk
from xenp2m.mmu.convert import Converter
from xenp2m.p2m.flat import FlatP2m
from xenp2m.p2m.m2p import (
    M2p,
    M2pRun,
    mfn_to_local_pfn,
    mfn_to_pfn,
    mfn_to_pfn_array,
    mfn_to_pfn_no_overrides,
    pfn_to_mfn,
    phys_to_machine_mapping_valid,
)
from xenp2m.rules import Structure, rules_for
from xenp2m.runs import Run, RunMap

KERNELS = {"before": "3.15", "mid": "3.16", "after": "3.18", "v6": "6.4"}
ARCHES = {"x86_64": X86_64, "x86_32_pae": X86_32}
Words = NDArray[np.uint64]


@cache
def load(path: Path) -> Any:
    return load_json(path)


FILES = paths("pte", "*.json", "*.json.gz")
SETUPS = [
    pytest.param(path, index, id=f"{case_name(path)}-{index}")
    for path in FILES
    for index in range(len(load(path).get("setups", ())))
]
TABLES = [
    pytest.param(path, index, id=f"{case_name(path)}-{index}")
    for path in FILES
    for index in range(len(load(path).get("tables", ())))
]


def number(value: str | int) -> int:
    return value if isinstance(value, int) else int(value, 16)


def p2m_of(setup: dict[str, Any], arch: Arch, policy: str) -> FlatP2m:
    """Lay the runs over each other, later ones on top, and cut them where the kernel's p2m ends."""
    rules = rules_for(KERNELS[policy])
    given = [
        Run(number(pfn), count, KIND_BY_LABEL[kind], None if base is None else number(base))
        for pfn, count, kind, base in setup["p2m"]
    ]
    end_pfn = max([number(setup["end_pfn"]), *(run.end for run in given)])
    if rules.structure is Structure.TREE:
        given = [run for run in given if run.pfn < arch.max_p2m_pfn]
        end_pfn = min(end_pfn, arch.max_p2m_pfn)
    beyond = Kind.IDENTITY if rules.high_identity else Kind.MISSING
    past_map = Run(number(setup["end_pfn"]), end_pfn - number(setup["end_pfn"]), beyond, None)
    layers = [past_map, *given] if past_map.pages > 0 else given
    edges = sorted({0, end_pfn, *(edge for run in layers for edge in (run.pfn, run.end))})
    pieces = []
    for start, end in pairwise(edges):
        for run in reversed(layers):
            if run.pfn <= start < run.end:
                mfn = None if run.mfn is None else run.mfn + start - run.pfn
                pieces.append(Run(start, end - start, run.kind, mfn))
                break
    return FlatP2m(RunMap(arch, end_pfn, beyond, pieces), auto_translated=setup["auto_translated"])


def m2p_of(setup: dict[str, Any], arch: Arch) -> M2p:
    runs = [M2pRun(number(mfn), count, number(word), how == "seq") for mfn, count, how, word in setup["m2p"]]
    return M2p(arch, number(setup["m2p_nr"]), runs)


def converter_of(setup: dict[str, Any], arch: Arch, policy: str) -> Converter:
    return Converter(
        rules_for(KERNELS[policy]),
        p2m_of(setup, arch, policy),
        m2p_of(setup, arch),
        initial_domain=setup["initial_domain"],
        overrides={number(mfn): number(pfn) for mfn, pfn in reversed(setup["overrides"])},
    )


def scalar(convert: Converter, function: str, inputs: list[int]) -> int:
    p2m, m2p, overrides = convert.p2m, convert.m2p, convert.overrides
    functions: dict[str, Callable[..., int]] = {
        "make_pte": convert.make_pte,
        "pte_val": convert.pte_val,
        "make_pmd": convert.make_pmd,
        "pmd_val": convert.pmd_val,
        "make_pud": convert.make_pud,
        "pud_val": convert.pud_val,
        "make_pgd": convert.make_pgd,
        "pgd_val": convert.pgd_val,
        "roundtrip": lambda value: convert.pte_val(convert.make_pte(value)),
        "pfn_pte": convert.pfn_pte,
        "mfn_pte": convert.mfn_pte,
        "pte_pfn": convert.pte_pfn,
        "pfn_to_mfn": lambda pfn: pfn_to_mfn(p2m, pfn),
        "mfn_to_pfn": lambda mfn: mfn_to_pfn(p2m, m2p, mfn, overrides),
        # the test for auto-translation, which 6.4 has only in mfn_to_pfn, is there here for every kernel
        "mfn_to_pfn_no_overrides": lambda mfn: (
            mfn if p2m.auto_translated else mfn_to_pfn_no_overrides(m2p, mfn)
        ),
        "mfn_to_local_pfn": lambda mfn: mfn_to_local_pfn(p2m, m2p, mfn, overrides),
        "get_phys_to_machine": p2m.get,
        "p2m_valid": lambda pfn: int(phys_to_machine_mapping_valid(p2m, pfn)),
    }
    return functions[function](*inputs)


def in_array(convert: Converter, function: str, inputs: Words) -> Words | None:
    """Convert all inputs of one function at once; None for functions that have no array form."""
    functions: dict[str, Callable[[Words], Words]] = {
        "make_pte": lambda values: bulk.make_pte_array(convert, values),
        "pte_val": lambda values: bulk.pte_val_array(convert, values),
        "make_pmd": lambda values: bulk.make_pmd_array(convert, values),
        "make_pgd": lambda values: bulk.make_pmd_array(convert, values),
        "pmd_val": lambda values: bulk.pmd_val_array(convert, values),
        "pgd_val": lambda values: bulk.pmd_val_array(convert, values),
        "roundtrip": lambda values: bulk.pte_val_array(convert, bulk.make_pte_array(convert, values)),
        "pte_pfn": lambda values: bulk.pte_pfn_array(convert, values),
        "mfn_to_pfn": lambda values: mfn_to_pfn_array(convert.p2m, convert.m2p, values, convert.overrides),
        "get_phys_to_machine": convert.p2m.get_array,
    }
    return functions[function](inputs) if function in functions else None


def with_protection(convert: Converter, function: str, frame: int, prot: int) -> int:
    array = bulk.pfn_pte_array if function == "pfn_pte" else bulk.mfn_pte_array
    return int(array(convert, np.array([frame], np.uint64), prot)[0])


def replay(setup: dict[str, Any], arch: Arch, policies: list[str]) -> Iterable[str]:
    """Yield one line for every difference."""
    for column, policy in enumerate(policies):
        convert = converter_of(setup, arch, policy)
        grouped: dict[str, list[tuple[int, int]]] = {}
        for function, inputs, *outputs in setup["cases"]:
            if outputs[column] is None:
                continue
            values, expected = [number(value) for value in inputs], number(outputs[column])
            found = scalar(convert, function, values)
            if found != expected:
                yield f"{policy} {function}{inputs}: {found:#x}, expected {expected:#x}"
            if len(values) == 2 and with_protection(convert, function, *values) != expected:
                yield f"{policy} {function}_array{inputs}: expected {expected:#x}"
            if len(values) == 1:
                grouped.setdefault(function, []).append((values[0], expected))
        for function, pairs in grouped.items():
            given = np.array([value for value, _ in pairs], np.uint64)
            wanted = np.array([expected for _, expected in pairs], np.uint64)
            got = in_array(convert, function, given)
            if got is not None:
                yield from (
                    f"{policy} {function}_array[{a:#x}]: {b:#x}, expected {c:#x}"
                    for a, b, c in zip(given.tolist(), got.tolist(), wanted.tolist(), strict=True)
                    if b != c
                )


@pytest.mark.parametrize(("path", "index"), SETUPS)
def test_pte_case(path: Path, index: int, record_property: Callable[[str, object], None]) -> None:
    document = load(path)
    setup = document["setups"][index]
    record_property("cases", len(setup["cases"]))
    differences = list(replay(setup, ARCHES[document["arch"]], document["policies"]))
    assert not differences, "\n".join([f"{len(differences)} differences", *differences[:10]])


def as_setup(document: dict[str, Any], table: dict[str, Any]) -> dict[str, Any]:
    """Write a truth table as a setup with cases."""
    cases = []
    for row in table["rows"]:
        if table["direction"].startswith("make_pte"):
            _, _, value, *pairs = row
            cases.append(["make_pte", [value], *(made for made, _ in pairs)])
            cases.append(["roundtrip", [value], *(back for _, back in pairs)])
        else:
            _, _, value, *outputs = row
            cases.append(["pte_val", [value], *outputs])
    return {**document["setup"], "initial_domain": table["initial_domain"], "cases": cases}


@pytest.mark.parametrize(("path", "index"), TABLES)
def test_truth_table(path: Path, index: int, record_property: Callable[[str, object], None]) -> None:
    document = load(path)
    table = document["tables"][index]
    setup = as_setup(document, table)
    record_property("cases", len(table["rows"]))
    differences = list(replay(setup, ARCHES[table["arch"]], table["policies"]))
    assert not differences, "\n".join([f"{len(differences)} differences", *differences[:10]])
