"""The page of a fleet in a real browser: pictures, findings, list and machines, with the keyboard alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from browser.conftest import Open
from browser.test_report import BROKEN_WORDS, HOSTILE
from draw.page.fleets import fleet_page, records

WIDTHS = (360, 900, 1600)
SCHEMES = ("light", "dark")
T7610 = "a1e81a7903a5"


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fleet_page(tmp_path_factory.mktemp("pages") / "catalogue", "catalogue:")


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same fleet with a row for the worst 40 machines only."""
    return fleet_page(tmp_path_factory.mktemp("pages") / "cut", "catalogue:", most_listed=40)


def names(page: Page) -> list[str]:
    return page.locator("#list tbody button.open").all_inner_texts()


def says(page: Page) -> str:
    return page.locator("#filter-says").inner_text()


def tab_to(page: Page, selector: str) -> None:
    for _ in range(80):
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {selector}")


def opened(page: Page) -> str:
    page.wait_for_selector("dialog[open] .picture .band")
    return page.locator("#machine-title").inner_text()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_it_opens_without_a_complaint_and_nothing_sticks_out(
    open_page: Open, catalogue: Path, width: int, scheme: str
) -> None:
    page = open_page(catalogue, width=width, scheme=scheme)
    assert page.locator(".kernel-bad .kernel-answer").inner_text() == "108 of 314 machines break"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    assert page.evaluate(BROKEN_WORDS, ".findings") == []
    page.locator("#list button.open").nth(3).click()
    opened(page)
    assert page.evaluate(BROKEN_WORDS, "dialog h2") == []
    assert page.evaluate(
        "(() => { const box = document.querySelector('dialog'); "
        "return box.scrollWidth <= box.clientWidth; })()"
    )


def test_the_file_is_small(catalogue: Path) -> None:
    assert catalogue.stat().st_size < 600_000


def test_the_strip_shows_every_machine_under_every_kernel(open_page: Open, catalogue: Path) -> None:
    page = open_page(catalogue)
    for kernel, classes in enumerate(
        (["bad", "warn", "plain", "good"], ["warn", "good", "plain"], ["good", "plain"])
    ):
        found = page.evaluate(
            """(kernel) => { const lane = document.querySelectorAll(".strip-plot svg > g > g")[kernel];
              const widths = {};
              for (const rect of lane.querySelectorAll("[class^=level-]")) {
                const level = rect.getAttribute("class").slice(6);
                widths[level] = (widths[level] ?? 0) + Number(rect.getAttribute("width"));
              }
              return widths; }""",
            kernel,
        )
        assert set(found) == set(classes), kernel
        if kernel == 0:
            assert found["bad"] / sum(found.values()) == pytest.approx(108 / 314, abs=0.03)


def test_orders(open_page: Open, catalogue: Path) -> None:
    page = open_page(catalogue)
    assert names(page)[0].startswith("Dell Inc. PowerEdge XE9680")
    page.select_option("#order", "bars_end")
    assert names(page)[0] == "Intel Corp. GROVEPORT"
    assert page.locator("#list th[aria-sort=descending]").inner_text().startswith("Highest BAR")
    page.click("#list th button:has-text('Highest BAR')")
    assert page.locator("#list th[aria-sort=ascending]").count() == 1
    page.click("#list th button:has-text('Machine')")
    assert names(page)[:2] == sorted(names(page)[:2], key=str.casefold)
    assert page.input_value("#order") == "title"


def test_filters(open_page: Open, catalogue: Path) -> None:
    page = open_page(catalogue)
    assert says(page) == "314 of 314 machines"
    page.fill("#filter-words", "dell xps")
    assert all("XPS" in name for name in names(page))
    page.fill("#filter-words", "")
    page.select_option("#filter-level", "bad")
    assert says(page) == "108 of 314 machines"
    page.select_option("#filter-kernel", label="series")
    assert says(page) == "0 of 314 machines"
    page.select_option("#filter-kernel", label="some kernel")
    page.select_option("#filter-level", "")
    page.click("[data-code]:has-text('XP103')")
    assert says(page) == "48 of 314 machines"
    assert page.locator("[data-code][aria-pressed=true]").inner_text() == "XP103"
    page.click("#chips button")
    assert says(page) == "314 of 314 machines"
    assert page.locator("#chips").is_hidden()


def test_more_rows(open_page: Open, catalogue: Path) -> None:
    page = open_page(catalogue)
    assert len(names(page)) == 50
    page.click("#more")
    assert len(names(page)) == 314
    assert page.evaluate("document.activeElement.closest('tr').sectionRowIndex") == 50
    assert page.locator("#more").is_hidden()


def test_pictures_of_places_pick_machines(open_page: Open, catalogue: Path) -> None:
    page = open_page(catalogue)
    picture = page.locator("#charts .chart-plot").nth(1)
    assert picture.locator(".bin-fails").count() > 100
    page.check("#places-kernel input[value='1']")
    assert picture.locator(".bin-fails").count() == 0
    before = picture.locator(".bin-maps").count()
    assert before == picture.locator("[data-index]").count()
    picture.locator("[data-index]").last.click()
    assert "has a BAR of" in page.locator("#chips").inner_text()
    assert 0 < int(says(page).split()[0]) < 60
    page.locator("#charts .chart-plot").first.locator("[data-index]").nth(9).click()
    assert "RAM ends from" in page.locator("#chips").inner_text()


def test_a_machine_tells_its_map_bars_and_findings(open_page: Open, catalogue: Path) -> None:
    page = open_page(catalogue, f"#machine={T7610}")
    assert opened(page) == "Dell Inc. Precision T7610 (0NK70N)"
    dialog = page.locator("dialog")
    text = dialog.inner_text()
    assert "8 of 26 fail" in text
    assert "0x21fff000000" in text
    assert "past MAX_P2M_PFN (512 GiB): the lookup returns INVALID; fixed by patch 5" in text
    assert "by io_remap_pfn_range (RDMA, uio, vfio), /dev/mem" in text
    assert f"xenp2m predict catalogue:{T7610} --kernel 3.15 --kernel series --kernel 6.1" in text
    assert dialog.locator("td .verdict-bad").count() == 8
    kinds = page.evaluate(
        """() => [...document.querySelectorAll('dialog [data-layer="0"] .band')]
          .sort((one, two) => one.getAttribute("x") - two.getAttribute("x"))
          .map((band) => band.getAttribute("class").split("band-")[1])"""
    )
    assert kinds[0] == "ram"
    assert kinds[-1] == "missing"
    assert dialog.locator(".differences rect").count() > 0
    page.click("#machine-close")
    page.wait_for_function("location.hash === ''")
    assert not page.locator("dialog").is_visible()


def test_with_the_keyboard_alone(open_page: Open, catalogue: Path) -> None:
    page = open_page(catalogue)
    tab_to(page, ".strip-plot")
    page.keyboard.press("End")
    page.keyboard.press("Home")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    strip = page.locator(".strip-plot")
    assert strip.get_attribute("aria-valuenow") == "3"
    assert (strip.get_attribute("aria-valuetext") or "").startswith(
        "32065859375c, 3.15: 45 of 60 BARs do not map"
    )
    page.keyboard.press("Enter")
    assert opened(page) == "32065859375c"
    tab_to(page, "#machine-after")
    page.keyboard.press("Enter")
    assert opened(page) == "93c0acb5c236"
    tab_to(page, "dialog .plot")
    page.keyboard.press("Home")
    assert "frame 0x0 at 0x0" in page.locator("dialog .strip-says").inner_text()
    page.keyboard.press("Escape")
    assert not page.locator("dialog").is_visible()
    tab_to(page, "#charts .chart-plot:nth-child(2)")
    bars = page.locator("#charts .chart-plot").nth(1)
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    assert "under 3.15" in (bars.get_attribute("aria-valuetext") or "")
    assert bars.get_attribute("aria-valuetext") == page.locator("#places-says").inner_text()
    page.keyboard.press("Enter")
    assert page.locator("#chips button").count() == 1
    page.keyboard.press("/")
    page.keyboard.type("dell")
    assert page.input_value("#filter-words") == "dell"
    tab_to(page, "#list button.open")
    name = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    assert opened(page) == name


def test_what_is_left_out_is_said(open_page: Open, cut: Path) -> None:
    page = open_page(cut)
    assert "40 of 314 machines are listed below, the worst first; the 274 others" in page.inner_text("#heat")
    assert "274 machines without a row" in page.inner_text(".strip-plot")
    assert "314 machines" in page.inner_text("#strip-says")
    assert says(page) == "40 of 40 machines that are listed"
    page.fill("#filter-words", "dell")
    assert "without a row" not in page.inner_text(".strip-plot")
    page.fill("#filter-words", "")
    page.locator(".strip-plot").focus()
    page.keyboard.press("End")
    assert page.locator(".strip-plot").get_attribute("aria-valuenow") == "39"


@pytest.mark.parametrize("fragment", ["#machine=", "#machine=nothing", "#machine=%", "#x"])
def test_a_broken_link_does_no_harm(open_page: Open, catalogue: Path, fragment: str) -> None:
    page = open_page(catalogue, fragment)
    assert not page.locator("dialog").is_visible()


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_strings_are_texts(open_page: Open, tmp_path: Path, text: str) -> None:
    source = records(tmp_path / "hostile.ndjson", {"id": text, "product": text}, {"id": f"{text}2"})
    page = open_page(fleet_page(tmp_path / "hostile", source, str(tmp_path)))
    assert page.title() == "hostile · fleet · xenp2m"
    page.locator("#list button.open").first.click()
    opened(page)
    assert page.locator("img").count() == 0
    assert page.evaluate("document.querySelectorAll('script').length") == 2


def test_it_prints(open_page: Open, catalogue: Path) -> None:
    page = open_page(catalogue, scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("#filter").is_hidden()
    page.set_viewport_size({"width": 794, "height": 1123})
    assert page.locator(".scrolled:has(#list)").evaluate("(part) => part.scrollWidth <= part.clientWidth")
    assert len(page.pdf()) > 10_000


def test_without_scripts_the_figures_are_there_and_no_dead_controls(
    browser: Browser, catalogue: Path
) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(catalogue.as_uri())
        assert page.locator(".findings tbody tr").count() > 5
        assert page.locator("select:visible, input:visible").count() == 0


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("fragment", ["", f"#machine={T7610}"], ids=["fleet", "machine"])
def test_accessibility_rules_find_nothing_serious(
    open_page: Open, catalogue: Path, width: int, scheme: str, fragment: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(catalogue, fragment, width=width, scheme=scheme, bypass_csp=True)
    if fragment:
        opened(page)
    found = Axe().run(page).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert not serious, json.dumps(
        [(each["id"], [node["html"][:200] for node in each["nodes"][:3]]) for each in serious], indent=1
    )
