from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenp2m.arch import X86_64, Arch
from xenp2m.entry import Kind
from xenp2m.p2m.accounting import list_pages
from xenp2m.p2m.bug import KernelBug
from xenp2m.p2m.debugfs import list_text
from xenp2m.p2m.list import SIF_VIRT_P2M_4TOOLS, LinearList
from xenp2m.p2m.tree import Tree
from xenp2m.rules import Rules, rules_for
from xenp2m.runs import Run, RunMap

TINY = Arch("tiny", 64, 4, 64)
PAGES = 30
SIZE = 48
KERNELS = [rules_for(name) for name in ("3.19", "4.4", "6.1")]

frames = st.integers(0, SIZE - 1)
operations = st.tuples(
    st.sampled_from(["set", "set_inner"]),
    frames,
    st.integers(1, 12),
    st.one_of(st.none(), st.integers(0, 300), st.just("own"), st.just("foreign")),
)


class Model:
    """What a list says, as a dictionary, and which of its leaves are shared."""

    def __init__(self, linear: LinearList) -> None:
        self.arch = linear.arch
        self.words = {pfn: linear.get(pfn) for pfn in range(linear.size)}
        leaves = range(0, linear.size, self.arch.pfns_per_leaf)
        self.shared = {
            leaf // 4
            for leaf in leaves
            if all(self.words[pfn] == self.arch.invalid for pfn in range(leaf, leaf + 4))
            or all(self.words[pfn] == pfn | self.arch.identity_bit for pfn in range(leaf, leaf + 4))
        }

    def set_inner(self, pfn: int, word: int) -> bool:
        if pfn // 4 in self.shared:
            return word == self.words[pfn]
        self.words[pfn] = word
        return True

    def set(self, pfn: int, word: int) -> bool:
        if not self.set_inner(pfn, word):
            self.shared.discard(pfn // 4)
            self.words[pfn] = word
        return True


def _list(rules: Rules) -> LinearList:
    linear = LinearList.build(rules, TINY, PAGES, [(0, PAGES, 100)])
    linear.set_phys_range_identity(6, 13)
    linear.set_inner_range(16, 20, TINY.invalid)
    linear.add_extra(33, 6)
    linear.max_p2m_pfn = 39
    return linear


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(KERNELS), st.lists(operations, max_size=10), st.booleans())
def test_the_list_does_what_a_dictionary_does(
    rules: Rules, steps: list[tuple[str, int, int, object]], frame_list: bool
) -> None:
    linear = _list(rules)
    linear.vmalloc_tree()
    if frame_list:
        linear.build_frame_list()
    assert linear.size == SIZE
    model = Model(linear)
    for name, start, pages, value in steps:
        end = min(start + pages, SIZE)
        word = {"own": start | TINY.identity_bit, "foreign": start | TINY.foreign_bit}.get(str(value))
        if word is None:
            word = value if isinstance(value, int) else TINY.invalid
        expected = sum(
            getattr(model, name)(pfn, word if value is None else word + pfn - start)
            for pfn in range(start, end)
        )
        # An extra-memory leaf that holds nothing is private all the same, which the dictionary cannot tell.
        if any(int(linear.table[pfn // 4]) == 2 and pfn // 4 in model.shared for pfn in range(start, end)):
            return
        assert getattr(linear, f"{name}_range")(start, end, word) == expected
    found = [linear.get(pfn) for pfn in range(SIZE)]
    assert found == list(model.words.values())
    assert linear.get_array(np.arange(SIZE + 2, dtype=np.uint64)).tolist()[:SIZE] == found
    assert linear.to_runs().to_words(0, SIZE).tolist() == found
    tool = linear.tool_runs()
    assert (tool is not None) == frame_list
    if tool is not None:
        seen = [TINY.invalid if pfn // 4 in model.shared else word for pfn, word in model.words.items()]
        assert tool.to_words(0, SIZE).tolist() == seen


def test_before_the_area_extra_memory_is_missing_and_all_else_is_1_to_1() -> None:
    linear = _list(rules_for("6.1"))
    expected = [TINY.invalid if 33 <= pfn < 39 else pfn | TINY.identity_bit for pfn in range(32, 60)]
    assert [linear.get(pfn) for pfn in range(32, 60)] == expected
    assert linear.get_array(np.arange(32, 60, dtype=np.uint64)).tolist() == expected
    assert linear.to_runs().to_words(32, 60).tolist() == expected
    assert linear.get(TINY.invalid) == TINY.invalid


def test_storing_past_the_end_stops_early_kernels_only() -> None:
    early, late = _list(rules_for("3.19")), _list(rules_for("6.1"))
    assert early.set_inner(1000, TINY.invalid)
    with pytest.raises(KernelBug):
        early.set_inner(1000, 5)
    assert not late.set_inner(1000, 5)
    with pytest.raises(KernelBug):
        late.set(1000, 5)
    with pytest.raises(KernelBug):
        late.alloc(1000)


def test_a_shared_page_cannot_be_made_1_to_1() -> None:
    linear = _list(rules_for("6.1"))
    linear.vmalloc_tree()
    with pytest.raises(KernelBug, match="shared"):
        linear.set_phys_range_identity(16, 20)


@given(st.sampled_from(KERNELS), frames, st.integers(1, SIZE))
def test_whole_leaves_change_at_once_as_they_do_frame_by_frame(rules: Rules, start: int, pages: int) -> None:
    at_once, one_by_one = _list(rules), _list(rules)
    end = min(start + pages, SIZE)
    for linear in (at_once, one_by_one):
        linear.vmalloc_tree()
    assert at_once.set_range(start, end, TINY.invalid) == end - start
    for pfn in range(start, end):
        one_by_one.set(pfn, TINY.invalid)
    assert list_pages(at_once) == list_pages(one_by_one)
    assert at_once.last_pfn == one_by_one.last_pfn
    assert at_once.to_runs() == one_by_one.to_runs()


def test_the_last_pfn_that_tools_are_told() -> None:
    told = {}
    for name in ("3.19", "4.4", "6.1"):
        linear = _list(rules_for(name))
        linear.vmalloc_tree()
        first = linear.setup_frame_list()
        assert linear.alloc(41) == 0
        told[name] = (first, linear.published_max_pfn, linear.generation)
    assert told == {"3.19": (48, 48, 0), "4.4": (39, 41, 2), "6.1": (39, 44, 2)}


def test_refused_pages_leave_the_earlier_ones() -> None:
    linear = _list(rules_for("6.1"))
    linear.vmalloc_tree()
    linear.page_budget = 0
    assert linear.alloc(9) == -12
    assert linear.set_range(8, 12, 50) == 0
    linear.page_budget = None
    assert linear.set_range(8, 12, 50) == 4


def test_extra_memory_of_any_size_takes_no_memory_until_used() -> None:
    pages = 1 << 18
    linear = LinearList.build(rules_for("6.1"), X86_64, pages, [(0, pages, 1 << 20)])
    linear.add_extra(pages, 1 << 27)
    linear.max_p2m_pfn = pages + (1 << 27)
    linear.vmalloc_tree()
    linear.build_frame_list()
    assert list_pages(linear).leaf_private == linear.size // 512
    assert linear.set(1 << 26, 77)
    assert linear.get(1 << 26) == 77
    assert [tuple(run) for run in linear.to_runs()] == [
        (0, pages, Kind.RAM, 1 << 20),
        (pages, (1 << 26) - pages, Kind.MISSING, None),
        (1 << 26, 1, Kind.RAM, 77),
        ((1 << 26) + 1, pages + (1 << 26) - 1, Kind.MISSING, None),
    ]
    tool = linear.tool_runs()
    assert tool is not None
    assert tool.entry(1 << 26) == (Kind.RAM, 77)


def test_the_debug_file_shows_shared_1_to_1_pages_as_missing() -> None:
    linear = LinearList.build(rules_for("6.1"), X86_64, 0x2000, [(0, 0x2000, 0x9000)])
    linear.set_phys_range_identity(0x1000, 0x2000)
    linear.vmalloc_tree()
    assert linear.set(0x1388, 5)
    lines = list_text(linear)
    assert lines[:4] == [
        " [0x0->0x1000] pfn",
        " [0x1000->0x1200] missing",
        " [0x1200->0x1388] identity",
        " [0x1388->0x1389] pfn",
    ]
    assert lines[-1] == " [0x1400->0x40000] missing"


def test_tools_that_read_virtual_addresses_get_no_frame_list() -> None:
    linear = LinearList.build(
        rules_for("6.1"), X86_64, 512, [(0, 512, 1)], start_info_flags=SIF_VIRT_P2M_4TOOLS
    )
    linear.vmalloc_tree()
    linear.build_frame_list()
    assert linear.tool_runs() is None


runs_below = st.lists(
    st.tuples(st.integers(1, 20), st.sampled_from(list(Kind)), st.integers(500, 900)), max_size=12
)


@settings(deadline=None)
@given(runs_below)
def test_list_and_tree_built_from_the_same_runs_agree(parts: list[tuple[int, Kind, int]]) -> None:
    at, runs = 0, []
    for pages, kind, mfn in parts:
        taken = min(pages, 64 - at)
        runs.append(Run(at, taken, kind, mfn if kind in (Kind.RAM, Kind.FOREIGN) else None))
        at += taken
    given_map = RunMap(TINY, 64, Kind.IDENTITY, runs)
    linear = LinearList.from_runs(rules_for("6.1"), given_map)
    tree = Tree.from_runs(rules_for("3.16"), given_map)
    assert linear.to_runs() == tree.to_runs() == given_map
    pfns = np.arange(70, dtype=np.uint64)
    assert linear.get_array(pfns).tolist() == tree.get_array(pfns).tolist()
    for pfn, word in ((5, 77), (20, TINY.invalid), (41, 9 | TINY.foreign_bit)):
        if given_map.entry(pfn).kind in (Kind.RAM, Kind.FOREIGN):
            assert linear.set(pfn, word)
            assert tree.set(pfn, word)
    assert linear.to_runs() == tree.to_runs()
