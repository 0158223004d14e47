from __future__ import annotations

from xenp2m.arch import X86_64
from xenp2m.entry import Kind
from xenp2m.p2m.list import LinearList
from xenp2m.p2m.outline import Content, LeafSlots, Page, tree_outline
from xenp2m.p2m.tree import Tree
from xenp2m.rules import rules_for

GIB = 1 << 18


def test_the_example_at_the_head_of_the_kernel_source() -> None:
    """dom0_mem=max:3GB,1GB as drawn in arch/x86/xen/p2m.c of Linux 3.16."""
    tree = Tree.build(rules_for("3.16"), X86_64, GIB, [(0, GIB, 4 * GIB)])
    assert tree.set_phys_range_identity(263424, 512256) == 248832
    assert tree.set_phys_range_identity(4 * GIB, X86_64.invalid) == 133169152
    top = tree_outline(tree)
    assert [(mid.first, mid.end, mid.page) for mid in top] == [
        (0, 1, Page.MID),
        (1, 2, Page.MID),
        (2, 4, Page.MID_MISSING),
        (4, 512, Page.MID_IDENTITY),
    ]
    ram = (Content(0, GIB, Kind.RAM),)
    assert top[0].below == (LeafSlots(0, 512, 0, GIB, Page.GRAFTED, ram),)
    assert [(leaf.first, leaf.end, leaf.page) for leaf in top[1].below] == [
        (0, 2, Page.LEAF_MISSING),
        (2, 3, Page.OWN),
        (3, 488, Page.LEAF_IDENTITY),
        (488, 489, Page.OWN),
        (489, 512, Page.LEAF_MISSING),
    ]
    first, last = top[1].below[1], top[1].below[3]
    assert [(part.end_pfn - part.pfn, part.kind) for part in first.content] == [
        (256, Kind.MISSING),
        (256, Kind.IDENTITY),
    ]
    assert [part.kind for part in last.content] == [Kind.IDENTITY, Kind.MISSING]
    assert (last.content[0].end_pfn, last.end_pfn) == (0x7D100, 0x7D200)
    assert top[2].below == top[3].below == ()


def test_a_shared_mid_that_was_written_shows_what_is_below() -> None:
    tree = Tree.build(rules_for("3.15"), X86_64, 1000, [(0, 1000, 5000)])
    assert tree.set(1310723, 1310723 | X86_64.identity_bit)
    missing = tree_outline(tree)[-1]
    assert (missing.first, missing.end, missing.page) == (1, 512, Page.MID_MISSING)
    assert [(leaf.end, leaf.page) for leaf in missing.below] == [
        (1, Page.LEAF_IDENTITY),
        (512, Page.LEAF_MISSING),
    ]


def test_a_list_in_its_area_and_before() -> None:
    linear = LinearList.build(rules_for("6.1"), X86_64, GIB, [(0, GIB, 4 * GIB)])
    assert [slots.page for slots in tree_outline(linear)[0].below] == [Page.GRAFTED]
    linear.set_phys_range_identity(1024, 2048)
    linear.vmalloc_tree(hotplug_limit_gib=8)
    first, rest = tree_outline(linear)
    assert (rest.first, rest.end, rest.page, rest.below) == (1, 8, Page.IDENTITY_PTE, ())
    assert first.page is Page.PTE
    assert [(leaf.end, leaf.page) for leaf in first.below] == [
        (2, Page.OWN),
        (4, Page.LEAF_IDENTITY),
        (512, Page.OWN),
    ]


def test_a_moved_list_is_named_so() -> None:
    tree = Tree.build(rules_for("3.16"), X86_64, 1024, [(0, 1024, 5000)])
    assert tree.revector()
    assert tree_outline(tree)[0].below[0].page is Page.REVECTORED
