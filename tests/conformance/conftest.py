"""Count the recorded cases that ran, and fail when a named folder held none.

A module ``test_conformance_<kind>.py`` replays the cases of one kind; each test is one case, unless it sets
the user property ``cases`` to the number of cases that it replayed.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from conformance.sources import SOURCES

_MODULE = re.compile(r"test_conformance_([a-z0-9]+)\.py")
_passed: Counter[str] = Counter()
_failed: Counter[str] = Counter()
_skipped: Counter[str] = Counter()
_EMPTY = pytest.StashKey[str]()


def _kind(nodeid: str) -> str | None:
    match = _MODULE.search(nodeid)
    return match[1] if match else None


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    kind = _kind(report.nodeid)
    if kind is None:
        return
    if "NOTSET" in report.nodeid:
        _passed[kind] += 0
        return
    cases = int(str(dict(report.user_properties).get("cases", 1)))
    if report.failed:
        _failed[kind] += 1
        _passed[kind] += max(cases - 1, 0) if report.when == "call" else 0
    elif report.skipped:
        _skipped[kind] += cases
    elif report.when == "call":
        _passed[kind] += cases


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None] | None:
    for kind in sorted({*_passed, *_failed, *_skipped}):
        run = _passed[kind] + _failed[kind]
        folder = SOURCES[kind].folder
        text = f"conformance {kind}: {run} cases run, {_passed[kind]} passed, {_failed[kind]} failed"
        if _skipped[kind]:
            text += f", {_skipped[kind]} skipped"
        terminalreporter.write_line(f"{text} (from {folder})")
    return None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where a folder was named and holds no case, have the empty parameter sets fail, not be skipped."""
    cases: Counter[str] = Counter()
    for item in items:
        if (variable := _named(item)) is not None:
            cases[variable] += "NOTSET" not in item.nodeid
    for item in items:
        variable = _named(item)
        if variable is not None and not cases[variable]:
            item.own_markers.clear()
            item.stash[_EMPTY] = f"no recorded case found in {variable}={os.environ[variable]}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    if _EMPTY in item.stash:
        pytest.fail(item.stash[_EMPTY], pytrace=False)


def _named(item: pytest.Item) -> str | None:
    """Return the variable that names the folder of an item's kind, None where it is not set."""
    source = SOURCES.get(_kind(item.nodeid) or "")
    return source.variable if source is not None and source.named else None
