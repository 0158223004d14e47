from __future__ import annotations

import json

import pytest

from cli.program import DATA, assert_one_clear_error, run
from xenp2m.catalogue import lookup
from xenp2m.check.series import Walk, walk_series
from xenp2m.entry import Kind
from xenp2m.mmu.mappers import Mapper
from xenp2m.prediction import WhatIf

EXAMPLES = DATA.parent.parent / "docs/examples"
WORKSTATION = "catalogue:a1e81a7903a5"


@pytest.fixture(scope="module")
def walk() -> Walk:
    return walk_series(lookup(WORKSTATION).capture, WhatIf(dom0_mem="1G"))


def test_only_patch_5_makes_the_high_bars_map(walk: Walk) -> None:
    io_remap = [walk.before.mapped[Mapper.IO_REMAP]]
    io_remap += [step.state.mapped[Mapper.IO_REMAP] for step in walk.patches]
    assert io_remap == [18, 18, 18, 18, 18, 26, 26, 26, 26, 26]
    assert walk.before.beyond is Kind.MISSING
    assert walk.patches[4].state.beyond is Kind.IDENTITY


def test_the_ptes_of_a_bar_past_the_p2m(walk: Walk) -> None:
    entries = [walk.before.entries, *(step.state.entries for step in walk.patches)]
    frame = walk.frame
    assert frame is not None
    machine = frame << 12 | 1 << 63
    assert [entry[Mapper.IO_REMAP] for entry in entries] == [0x200] * 5 + [machine | 0x627] * 3 + [
        machine | 0x227
    ] * 2
    assert [entry[Mapper.SYSFS] for entry in entries] == [machine | 0x627] * 9 + [machine | 0x227]
    assert [entry[Mapper.FOREIGN] for entry in entries] == [machine | 0x627] * 6 + [machine | 0x227] * 4


def test_patch_1_changes_nothing(walk: Walk) -> None:
    first = walk.patches[0].state
    assert first.lines == walk.before.lines
    assert (first.p2m_pages, first.identity_steps) == (walk.before.p2m_pages, walk.before.identity_steps)


def test_what_the_series_would_cost_without_patch_3(walk: Walk) -> None:
    whole = walk.patches[-1].state
    assert walk.without_3.p2m_pages > 30 * whole.p2m_pages
    assert walk.without_3.identity_steps > 1000 * whole.identity_steps


def test_the_six_postings(walk: Walk) -> None:
    states = [step.state for step in walk.revisions]
    assert states[0].identity_frames < states[1].identity_frames == states[5].identity_frames
    assert states[1].identity_steps == states[3].identity_steps > 1000 * states[4].identity_steps
    assert [bool(state.oopses) for state in states] == [True] * 5 + [False]
    assert states[5].entries == walk.patches[-1].state.entries


def test_the_command_names_each_patch_and_its_effect() -> None:
    result = run("series", WORKSTATION, "--dom0-mem", "1G", env={"COLUMNS": "140"})
    assert result.status == 0
    assert "set regions above the end of RAM as 1:1" in result.out
    assert "io_remap_pfn_range: PTE 0x200 → 0x8000020ffff00627" in result.out
    assert "no effect on this machine" in result.out


def test_the_tree_at_the_head_of_the_kernel_source() -> None:
    """arch/x86/xen/p2m.c draws dom0_mem=max:3GB,1GB; here it is drawn page for page."""
    result = run("tree", EXAMPLES / "p2m-head-comment.json", "--kernel", "3.16", env={"COLUMNS": "140"})
    assert result.status == 0
    lines = [" ".join(line.split("  ")).strip("│├└─ ") for line in result.out.splitlines()]
    for expected in (
        "top[0] pfn 0x0-0x3ffff, 1 GiB mid page",
        "mid[0..511] pfn 0x0-0x3ffff, 1 GiB leaf in the builder's list × 512: RAM",
        "mid[0..1] pfn 0x40000-0x403ff, 4 MiB p2m_missing 2 slots → one shared page",
        "mid[2] pfn 0x40400-0x405ff, 2 MiB leaf page: missing 0x40400-0x404ff, 1:1 0x40500-0x405ff",
        "mid[3..487] pfn 0x40600-0x7cfff, 970 MiB p2m_identity 485 slots → one shared page",
        "mid[488] pfn 0x7d000-0x7d1ff, 2 MiB leaf page: 1:1 0x7d000-0x7d0ff, missing 0x7d100-0x7d1ff",
        "mid[489..511] pfn 0x7d200-0x7ffff, 46 MiB p2m_missing 23 slots → one shared page",
        "top[2..3] pfn 0x80000-0xfffff, 2 GiB p2m_mid_missing 2 slots → one shared page",
        "top[4..511] pfn 0x100000-0x7ffffff, 508 GiB p2m_mid_identity 508 slots → one shared page",
    ):
        assert expected in lines
    assert "15 taken from brk in all" in result.out
    before = run("tree", EXAMPLES / "p2m-head-comment.json", "--kernel", "3.15", env={"COLUMNS": "140"}).out
    assert "top[2..511]" in before
    assert "13 taken from brk in all" in before


def test_the_list_of_later_kernels_is_drawn_too() -> None:
    out = run("tree", EXAMPLES / "p2m-head-comment.json", "--kernel", "6.1").out
    assert "p2m_identity_pte" in out


def test_the_walk_as_json() -> None:
    value = json.loads(run("series", WORKSTATION, "--json").out)
    assert value["format"] == "xenp2m.series/1"
    assert value["before"]["entries"]["io_remap_pfn_range"] == 0x200
    assert [patch["number"] for patch in value["patches"]] == list(range(1, 10))
    assert value["patches"][4]["beyond"] == "identity"


def test_the_tree_as_json() -> None:
    (value,) = json.loads(run("tree", EXAMPLES / "p2m-head-comment.json", "--kernel", "3.16", "--json").out)
    assert value["format"] == "xenp2m.tree/1"
    assert [slots["page"] for slots in value["top"]] == [
        "mid page",
        "mid page",
        "p2m_mid_missing",
        "p2m_mid_identity",
    ]
    assert value["top"][1]["below"][1]["content"][1]["kind"] == "identity"


def test_bad_questions() -> None:
    assert_one_clear_error(run("tree", WORKSTATION, "--kernel", "nine"), "unknown kernel")
    assert_one_clear_error(run("series", WORKSTATION, "--bits", "16"), "--bits")
