from __future__ import annotations

from xenp2m.arch import X86_64
from xenp2m.p2m.foreign import ForeignFrames, Grant
from xenp2m.p2m.list import LinearList
from xenp2m.p2m.m2p import M2p, M2pRun
from xenp2m.p2m.tree import Tree
from xenp2m.rules import rules_for

FOREIGN = X86_64.foreign_bit
RUNS = [(0, 1024, 5000)]


def _tree() -> Tree:
    return Tree.build(rules_for("3.16"), X86_64, 1024, RUNS)


def _list(kernel: str) -> LinearList:
    linear = LinearList.build(rules_for(kernel), X86_64, 1024, RUNS)
    linear.set_phys_range_identity(512, 1024)
    linear.vmalloc_tree()
    return linear


def test_an_old_entry_comes_back_without_its_marker_bits() -> None:
    tree = _tree()
    tree.set(7, 7 | X86_64.identity_bit)
    foreign = ForeignFrames(tree)
    assert foreign.map([Grant(7, 99), Grant(8, 100, status=-1)]) == (0, (0, -1))
    assert (tree.get(7), tree.get(8)) == (99 | FOREIGN, 5008)
    assert foreign.unmap([7]) == 0
    assert tree.get(7) == 7
    assert foreign.unmap([7]) == -22


def test_the_last_mapping_of_a_frame_overrides_until_it_is_gone() -> None:
    tree = _tree()
    foreign = ForeignFrames(tree, M2p(X86_64, 9000, [M2pRun(5000, 1024, 0)]))
    assert foreign.map([Grant(1, 5500, kernel=True), Grant(2, 5500, kernel=True)])[0] == 0
    assert (dict(foreign.overrides), tree.get(500)) == ({5500: 2}, 5500 | FOREIGN)
    assert foreign.unmap([2], kernel=True) == 0
    assert (dict(foreign.overrides), tree.get(500)) == ({5500: 1}, 5500 | FOREIGN)
    assert foreign.unmap([1], kernel=True) == 0
    assert (dict(foreign.overrides), tree.get(500)) == ({}, 5500)
    assert tree.warnings == []


def test_pages_that_were_not_mapped_or_are_mapped_twice_warn() -> None:
    tree = _tree()
    foreign = ForeignFrames(tree)
    foreign.map([Grant(1, 70)])
    foreign.map([Grant(1, 71)])
    assert len(tree.warnings) == 1
    tree.set(2, 5 | FOREIGN)
    assert foreign.unmap([2]) == 0
    assert len(tree.warnings) == 2


def test_a_refused_page_fails_the_call_or_only_the_grant() -> None:
    answers = {}
    for kernel in ("4.4", "6.1"):
        linear = _list(kernel)
        linear.page_budget = 0
        answers[kernel] = ForeignFrames(linear).map([Grant(600, 9), Grant(1, 8)])
    assert answers == {"4.4": (-12, (0, 0)), "6.1": (0, (-1, 0))}


def test_unmapping_goes_on_past_a_bad_page_in_new_kernels_only() -> None:
    left = {}
    for kernel in ("4.4", "6.1"):
        linear = _list(kernel)
        linear.set_range(1, 3, X86_64.invalid)
        foreign = ForeignFrames(linear)
        foreign.map([Grant(1, 8), Grant(2, 9)])
        assert foreign.unmap([1, 30, 2]) == -22
        left[kernel] = [linear.get(1), linear.get(2)]
    assert left == {"4.4": [X86_64.invalid, 9 | FOREIGN], "6.1": [X86_64.invalid, X86_64.invalid]}


def test_new_kernels_want_ballooned_pages() -> None:
    linear = _list("6.1")
    ForeignFrames(linear).map([Grant(5, 8), Grant(700, 9)])
    assert len(linear.warnings) == 2


def test_xen_translates_for_an_auto_translated_guest() -> None:
    tree = Tree.build(rules_for("3.16"), X86_64, 1024, RUNS, auto_translated=True)
    foreign = ForeignFrames(tree)
    assert foreign.map([Grant(5, 8)]) == (0, (0,))
    assert foreign.unmap([5]) == 0
