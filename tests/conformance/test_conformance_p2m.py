"""Replay recorded runs of the kernel's own p2m code: answers, warnings, final maps, page counts, texts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from conformance.sources import case_name, load_json, paths
from xenp2m.arch import Arch, arch_of
from xenp2m.p2m.accounting import list_pages, tree_pages
from xenp2m.p2m.bug import KernelBug
from xenp2m.p2m.debugfs import list_text, tree_text
from xenp2m.p2m.foreign import ForeignFrames, Grant
from xenp2m.p2m.list import LinearList
from xenp2m.p2m.m2p import (
    M2p,
    M2pRun,
    mfn_to_local_pfn,
    mfn_to_pfn,
    pfn_to_mfn,
    phys_to_machine_mapping_valid,
)
from xenp2m.p2m.tree import Tree
from xenp2m.rules import rules_for
from xenp2m.runs import RunMap

_KERNELS = {"A": "3.15", "B": "3.16", "C": "6.4"}
_SETTERS = ("set", "set_inner", "early_set", "set_range", "set_inner_range", "early_set_range")
_ARGUMENTS: tuple[str, ...] = ("pfn", "s", "e", "entry", "mfn")

CASES = [
    pytest.param(case, id=f"{case_name(path)}-{case['id']}")
    for path in paths("p2m", "*.json.gz", "*.json")
    for case in load_json(path)["cases"]
]


class Replay:
    """One case: the p2m, and what the recorded operations answer."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.arch: Arch = arch_of(case["bits"])
        rules = rules_for(_KERNELS[case["gen"]])
        runs = [(pfn, count, mfn) for pfn, count, mfn in case["mfn_runs"]]
        auto = bool(case.get("autoxlat"))
        self.p2m: Tree | LinearList
        if case["gen"] == "C":
            flags = case.get("start_info_flags", 0)
            self.p2m = LinearList.build(
                rules, self.arch, case["nr_pages"], runs, start_info_flags=flags, auto_translated=auto
            )
        else:
            self.p2m = Tree.build(rules, self.arch, case["nr_pages"], runs, auto_translated=auto)
        self.m2p = _m2p(case.get("m2p", {"nr": 0, "runs": []}), self.arch)
        self.foreign = ForeignFrames(self.p2m, self.m2p)

    def word(self, value: int | str) -> int:
        if value == "INV":
            return self.arch.invalid
        if isinstance(value, str):
            marks = {"I": self.arch.identity_bit, "F": self.arch.foreign_bit}
            return int(value[1:]) | marks[value[0]]
        return value

    def answer(self, op: dict[str, Any]) -> Any:
        """Do one operation; return what is recorded of it, in the recorded form."""
        name = op["op"]
        args: dict[str, int] = {
            key: self.word(op[key]) for key in ("pfn", "s", "e", "entry", "mfn") if key in op
        }
        if name in _SETTERS or name == "set_range_identity":
            method = "set_phys_range_identity" if name == "set_range_identity" else name
            return getattr(self.p2m, method)(*args.values())
        if hasattr(self, f"_{name}"):
            return getattr(self, f"_{name}")(op, args)
        return self._pages_or_limits(name, op, args)

    def _get(self, _op: dict[str, Any], args: dict[str, int]) -> str:
        return hex(self.p2m.get(args["pfn"]))

    def _pfn_to_mfn(self, _op: dict[str, Any], args: dict[str, int]) -> str:
        return hex(pfn_to_mfn(self.p2m, args["pfn"]))

    def _mapping_valid(self, _op: dict[str, Any], args: dict[str, int]) -> bool:
        return phys_to_machine_mapping_valid(self.p2m, args["pfn"])

    def _mfn_to_pfn(self, _op: dict[str, Any], args: dict[str, int]) -> str:
        return hex(mfn_to_pfn(self.p2m, self.m2p, args["mfn"], self.foreign.overrides))

    def _mfn_to_local_pfn(self, _op: dict[str, Any], args: dict[str, int]) -> str:
        return hex(mfn_to_local_pfn(self.p2m, self.m2p, args["mfn"], self.foreign.overrides))

    def _foreign_map(self, op: dict[str, Any], args: dict[str, int]) -> int:
        grant = Grant(args["pfn"], args["mfn"], op["status"], bool(op.get("kmap")))
        return self.foreign.map([grant])[0]

    def _foreign_unmap(self, op: dict[str, Any], args: dict[str, int]) -> int:
        return self.foreign.unmap([args["pfn"]], kernel=bool(op.get("kmap")))

    def _pages_or_limits(self, name: str, op: dict[str, Any], args: dict[str, int]) -> Any:
        p2m = self.p2m
        match name:
            case "alloc":
                return p2m.alloc(args["pfn"])
            case "max_p2m_pfn":
                if "value" in op:
                    p2m.max_p2m_pfn = op["value"]
                return p2m.max_p2m_pfn
            case "build_frame_list":
                p2m.build_frame_list()
                return 0
            case "setup_frame_list":
                return p2m.setup_frame_list()
            case "fail_after":
                p2m.page_budget = None if op["n"] < 0 else op["n"]
                return op.get("ret")
            case "debugfs":
                assert (tree_text(p2m) if isinstance(p2m, Tree) else list_text(p2m)) == op["lines"]
                return op.get("ret")
        return self._tree_only(name) if isinstance(p2m, Tree) else self._list_only(name, op)

    def _tree_only(self, name: str) -> Any:
        assert isinstance(self.p2m, Tree)
        assert name == "revector"
        return self.p2m.revector()

    def _list_only(self, name: str, op: dict[str, Any]) -> Any:
        p2m = self.p2m
        assert isinstance(p2m, LinearList)
        match name:
            case "extra_mem":
                p2m.add_extra(op["start"], op["count"])
                return op.get("ret")
            case "vmalloc_tree":
                p2m.vmalloc_tree()
                return 0
            case "p2m_size":
                return p2m.size
            case "frame_list_list":
                return 2 if p2m.frame_list is None else 1
            case "generation":
                return p2m.generation
        raise AssertionError(f"unknown operation {name}")

    def pages(self) -> dict[str, int]:
        return asdict(tree_pages(self.p2m) if isinstance(self.p2m, Tree) else list_pages(self.p2m))


def _m2p(value: dict[str, Any], arch: Arch) -> M2p:
    runs = [M2pRun(mfn, count, pfn) for mfn, count, pfn in value["runs"]]
    if "hole" in value:
        low, high = value["hole"]
        runs.append(M2pRun(low, high - low, None))
    return M2p(arch, value["nr"], runs, fill=arch.invalid)


def _rows(runs: RunMap | None) -> list[list[Any]] | None:
    if runs is None:
        return None
    return [[run.pfn, run.end, run.kind.label, run.mfn] for run in runs] if runs.end_pfn else []


@pytest.mark.parametrize("case", CASES)
def test_p2m_case(case: dict[str, Any]) -> None:
    replay = Replay(case)
    for number, op in enumerate(case["ops"]):
        before = len(replay.p2m.warnings)
        try:
            answer = replay.answer(op)
        except KernelBug:
            answer = "BUG"
        warned = len(replay.p2m.warnings) - before
        assert (number, answer, warned) == (number, op.get("ret"), op.get("warn", 0)), op
    if "runs" not in case:
        return
    assert _rows(replay.p2m.to_runs()) == case["runs"]
    assert _rows(replay.p2m.tool_runs()) == case["tool_runs"]
    expected = {key: value for key, value in case["pages"].items() if key != "grant_calls"}
    assert replay.pages() == expected
