"""Findings as a whole: each bad BAR is spoken of once, recorded boots give what one expects."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boot.maps import host_maps
from check.findings.cases import CAPTURES, SERVER, Findings, bar, case_findings, recorded, server
from conformance.sources import TESTS, case_name, load_json, paths
from conformance.test_conformance_log import Replay
from xenp2m.arch import arch_of
from xenp2m.boot import GuestConfig
from xenp2m.capture import read_files
from xenp2m.check.bars import Verdict
from xenp2m.check.findings import (
    FAMILIES,
    Severity,
    all_rules,
    check_capture,
    chosen_rules,
)
from xenp2m.cli.options import kernel_names
from xenp2m.draw.rulepages import rules_page
from xenp2m.errors import UsageError
from xenp2m.prediction import WhatIf, predict
from xenp2m.units import GIB, MIB, TIB

BAR_RULES = {"XP101", "XP103", "XP104", "XP105", "XP107", "XP110"} | {"XP201", "XP202", "XP301", "XP302"}
BAR_RULES |= {"XP601", "XP603", "XP604"}
"""The rules of which exactly one speaks of a BAR that does not map."""

KERNELS = (
    "3.2",
    "3.15",
    "series:1-4",
    "series:5",
    "series:1-6,8",
    "series",
    "3.18",
    "4.4",
    "4.16",
    "6.1",
    "6.12",
)
DOM0S = sorted(path.name for path in CAPTURES.iterdir() if path.is_dir() and path.name != "domu-e820-host")


def codes(findings: Findings, least: Severity = Severity.INFO) -> set[str]:
    return {finding.code for finding in findings if finding.severity.reaches(least)}


def assert_each_bad_bar_once(findings: Findings, bad: set[str]) -> None:
    spoken_of = [
        finding.where
        for finding in findings
        if finding.code in BAR_RULES and finding.severity is Severity.ERROR
    ]
    assert len(spoken_of) == len(set(spoken_of))
    assert set(spoken_of) == bad


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", [*DOM0S, "server"])
def test_every_bar_that_does_not_map_has_one_error(name: str, kernel: str) -> None:
    capture = SERVER if name == "server" else read_files([CAPTURES / name])
    prediction = predict(capture, kernel)
    bad = {verdict.bar.label for verdict in prediction.bars if verdict.verdict is not Verdict.MAPS}
    assert_each_bad_bar_once(check_capture(capture, [kernel]), bad)


@pytest.mark.parametrize("bits", [64, 32])
@pytest.mark.parametrize("kernel", ["3.15", "series:5", "series", "3.18", "4.4"])
def test_and_so_it_is_anywhere(kernel: str, bits: int) -> None:
    places = (MIB, GIB, 0xE0000000, 200 * GIB, 500 * GIB, 3 * TIB, 5 * TIB, 20 * TIB, 90 * TIB, 1 << 52)
    for place in places:
        found = server(kernel, bar(place), bits=bits)()
        prediction = predict(SERVER, kernel, WhatIf(bars=(bar(place),), bits=bits))
        bad = {verdict.bar.label for verdict in prediction.bars if verdict.verdict is not Verdict.MAPS}
        assert_each_bad_bar_once(found, bad)


@pytest.mark.parametrize("e820_host", [True, False])
@pytest.mark.parametrize("kernel", ["3.15", "3.18", "6.1"])
def test_and_so_it_is_in_a_domu(kernel: str, e820_host: bool) -> None:
    capture = SERVER
    for size in (GIB, 3 * GIB, 8 * GIB):
        for place in (0xD0000000, 4 * GIB, 6 * GIB, 200 * GIB):
            asked = WhatIf(domu_memory=size, domu_maxmem=2 * size, e820_host=e820_host, bars=(bar(place),))
            prediction = predict(capture, kernel, asked)
            bad = {verdict.bar.label for verdict in prediction.bars if verdict.verdict is not Verdict.MAPS}
            found = check_capture(capture, [kernel], asked)
            assert_each_bad_bar_once(found, bad)


@given(e820=host_maps(), pages=st.integers(1, 1 << 15), frame=st.integers(0, 1 << 17), data=st.data())
@settings(max_examples=150, deadline=None)
def test_no_map_is_too_odd(e820: object, pages: int, frame: int, data: st.DataObject) -> None:
    kernel = data.draw(st.sampled_from(KERNELS))
    bits = data.draw(st.sampled_from([64, 32] if kernel not in ("6.1", "6.12") else [64]))
    config = GuestConfig(
        nr_pages=pages,
        e820=e820,  # type: ignore[arg-type]
        arch=arch_of(bits),
        is_dom0=data.draw(st.booleans()),
        max_reservation=data.draw(st.sampled_from([pages, 4 * pages, 0xFFFF_FFFF])),
        mem_limit=data.draw(st.sampled_from([None, pages << 11])),
    )
    for finding in case_findings(config, kernel, bar(frame << 12)):
        assert finding.start is None or finding.end is None or finding.start < finding.end


@pytest.mark.parametrize("name", DOM0S)
def test_a_recorded_boot_under_its_own_kernel(name: str) -> None:
    """Real dom0s of 6.1 and 3.16 had nothing wrong; 3.14 could not map its BARs through /dev/mem."""
    capture = read_files([CAPTURES / name])
    found = check_capture(capture, kernel_names((), capture))
    assert codes(found, Severity.WARNING) == ({"XP102", "XP110"} if name == "k314-bar" else set())


@pytest.mark.parametrize("path", paths("log", "*.json"), ids=case_name)
def test_a_boot_that_was_reported_has_nothing_that_stops_it(path: Path) -> None:
    """The inputs of a real boot, under the rules that explain its log: it ran, and lost nothing."""
    replay = Replay(load_json(path))
    assert codes(case_findings(replay.config(), replay.rules().name), Severity.WARNING) == set()


def test_what_the_series_was_written_for() -> None:
    before, after = server("3.15")(), server("series")()
    assert codes(before, Severity.WARNING) == {"XP102", "XP103"}
    assert codes(after) == {"XP404"}
    assert sum(finding.code == "XP103" for finding in before) == 8


def test_of_several_kernels_captures_are_spoken_of_once() -> None:
    capture = read_files([CAPTURES / "pc-1g/dmesg.txt"])
    found = check_capture(capture, ["3.15", "6.1"])
    assert [finding.kernel for finding in found if finding.code == "XP508"] == [""]
    assert {finding.kernel for finding in found if finding.code == "XP110"} == {"3.15"}


def test_a_range_without_bars_weighs_less() -> None:
    (found,) = (finding for finding in recorded("split-2g", "3.15")() if finding.code == "XP110")
    assert found.severity is Severity.INFO


def test_codes_are_picked_by_beginning_and_case_does_not_matter() -> None:
    assert [rule.code for rule in chosen_rules(["xp101"])] == ["XP101"]
    assert {rule.code[:3] for rule in chosen_rules(["XP1", "XP3"])} == {"XP1", "XP3"}
    assert "XP102" not in {rule.code for rule in chosen_rules(ignore=["XP102"])}
    assert chosen_rules() == all_rules()
    with pytest.raises(UsageError, match="no rule is left"):
        chosen_rules(["XP1"], ["XP"])


@pytest.mark.parametrize("code", ["XP999", "E501", "", "X", "XP1O1"])
def test_an_unknown_code_names_the_nearest(code: str) -> None:
    with pytest.raises(UsageError, match="no rule"):
        chosen_rules([code])


def test_every_rule_has_a_whole_page() -> None:
    for rule in all_rules():
        assert rule.code[:3] in FAMILIES
        assert rule.what.endswith(".")
        assert rule.why.endswith(".")
        assert rule.remedy.endswith(".")
        assert rule.example
        assert rule.kernels
        assert rule.source


def test_the_documentation_is_the_registry() -> None:
    page = (TESTS.parent / "docs/rules.md").read_text(encoding="utf-8")
    assert page == rules_page(all_rules()), "write it again: xenp2m rule --markdown > docs/rules.md"
