from __future__ import annotations

import itertools
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenp2m.errors import UsageError
from xenp2m.rules import KERNELS, REVISIONS, SERIES, rules_for, with_patches


@pytest.mark.parametrize(
    ("name", "generation"),
    [
        ("3.2", "A0"),
        ("3.4.5", "A0"),
        ("3.5", "A"),
        ("3.14.1", "A"),
        ("3.15", "A"),
        ("3.16", "B316"),
        ("3.17-rc4", "B316"),
        ("3.18.140", "B318"),
        ("4.1", "B319"),
        ("4.4", "C64"),
        ("4.12.14-lp151", "C64"),
        ("4.19.5-linuxkit", "C416"),
        ("4.19.86", "C64"),
        ("5.10", "C64"),
        ("6.1.0-56-amd64", "C64"),
        ("v6.4", "C64"),
        ("6.11-rc1+", "C64"),
        ("6.12", "C612"),
        ("7.0", "C612"),
    ],
)
def test_a_version_takes_the_newest_rules_that_are_not_newer(name: str, generation: str) -> None:
    assert rules_for(name).generation == generation


def test_rules_are_ordered_and_each_changes_something() -> None:
    assert [rules.since for rules in KERNELS] == sorted(rules.since for rules in KERNELS)
    for older, newer in itertools.pairwise(KERNELS):
        changed = {key for key, value in asdict(newer).items() if asdict(older)[key] != value}
        assert changed - {"name", "since", "generation"}


@pytest.mark.parametrize(
    "name", ["", "linux", "2.6.32", "3.1", "series:", "series:0", "series:1-", "x3.15", "3"]
)
def test_unknown_names(name: str) -> None:
    with pytest.raises(UsageError):
        rules_for(name)


def test_patch_9_needs_patch_8() -> None:
    with pytest.raises(UsageError, match="patch 9"):
        rules_for("series:1-7,9")


@given(st.sets(st.integers(1, 8)))
def test_any_other_subset_of_the_patches(numbers: set[int]) -> None:
    rules = with_patches(tuple(numbers))
    assert rules.clamp_identity_range == (2 in numbers)
    assert rules.compact_mid == rules.skip_identity == (3 in numbers)
    assert rules.warn_bad_mfn_once == (4 in numbers)
    assert rules.high_identity == rules.identity_tail == (5 in numbers)
    assert rules.foreign_remap_iomap == (6 not in numbers)
    assert rules.spurious_only_protection == (7 in numbers)
    assert rules.pte_iomap == (8 not in numbers)
    assert rules.iomap_flag


def test_the_whole_series_is_what_was_merged() -> None:
    """3.16 has patches 1 to 6 and 3.18 the rest: the series differs from 3.18 only in other work of 3.18."""
    series, merged = asdict(rules_for("series")), asdict(rules_for("3.18"))
    for patch in SERIES:
        for choice, value in patch.changes:
            assert series[choice] == merged[choice] == value
    early, middle = asdict(rules_for("series:1-6")), asdict(rules_for("3.16"))
    for patch in SERIES[:6]:
        for choice, value in patch.changes:
            assert early[choice] == middle[choice] == value


def test_ranges_and_lists_of_patches_name_the_same_rules() -> None:
    one, other = asdict(rules_for("series:1-5")), asdict(rules_for("series:1,2,3-4,5"))
    assert {key: value for key, value in one.items() if key != "name"} == {
        key: value for key, value in other.items() if key != "name"
    }


def test_the_last_posting_is_the_series() -> None:
    assert [revision.version for revision in REVISIONS] == [1, 2, 3, 4, 5, 6]
    assert REVISIONS[-1].changes == ()
