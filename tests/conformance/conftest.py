"""Count the recorded cases that ran, and fail when a named folder held none.

A module ``test_conformance_<kind>.py`` replays the cases of one kind; each test is one case, unless it sets
the user property ``cases`` to the number of cases that it replayed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from conformance.sources import SOURCES

_MODULE = re.compile(r"test_conformance_([a-z0-9]+)\.py")
_passed: Counter[str] = Counter()
_failed: Counter[str] = Counter()
_skipped: Counter[str] = Counter()


def _kind(nodeid: str) -> str | None:
    match = _MODULE.search(nodeid)
    return match[1] if match else None


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    kind = _kind(report.nodeid)
    if kind is None:
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


@pytest.fixture(scope="session", autouse=True)
def _no_named_folder_is_empty(request: pytest.FixtureRequest) -> None:
    """Fail the session when a folder was named and no case was found in it."""
    kinds = {kind for item in request.session.items if (kind := _kind(item.nodeid))}
    empty = [
        f"{source.variable}={source.folder}"
        for kind, source in SOURCES.items()
        if kind in kinds
        and source.named
        and not any(
            _kind(item.nodeid) == kind and "NOTSET" not in item.nodeid for item in request.session.items
        )
    ]
    if empty:
        pytest.fail(f"no recorded case found in {', '.join(empty)}")
