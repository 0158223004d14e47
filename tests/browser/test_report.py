"""The page of a report in a real browser: looked at, zoomed, searched, linked to, with the keyboard alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from browser.conftest import Open
from draw.page.machines import HIGH, HOLE, MACHINE, predictions
from xenp2m.arch import X86_64
from xenp2m.check.explain import map_guest_frame
from xenp2m.draw.page.layers import read_layer
from xenp2m.draw.page.model import Answer, Reason, Report
from xenp2m.draw.page.render import render_report
from xenp2m.entry import Kind
from xenp2m.mmu.mappers import Mapper
from xenp2m.rules import rules_for
from xenp2m.runs import Ambiguous, Run, RunMap

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDTHS = (360, 900, 1600)
SCHEMES = ("light", "dark")
HOLE_PFN = HOLE >> 12
HIGH_PFN = HIGH >> 12

OVERLAPS = """() => {
  const texts = [...document.querySelectorAll(".picture text")]
    .map((text) => ({ text: text.textContent, box: text.getBoundingClientRect() }))
    .filter(({ text, box }) => text !== "" && box.width > 0);
  const found = [];
  texts.forEach((one, index) => texts.slice(index + 1).forEach((two) => {
    const across = Math.min(one.box.right, two.box.right) - Math.max(one.box.left, two.box.left);
    const down = Math.min(one.box.bottom, two.box.bottom) - Math.max(one.box.top, two.box.top);
    if (across > 1 && down > 3) found.push(`${one.text} / ${two.text}`);
  }));
  return found;
}"""


BROKEN_WORDS = """(selector) => {
  const found = [];
  for (const part of document.querySelectorAll(selector)) {
    const walker = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      for (const { 0: word, index } of walker.currentNode.data.matchAll(/[\\w:./]+/g)) {
        const range = document.createRange();
        range.setStart(walker.currentNode, index);
        range.setEnd(walker.currentNode, index + word.length);
        if (new Set([...range.getClientRects()].map(({ top }) => Math.round(top))).size > 1) found.push(word);
      }
    }
  }
  return found;
}"""
"""Words on more than one line."""

CONTRAST = """([text, ground]) => {
  const luminance = (colour) => {
    const parts = colour.match(/\\d+/g).slice(0, 3).map((part) => part / 255);
    const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    const [red, green, blue] = parts.map(linear);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const fill = (selector) => luminance(getComputedStyle(document.querySelector(selector)).fill);
  const [dark, light] = [fill(text), fill(ground)].sort((one, two) => one - two);
  return (light + 0.05) / (dark + 0.05);
}"""


def frame_of(page: Page) -> int:
    return int(page.locator(".plot").get_attribute("aria-valuenow") or "-1")


def place(page: Page) -> dict[str, str]:
    """What the page's address says, once it has settled."""
    page.wait_for_timeout(300)
    fragment = page.evaluate("location.hash")
    return dict(part.split("=", 1) for part in fragment.lstrip("#").split("&") if "=" in part)


def span_of(page: Page) -> int:
    return int(place(page).get("span", hex(1 << 32)), 16)


def bands(page: Page, layer: int) -> list[str]:
    """The kinds of a layer's bands in view, from left to right, with their widths."""
    found: list[str] = page.evaluate(
        """(layer) => [...document.querySelectorAll(`[data-layer="${layer}"] .band`)]
          .map((band) => [Number(band.getAttribute("x")), band.getAttribute("class").split("band-")[1],
                          Number(band.getAttribute("width"))])
          .sort((one, two) => one[0] - two[0]).map(([, kind, width]) => `${kind} ${Math.round(width)}`)""",
        layer,
    )
    return found


def search(page: Page, text: str) -> str:
    page.fill("#search-text", text)
    page.press("#search-text", "Enter")
    return page.locator("#search-answer").inner_text()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_it_opens_without_a_complaint_and_nothing_sticks_out(
    open_page: Open, report: Path, width: int, scheme: str
) -> None:
    page = open_page(report, width=width, scheme=scheme)
    assert page.locator(".answer-bad h2").inner_text().startswith("3.15")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    assert page.evaluate(OVERLAPS) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_tables_break_no_word(open_page: Open, report: Path, width: int) -> None:
    page = open_page(report, width=width)
    assert page.evaluate(BROKEN_WORDS, ".findings .go, .findings td, .bars th, .bars td, .regions td") == []
    findings = page.locator(".scrolled:has(.findings)")
    assert findings.evaluate("(part) => part.scrollWidth <= part.clientWidth")


def test_the_small_map_has_the_patterns_of_the_large_one(open_page: Open, report: Path) -> None:
    page = open_page(report)
    fills = "(parts) => new Set(parts.map((part) => part.getAttribute('fill'))).size"
    patterns: list[str] = page.eval_on_selector_all(
        ".picture pattern", "(all) => all.map(({ id }) => `url(#${id})`)"
    )
    small: list[str] = page.eval_on_selector_all(
        ".small-map rect:not(.window)", "(parts) => parts.map((part) => part.getAttribute('fill'))"
    )
    assert set(small) <= set(patterns)
    assert len(set(small)) == page.eval_on_selector_all(".band", fills) == 3


@pytest.mark.parametrize("scheme", SCHEMES)
def test_names_on_the_e820_can_be_read(open_page: Open, report: Path, scheme: str) -> None:
    page = open_page(report, scheme=scheme)
    assert page.evaluate(CONTRAST, [".on-host-ram", ".host-ram"]) >= 4.5


@pytest.mark.parametrize("width", WIDTHS)
def test_a_hole_of_one_frame_and_the_tail_are_seen_at_once(open_page: Open, report: Path, width: int) -> None:
    page = open_page(report, width=width)
    shown = bands(page, 0)
    kinds = [band.split()[0] for band in shown]
    assert kinds == ["ram", "identity", "ram", "identity", "ram", "identity", "ram", "missing"]
    assert all(int(band.split()[1]) >= 3 for band in shown)


def test_zoom_by_wheel_to_the_hole_and_out_again(open_page: Open, report: Path) -> None:
    page = open_page(report)
    x, y = page.evaluate(
        """() => { const box = [...document.querySelectorAll('[data-layer="0"] .band')]
          .sort((one, two) => one.getAttribute("x") - two.getAttribute("x"))[3].getBoundingClientRect();
          return [box.x + box.width / 2, box.y + 10]; }"""
    )
    page.mouse.click(x, y)
    assert frame_of(page) == HOLE_PFN
    page.mouse.move(x, y)
    spans = []
    for _ in range(90):
        page.mouse.wheel(0, -240)
        page.wait_for_timeout(10)
    spans.append(span_of(page))
    assert spans[0] == 1
    assert frame_of(page) == HOLE_PFN
    assert [band.split()[0] for band in bands(page, 0)] == ["identity"]
    for _ in range(120):
        page.mouse.wheel(0, 240)
        page.wait_for_timeout(10)
    assert "span" not in place(page)
    assert len(bands(page, 0)) == 8


def test_the_place_under_the_pointer_stays_while_zooming(open_page: Open, report: Path) -> None:
    page = open_page(report)
    box = page.locator(".picture").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] * 0.8, box["y"] + 80

    def under() -> int:
        page.mouse.move(x + 1, y)
        page.mouse.move(x, y)
        page.wait_for_timeout(150)
        return int(page.locator("#frame-title .code").inner_text().split()[1], 16)

    before = under()
    for _ in range(6):
        page.mouse.wheel(0, -120)
        page.wait_for_timeout(20)
    after = under()
    now = span_of(page) if "span" in place(page) else 1 << 32
    assert abs(after - before) <= max(now * 0.01, 2)


def test_dragging_moves_the_map(open_page: Open, report: Path) -> None:
    page = open_page(report, f"#pfn={HIGH_PFN:#x}&span=0x10000")
    before = HIGH_PFN - 0x8000
    box = page.locator(".picture").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 700, box["y"] + 80)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 80, steps=5)
    page.mouse.up()
    assert int(place(page)["from"], 16) > before
    assert frame_of(page) == HIGH_PFN


def test_two_fingers_zoom(open_page: Open, report: Path) -> None:
    page = open_page(report, f"#pfn={HIGH_PFN:#x}&span=0x10000", has_touch=True)
    page.evaluate(
        """() => {
          const plot = document.querySelector(".plot");
          const { left, top, width } = plot.getBoundingClientRect();
          plot.setPointerCapture = () => {};
          const send = (type, pointerId, x) => plot.dispatchEvent(new PointerEvent(type, {
            pointerId, pointerType: "touch", button: 0, bubbles: true, clientX: left + x, clientY: top + 80,
          }));
          const middle = width / 2 + 40;
          send("pointerdown", 11, middle - 20); send("pointerdown", 12, middle + 20);
          for (let apart = 20; apart <= 160; apart += 10) {
            send("pointermove", 11, middle - apart); send("pointermove", 12, middle + apart);
          }
          send("pointerup", 11, middle - 160); send("pointerup", 12, middle + 160);
        }"""
    )
    assert span_of(page) < 0x10000 / 4


@pytest.mark.parametrize(
    ("asked", "frame"),
    [
        (hex(HIGH), HIGH_PFN),
        (hex(HIGH + 0x1234), HIGH_PFN + 1),
        ("3.5T", HIGH_PFN),
        ("1G", HOLE_PFN),
        (f"pfn:{HOLE_PFN:#x}", HOLE_PFN),
        ("3b:00.0", HIGH_PFN),
        ("0000:3B:00.0/4", HIGH_PFN + 0x2000),
        ("xp103", HIGH_PFN),
    ],
)
def test_search(open_page: Open, report: Path, asked: str, frame: int) -> None:
    page = open_page(report)
    search(page, asked)
    assert frame_of(page) == frame
    assert place(page)["pfn"] == hex(frame)


def test_moving_to_a_place_ends_there(open_page: Open, report: Path) -> None:
    page = open_page(report, reduced_motion="no-preference")
    for asked, frame in (("1G", HOLE_PFN), ("3b:00.0/4", HIGH_PFN + 0x2000), ("0", 0)):
        search(page, asked)
        page.wait_for_timeout(900)
        at = place(page)
        assert int(at["from"], 16) <= frame < int(at["from"], 16) + int(at["span"], 16) <= frame + 0x20


def test_search_goes_round_and_says_what_it_does_not_find(open_page: Open, report: Path) -> None:
    page = open_page(report)
    assert "1 of 2" in search(page, "3b:00.0")
    assert "2 of 2" in search(page, "3b:00.0")
    assert frame_of(page) == HIGH_PFN + 0x2000
    for asked in ("bogus", "99:00.0", "XP999", "0x" + "f" * 30, "-1"):
        assert "No" in search(page, asked)
        assert frame_of(page) == HIGH_PFN + 0x2000
    for asked in ("16T", "pfn:0x100000000"):
        assert search(page, asked) == f"Not here: {asked}. This page ends at 16 TiB."


def test_a_link_leads_to_the_place_and_back_goes_back(open_page: Open, report: Path) -> None:
    page = open_page(report, f"#pfn={HOLE_PFN:#x}&layer=series&span=0x10&way=sysfs")
    assert frame_of(page) == HOLE_PFN
    assert page.locator(".layers-of-frame tr.selected button").inner_text() == "series"
    assert page.locator(".ways [aria-pressed=true]").inner_text() == "sysfs mmap"
    assert [band.split()[0] for band in bands(page, 1)] == ["ram", "identity", "ram"]
    search(page, "3b:00.0")
    assert place(page)["pfn"] == hex(HIGH_PFN)
    page.go_back()
    page.wait_for_timeout(200)
    assert frame_of(page) == HOLE_PFN
    assert span_of(page) == 0x10
    page.go_forward()
    page.wait_for_timeout(200)
    assert frame_of(page) == HIGH_PFN


@pytest.mark.parametrize(
    "fragment", ["#pfn=", "#pfn=0xfffffffffffffffff", "#pfn=<b>", "#nothing", "#pfn=1&span=-3&layer=%"]
)
def test_a_broken_link_does_no_harm(open_page: Open, report: Path, fragment: str) -> None:
    page = open_page(report, fragment)
    assert frame_of(page) in (HIGH_PFN, 1)


@pytest.mark.parametrize("text", ["", "0xfffffffffffffffff", "-5", "<b>", "0x100000000"])
def test_a_link_to_a_frame_that_is_not_here_says_so(open_page: Open, report: Path, text: str) -> None:
    page = open_page(report, f"#pfn={text}")
    answer = page.locator("#search-answer")
    assert f": pfn:{text}." in answer.inner_text()
    page.evaluate(f"location.hash = '#pfn={HOLE_PFN:#x}'")
    page.wait_for_timeout(200)
    assert frame_of(page) == HOLE_PFN
    assert answer.inner_text() == ""


def test_with_the_keyboard_alone(open_page: Open, report: Path) -> None:
    page = open_page(report)
    for _ in range(60):
        if page.evaluate("document.activeElement.classList.contains('plot')"):
            break
        page.keyboard.press("Tab")
    plot = page.locator(".plot")
    assert page.evaluate("document.activeElement.classList.contains('plot')")
    page.keyboard.press("Home")
    kinds = []
    for _ in range(4):
        kinds.append((plot.get_attribute("aria-valuetext") or "").split(", ")[1])
        page.keyboard.press("ArrowRight")
    assert kinds == ["3.15: RAM", "3.15: 1:1", "3.15: RAM", "3.15: 1:1"]
    page.keyboard.press("ArrowLeft")
    assert frame_of(page) == HOLE_PFN
    page.keyboard.press("Shift+ArrowRight")
    assert frame_of(page) == HOLE_PFN + 1
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("ArrowDown")
    assert place(page)["layer"] == "series"
    page.keyboard.press("f")
    assert span_of(page) == 1
    page.keyboard.press("0")
    assert "span" not in place(page)
    page.keyboard.press("+")
    assert "span" in place(page)
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "entries-title"
    page.keyboard.press("/")
    page.keyboard.type("3b:00.0/4")
    page.keyboard.press("Enter")
    assert frame_of(page) == HIGH_PFN + 0x2000


def test_hovering_tells_of_a_frame_and_leaves_the_chosen_one(open_page: Open, report: Path) -> None:
    page = open_page(report)
    box = page.locator(".picture").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 120, box["y"] + 90)
    page.wait_for_timeout(150)
    text = page.locator("#frame").inner_text()
    assert "guest RAM: the p2m answers with that RAM's machine frames" in text
    assert "only Xen knows" in text
    page.mouse.move(box["x"] + 120, box["y"] - 60)
    page.wait_for_timeout(150)
    assert hex(HIGH_PFN) in page.locator("#frame-title").inner_text()


def test_what_is_said_of_a_frame_has_spaces_between_its_parts(open_page: Open, report: Path) -> None:
    page = open_page(report)
    assert page.locator("#frame-title").text_content() == f"frame {HIGH_PFN:#x} at {HIGH:#x} 3.5 TiB"
    for source in page.locator(".layers-of-frame cite, .steps cite").all():
        assert source.evaluate("(source) => source.previousSibling.data").endswith(" ")


def test_a_missing_frame_has_no_machine_frame_anywhere(open_page: Open, report: Path) -> None:
    page = open_page(report, f"#pfn={HIGH_PFN:#x}&way=io_remap_pfn_range")
    row = page.locator(".layers-of-frame tr", has_text="missing")
    assert "mfn" not in row.inner_text()
    way = page.locator(".way").first
    assert "machine frame" not in way.locator(".bits").inner_text()
    assert way.locator(".bit-frame").inner_text().split("\n")[1] == "none"


@pytest.mark.parametrize("frame", [0x10, 0xA5, HOLE_PFN, 0xE0123, 0x100000, HIGH_PFN + 7, 1 << 31])
def test_entries_are_those_that_the_kernels_write(open_page: Open, report: Path, frame: int) -> None:
    page = open_page(report, f"#pfn={frame:#x}")
    for mapper, button in zip(Mapper, page.locator(".ways button").all(), strict=True):
        button.click()
        for prediction, way in zip(predictions(), page.locator(".way").all(), strict=True):
            found = {pair[0].mapper: pair for pair in map_guest_frame(prediction.guest, frame)}
            mapping, verdict = found[mapper]
            assert verdict.label in way.locator("h4").inner_text()
            value = way.locator(".entry-value")
            if mapping.entry is None:
                assert value.count() == 0
                continue
            if way.locator("p.note").count():
                continue
            assert int(value.inner_text(), 16) == mapping.entry
            set_bits = {int(bit.split("\n")[0]) for bit in way.locator(".bit-set").all_inner_texts()}
            flags = {bit for bit in [*range(12), *range(52, 64)] if mapping.entry >> bit & 1}
            assert flags <= set_bits | set(range(46, 52))
            steps = [step.text for step in mapping.steps]
            assert all(step in way.inner_text() for step in steps)


def test_rows_lead_to_their_places(open_page: Open, report: Path) -> None:
    page = open_page(report)
    page.click(".findings tr[data-code=XP103] td:last-child")
    assert frame_of(page) == HIGH_PFN
    page.click(".regions tr.differs:last-child .go")
    assert frame_of(page) == 0x8000000
    before = page.locator(".regions tbody tr:visible").count()
    page.check("#only-differing")
    assert 0 < page.locator(".regions tbody tr:visible").count() < before


def test_linear_scale_is_true_to_size(open_page: Open, report: Path) -> None:
    page = open_page(report)
    page.click("[data-do=scale]")
    page.wait_for_timeout(100)
    widths = [int(band.split()[1]) for band in bands(page, 0)]
    assert widths[-1] > 0.9 * sum(widths)
    assert place(page)["scale"] == "linear"
    page.click("[data-do=scale]")
    page.wait_for_timeout(100)
    assert min(int(band.split()[1]) for band in bands(page, 0)) >= 3


def test_the_theme_switch(open_page: Open, report: Path) -> None:
    page = open_page(report)
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.click("#theme")
    assert page.evaluate(background) == light
    page.click("#theme")
    assert page.evaluate(background) != light


def test_it_prints_in_light_colours_without_controls(open_page: Open, report: Path) -> None:
    page = open_page(report, scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("#search").is_hidden()
    assert page.locator(".small-map").is_hidden()
    assert len(page.pdf()) > 10_000


def test_the_chosen_way_is_seen_in_forced_colours(open_page: Open, report: Path) -> None:
    page = open_page(report, forced_colors="active")
    outline = "(button) => getComputedStyle(button).outlineStyle"
    assert page.locator(".ways [aria-pressed=true]").evaluate(outline) == "solid"
    assert page.locator(".ways [aria-pressed=false]").first.evaluate(outline) == "none"


def test_ranges_that_differ_are_chosen_without_scripts(browser: Browser, report: Path) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(report.as_uri())
        assert page.locator("#search").is_hidden()
        before = page.locator(".regions tbody tr:visible").count()
        page.check("#only-differing")
        assert 0 < page.locator(".regions tbody tr:visible").count() < before


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [400, 1600])
def test_accessibility_rules_find_nothing_serious(
    open_page: Open, report: Path, width: int, scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(report, width=width, scheme=scheme, bypass_csp=True)
    found = Axe().run(page).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert not serious, json.dumps(
        [(each["id"], [node["html"][:200] for node in each["nodes"][:3]]) for each in serious], indent=1
    )


def hostile_report(text: str) -> str:
    known = RunMap(X86_64, 1 << 27, Kind.IDENTITY, [Run(0, 0x1000, Kind.RAM, 0x7000)])
    untold = [Ambiguous(0x2000, 0x3000, (Kind.IDENTITY, Kind.MISSING), text)]
    layer = read_layer(text, known, untold, rules=rules_for("6.1"), source=[text])
    return render_report(
        Report(
            title=text,
            facts=[text],
            answers=[Answer(text, "warn", text, (Reason(text, text),))],
            layers=[layer],
            remarks=[text],
        )
    )


HOSTILE = [
    "</script><script>document.title = 'gone'; alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"' onfocus=alert(1) autofocus x='",
    "<!--<script>",
    "{{ 7 * 7 }} ${alert(1)} \u2028 \u202e reversed",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_strings_are_texts(open_page: Open, tmp_path: Path, text: str) -> None:
    target = tmp_path / "hostile.html"
    target.write_text(hostile_report(text))
    page = open_page(target, "#pfn=0x2100&layer=" + "x" * 50)
    assert page.title().startswith(" ".join(text.split())[:10])
    assert page.locator("img").count() == 0
    assert page.evaluate("document.querySelectorAll('script').length") == 2
    assert " ".join(text.split())[:20] in " ".join(page.locator("#frame").inner_text().split())
    assert "The map does not tell what this frame is." in page.locator("#entries").inner_text()


def many_runs(count: int) -> Report:
    runs = [Run(3 * index, 3, Kind.RAM, 10_000_000 - 7 * (index * 7919 % count)) for index in range(count)]
    layer = read_layer("domain 0", RunMap(X86_64, 1 << 27, Kind.MISSING, runs), rules=rules_for("6.1"))
    return Report(title="many", facts=[], answers=[Answer("domain 0", "plain", "many runs")], layers=[layer])


def test_a_map_of_a_hundred_thousand_runs_fits_and_answers(open_page: Open, tmp_path: Path) -> None:
    target = tmp_path / "many.html"
    target.write_text(render_report(many_runs(100_000)))
    assert target.stat().st_size < 1_500_000
    page = open_page(target, "#pfn=0x3039")
    mfn = 10_000_000 - 7 * (0x3039 // 3 * 7919 % 100_000) + 0x3039 % 3
    assert hex(mfn) in page.locator(".layers-of-frame").inner_text()


def test_names_of_the_machine_are_where_they_belong(open_page: Open, report: Path) -> None:
    page = open_page(report)
    assert page.locator("h1").inner_text() == MACHINE.name
    shown: Any = page.evaluate(
        "[...document.querySelectorAll('.layer-name')].map((name) => name.textContent)"
    )
    assert shown == ["3.15", "series", "6.1"]
    assert re.fullmatch(r"frame 0x\w+", page.locator("#frame-title .code").inner_text())
