from __future__ import annotations

import pytest

from draw.svg.reading import SVG, groups, outside, parsed, texts
from xenp2m.arch import X86_32, X86_64
from xenp2m.draw.svg import Scheme, tree_svg
from xenp2m.entry import Kind
from xenp2m.p2m.list import LinearList
from xenp2m.p2m.tree import Tree
from xenp2m.rules import rules_for

GIB = 1 << 18


def head_comment(kernel: str) -> Tree:
    """Return the machine that is drawn at the head of p2m.c."""
    tree = Tree.build(rules_for(kernel), X86_64, GIB, [(0, GIB, 4 * GIB)])
    tree.set_phys_range_identity(263424, 512256)
    if kernel != "3.15":
        tree.set_phys_range_identity(4 * GIB, X86_64.invalid)
    return tree


def written(p2m: Tree | LinearList, kernel: str = "3.16", past: Kind = Kind.IDENTITY) -> list[str]:
    root = parsed(tree_svg(p2m, kernel, past, width=1600))
    assert not outside(root)
    return texts(root)


def test_the_tree_at_the_head_of_the_kernel_source() -> None:
    found = written(head_comment("3.16"))
    for label in ("[0]", "[1]", "[2..3]", "[4..511]", "[0..1]", "[2]", "[3..487]", "[488]", "[489..511]"):
        assert found.count(label) == 1
    for page, slots in (
        ("p2m_mid_missing", "← 2 slots"),
        ("p2m_mid_identity", "← 508 slots"),
        ("p2m_missing", f"← {2 + 23 + 512} slots"),
        ("p2m_identity", f"← {485 + 512} slots"),
    ):
        assert found.count(page) == 1
        assert found.count(slots) == 1
    assert "leaf in the builder's list × 512" in found
    assert found.count("leaf page") == 2
    assert "missing 0x40400-0x404ff  1:1 0x40500-0x405ff  " in found
    assert "1:1 0x7d000-0x7d0ff  missing 0x7d100-0x7d1ff  " in found
    assert "past the end: pfn 0x8000000…" in found
    assert "no page: all 1:1" in found


def test_the_same_tree_before_the_series_has_no_shared_identity_mid() -> None:
    found = written(head_comment("3.15"), "3.15", Kind.MISSING)
    assert "p2m_mid_identity" not in found
    assert "[2..511]" in found
    assert "no page: all missing" in found


def test_a_shared_page_that_nothing_points_to_is_not_drawn() -> None:
    tree = Tree.build(rules_for("3.15"), X86_64, GIB, [(0, GIB, 4 * GIB)])
    found = written(tree, "3.15", Kind.MISSING)
    assert "p2m_missing" in found
    assert "p2m_identity" not in found


def test_an_arrow_ends_at_every_own_page_and_at_every_shared_one() -> None:
    root = parsed(tree_svg(head_comment("3.16"), "3.16", Kind.IDENTITY))
    (wires,) = groups(root, "wires")
    heads = [path for path in wires.iter(f"{SVG}path") if path.get("fill") != "none"]
    own, shared = 2 + 3, 4
    assert len(heads) == own + shared


def test_mids_that_are_alike_are_one_stack() -> None:
    tree = Tree.build(rules_for("3.16"), X86_64, 8 * GIB, [(0, 8 * GIB, 16 * GIB)])
    found = written(tree)
    assert "8 mid pages, all alike" in found
    assert "[0..7]" in found


def test_what_has_no_room_is_counted() -> None:
    tree = Tree.build(rules_for("3.16"), X86_64, GIB, [(0, GIB, 4 * GIB)])
    for mid in range(1, 40):
        assert tree.set(mid * GIB + 5 + mid, 7)
    for leaf in range(1, 60, 2):
        assert tree.set(50 * GIB + leaf * 512, 7)
    found = written(tree)
    assert any(text.endswith(" more mid pages") for text in found)
    assert any(text.endswith(" more ranges") for text in found)
    assert len(groups(parsed(tree_svg(tree, "3.16", Kind.IDENTITY)), "mid")) < 14


def test_a_list_with_its_page_tables() -> None:
    linear = LinearList.build(rules_for("6.1"), X86_64, GIB, [(0, GIB, 4 * GIB)])
    linear.set_phys_range_identity(1024, 2048)
    linear.vmalloc_tree(hotplug_limit_gib=8)
    found = written(linear, "6.1")
    assert "p2m_identity_pte" in found
    assert "← 7 slots" in found
    assert any(text.startswith("xen_p2m_addr") for text in found)


def test_a_list_before_it_has_its_area() -> None:
    linear = LinearList.build(rules_for("6.1"), X86_64, 1000, [(0, 1000, 4 * GIB)])
    assert "leaf in the builder's list × 2" in written(linear, "6.1")


def test_a_shared_mid_that_was_written_shows_it() -> None:
    tree = Tree.build(rules_for("3.15"), X86_64, 1000, [(0, 1000, 5000)])
    assert tree.set(1310723, 1310723 | X86_64.identity_bit)
    found = written(tree, "3.15", Kind.MISSING)
    assert "p2m_identity" in found
    assert "[1..511]" in found


def test_a_32_bit_tree() -> None:
    tree = Tree.build(rules_for("3.15"), X86_32, GIB, [(0, GIB, 4 * GIB)])
    found = written(tree, "3.15", Kind.MISSING)
    assert "mid pages  4 GiB each" in found
    assert "[1..1023]" in found


@pytest.mark.parametrize("width", [400, 600, 1000, 1600, 4000])
def test_nothing_leaves_the_picture(width: int) -> None:
    name = "a machine with a name " * 20
    root = parsed(tree_svg(head_comment("3.16"), "3.16", Kind.IDENTITY, machine=name, width=width))
    assert root.get("width") == str(width)
    assert not outside(root)


def test_names_are_text_and_nothing_else() -> None:
    hostile = "</text><script>alert(1)</script>\x00\x1b\ud800&amp;"
    root = parsed(tree_svg(head_comment("3.16"), hostile, Kind.IDENTITY, machine=hostile))
    assert not list(root.iter(f"{SVG}script"))
    assert any("<script>alert(1)</script>\ufffd\ufffd\ufffd&amp;" in text for text in texts(root))


def test_a_file_has_both_schemes_and_a_part_of_a_page_has_none() -> None:
    tree = head_comment("3.16")
    alone = tree_svg(tree, "3.16", Kind.IDENTITY)
    assert alone.startswith("<?xml")
    assert "@media (prefers-color-scheme:dark)" in alone
    inline = tree_svg(tree, "3.16", Kind.IDENTITY, standalone=False, prefix="mine")
    assert inline.startswith("<svg")
    assert "style" not in inline
    ids = [element.get("id", "") for element in parsed(inline).iter() if element.get("id")]
    assert all(name.startswith("mine-") for name in ids)
    dark = tree_svg(tree, "3.16", Kind.IDENTITY, scheme=Scheme.DARK)
    assert "<style" not in dark
    assert "#14181d" in dark
    assert "#ffffff" not in dark


def test_the_description_says_the_structure() -> None:
    root = parsed(tree_svg(head_comment("3.16"), "3.16", Kind.IDENTITY, machine="m"))
    assert root.findtext(f"{SVG}title") == "m: p2m under kernel 3.16"
    said = root.findtext(f"{SVG}desc") or ""
    assert "top[4..511]: p2m_mid_identity" in said
    assert "mid[3..487]: p2m_identity" in said
    assert "Past the end: 1:1" in said
