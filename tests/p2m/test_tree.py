from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2m.reference import ReferenceTree
from xenp2m.arch import X86_32, X86_64, Arch
from xenp2m.entry import Kind
from xenp2m.errors import UsageError
from xenp2m.p2m.accounting import tree_pages
from xenp2m.p2m.bug import KernelBug
from xenp2m.p2m.debugfs import tree_text
from xenp2m.p2m.tree import Tree
from xenp2m.rules import Rules, rules_for
from xenp2m.runs import Run, RunMap

TINY = Arch("tiny", 64, 4, 56)
TINY_32 = Arch("tiny32", 32, 4, 56)
PAGES = 23
LIMIT = TINY.max_p2m_pfn

KERNELS = [
    rules_for("3.15"),
    rules_for("3.16"),
    rules_for("series:1-2"),
    rules_for("series:5"),
    replace(rules_for("3.16"), skip_identity=False),
    replace(rules_for("3.16"), high_identity=False),
]

frames = st.integers(0, LIMIT + 3)
words = st.tuples(
    st.sampled_from(["invalid", "plain", "identity", "foreign", "own"]),
    st.integers(0, 200),
)
Operation = tuple[str, int, int, tuple[str, int]]
NO_WORD = st.just(("invalid", 0))
operations = st.one_of(
    st.tuples(st.sampled_from(["set", "set_inner", "early_set"]), frames, st.integers(1, 30), words),
    st.tuples(st.just("identity"), frames, st.integers(-1, LIMIT), NO_WORD),
    st.tuples(st.just("alloc"), frames, st.just(0), NO_WORD),
    st.tuples(st.just("budget"), st.integers(0, 6), st.just(0), NO_WORD),
    st.tuples(st.just("frame list"), st.integers(PAGES, 56), st.just(0), NO_WORD),
)


def _word(arch: Arch, pfn: int, value: tuple[str, int]) -> int:
    kind, frame = value
    marks = {"plain": 0, "identity": arch.identity_bit, "foreign": arch.foreign_bit}
    if kind == "own":
        return pfn | arch.identity_bit
    return arch.invalid if kind == "invalid" else frame | marks[kind]


def _single(reference: ReferenceTree, name: str, pfn: int, pages: int, word: int) -> int | str:
    done = 0
    for offset in range(pages):
        now = word if word == reference.invalid else word + offset
        try:
            done += getattr(reference, name)(pfn + offset, now)
        except KernelBug:
            return "BUG"
    return done


def _both(tree: Tree, reference: ReferenceTree, operation: Operation) -> None:
    name, pfn, pages, value = operation
    match name:
        case "identity":
            end = max(pfn + pages, 0)
            assert tree.set_phys_range_identity(pfn, end) == reference.set_phys_range_identity(pfn, end)
        case "alloc":
            if pfn < LIMIT:
                assert tree.alloc(pfn) == reference.alloc(pfn)
        case "budget":
            # Few budgets, so that most operations can take pages.
            tree.page_budget = reference.budget = pfn if pfn < 4 else None
        case "frame list":
            tree.max_p2m_pfn = reference.max_p2m_pfn = pfn
            tree.build_frame_list()
            reference.build_frame_list()
        case _:
            word = _word(tree.arch, pfn, value)
            expected = _single(reference, name, pfn, pages, word)
            try:
                answer: int | str = getattr(tree, f"{name}_range")(pfn, pfn + pages, word)
            except KernelBug:
                answer = "BUG"
            assert answer == expected
            reference.budget = tree.page_budget


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(KERNELS),
    st.sampled_from([TINY, TINY_32]),
    st.lists(operations, max_size=12),
    st.booleans(),
)
def test_ranges_do_what_frame_by_frame_does(
    rules: Rules, arch: Arch, steps: list[Operation], scattered: bool
) -> None:
    mfns = [1000 + 7 * pfn if scattered else 1000 + pfn for pfn in range(PAGES)]
    runs = [(pfn, 1, mfn) for pfn, mfn in enumerate(mfns)] if scattered else [(0, PAGES, 1000)]
    tree = Tree.build(rules, arch, PAGES, runs)
    reference = ReferenceTree(rules, arch, mfns)
    for step in steps:
        _both(tree, reference, step)
        assert len(tree.warnings) == reference.warnings
    pfns = [*range(LIMIT + 6), arch.invalid - 1, arch.invalid]
    expected = [reference.get(pfn) for pfn in pfns]
    assert [tree.get(pfn) for pfn in pfns] == expected
    assert tree.get_array(np.array(pfns, np.uint64)).tolist() == expected
    assert tree.to_runs().to_words(0, LIMIT).tolist() == expected[:LIMIT]
    counted = asdict(tree_pages(tree))
    assert {key: counted[key] for key in reference.counts()} == reference.counts()
    assert tree_text(tree) == reference.debugfs()
    tool = tree.tool_runs()
    assert tool is not None
    seen = [reference.tool_word(pfn) for pfn in range(tree.max_p2m_pfn)]
    assert tool.to_words(0, tree.max_p2m_pfn).tolist() == seen


runs_below = st.lists(
    st.tuples(st.integers(1, 20), st.sampled_from(list(Kind)), st.integers(500, 900)), max_size=12
)


@settings(deadline=None)
@given(runs_below, st.sampled_from(KERNELS))
def test_built_from_runs_it_looks_up_as_the_runs_say(
    parts: list[tuple[int, Kind, int]], rules: Rules
) -> None:
    at, runs = 0, []
    for pages, kind, mfn in parts:
        taken = min(pages, LIMIT - at)
        runs.append(Run(at, taken, kind, mfn if kind in (Kind.RAM, Kind.FOREIGN) else None))
        at += taken
    beyond = Kind.IDENTITY if rules.high_identity else Kind.MISSING
    given_map = RunMap(TINY, LIMIT, beyond, runs)
    tree = Tree.from_runs(rules, given_map)
    assert tree.to_runs() == given_map
    # in as few pages as the rules allow
    below = [given_map.within(at, at + TINY.pfns_per_leaf) for at in range(0, LIMIT, TINY.pfns_per_leaf)]
    mixed = [len(parts) > 1 or parts[0].kind in (Kind.RAM, Kind.FOREIGN) for parts in below]
    assert tree_pages(tree).leaf_grafted == sum(mixed)
    shared = {Kind.MISSING, Kind.IDENTITY} if rules.compact_mid else {Kind.MISSING}
    whole = [given_map.within(at, at + TINY.pfns_per_mid) for at in range(0, LIMIT, TINY.pfns_per_mid)]
    assert tree_pages(tree).mid_pages == sum(len(parts) > 1 or parts[0].kind not in shared for parts in whole)


@pytest.mark.parametrize("kernel", ["3.15", "3.16"])
def test_an_empty_range_off_a_leafs_edge_takes_its_pages(kernel: str) -> None:
    tree = Tree.build(rules_for(kernel), TINY, PAGES, [(0, PAGES, 1000)])
    before = asdict(tree_pages(tree))
    inside = 2 * TINY.pfns_per_mid + 5
    assert tree.set_phys_range_identity(inside, inside) == 0
    after = asdict(tree_pages(tree))
    taken = {name: after[name] - before[name] for name in ("mid_pages", "leaf_pages", "mid_mfn_pages")}
    assert taken == {"mid_pages": 1, "leaf_pages": 1, "mid_mfn_pages": 1}
    assert after["missing_mid_dirty"] == 0


def test_a_map_that_is_too_long_is_no_tree() -> None:
    with pytest.raises(UsageError, match="does not fit a tree"):
        Tree.from_runs(rules_for("3.16"), RunMap(TINY, LIMIT + 1, Kind.IDENTITY, ()))


def test_what_the_builder_left_out_is_missing() -> None:
    tree = Tree.build(rules_for("3.15"), TINY, PAGES, [(0, 6, 1000), (17, 2, 2000)])
    words = [tree.get(pfn) for pfn in range(PAGES)]
    none = TINY.invalid
    assert words == [*range(1000, 1006), *[none] * 11, 2000, 2001, *[none] * 4]
    assert tree.to_runs().to_words(0, PAGES).tolist() == words


def test_words_that_carry_into_the_marker_bits_change_their_kind() -> None:
    tree = Tree.build(rules_for("3.15"), TINY_32, 8, [(0, 8, TINY_32.identity_bit - 2)])
    runs = [(run.pfn, run.pages, run.kind) for run in tree.to_runs()][:2]
    assert runs == [(0, 2, Kind.RAM), (2, 6, Kind.IDENTITY)]
    assert tree.set_range(8, 12, TINY_32.identity_bit - 2) == 4
    assert [hex(tree.get(pfn)) for pfn in (8, 9, 10)] == ["0x3ffffffe", "0x3fffffff", "0x40000000"]


def test_identity_of_512_gib_touches_one_mid_and_one_leaf() -> None:
    start, end = 1 << 20, X86_64.max_p2m_pfn - 1
    after = Tree.build(rules_for("3.16"), X86_64, 1 << 20, [(0, 1 << 20, 1 << 22)])
    before = Tree.build(rules_for("3.15"), X86_64, 1 << 20, [(0, 1 << 20, 1 << 22)])
    mids = before.mids.private
    assert after.set_phys_range_identity(start, end) == end - start
    assert before.set_phys_range_identity(start, end) == end - start
    pages = tree_pages(after)
    assert (pages.mid_pages - mids, pages.leaf_pages, pages.top_identity) == (1, 1, 507)
    assert (before.mids.private - mids, tree_pages(before).leaf_pages) == (508, 1)
    assert before.identity_steps == end - start
    assert after.identity_steps == 507 + 511 + 511


def test_an_untouched_list_takes_no_memory_of_its_own() -> None:
    pages = X86_64.max_domain_pages
    tree = Tree.build(rules_for("3.18"), X86_64, pages, [(0, pages, 1 << 30)])
    tree.set_phys_range_identity(3000, 4000)
    assert [run.kind for run in tree.to_runs()] == [Kind.RAM, Kind.IDENTITY, Kind.RAM, Kind.MISSING]
    assert tree.get(pages - 1) == (1 << 30) + pages - 1


def test_only_a_64_bit_list_is_revectored_and_only_once() -> None:
    tree = Tree.build(rules_for("3.16"), X86_64, 4096, [(0, 4096, 9)])
    assert [tree.revector(), tree.revector()] == [True, False]
    assert (tree_pages(tree).leaf_grafted, tree_pages(tree).leaf_revectored) == (0, 8)
    assert not Tree.build(rules_for("3.16"), X86_32, 4096, [(0, 4096, 9)]).revector()
    assert not Tree.build(rules_for("3.16"), X86_64, 4096, (), auto_translated=True).revector()


def test_the_frame_list_of_3_18_is_in_boot_memory_and_built_late() -> None:
    tree = Tree.build(rules_for("3.18"), X86_64, 4096, [(0, 4096, 9)])
    assert tree.tool_runs() is None
    assert tree_pages(tree).brk_pages == 5 + 1
    tree.build_frame_list()
    assert (tree_pages(tree).brk_pages, tree_pages(tree).boot_pages) == (6, 3 + 1)
    tool = tree.tool_runs()
    assert tool is not None
    assert [tuple(run) for run in tool] == [(0, 4096, Kind.RAM, 9)]
