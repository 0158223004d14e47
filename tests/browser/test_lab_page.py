"""The page of lab runs in a real browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lab.runs import write_run
from xenp2m.draw.lab import report_page
from xenp2m.lab.results import read_results

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.mark.parametrize(("width", "scheme"), [(400, "dark"), (900, "light"), (1600, "light")])
def test_it_opens_without_a_complaint_and_nothing_sticks_out(
    browser: Browser, tmp_path: Path, width: int, scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    write_run(tmp_path, with_domu=True)
    page = tmp_path / "report.html"
    page.write_text(report_page(read_results(tmp_path)))
    complaints: list[str] = []
    with browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        bypass_csp=True,
    ) as context:
        shown = context.new_page()
        shown.on("console", lambda message: complaints.append(message.text))
        shown.on("pageerror", lambda error: complaints.append(str(error)))
        shown.goto(page.as_uri())
        assert shown.evaluate("document.documentElement.scrollWidth <= innerWidth")
        shown.click("#machines a")
        assert shown.evaluate("location.hash") == "#shape-bar-512g"
        found = Axe().run(shown).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert not serious, json.dumps([(each["id"], each["nodes"][0]["html"][:200]) for each in serious])
    assert complaints == []
