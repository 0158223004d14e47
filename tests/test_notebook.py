"""What a notebook shows for the value of a cell."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import xenp2m
from xenp2m.check.findings import Findings, check_capture
from xenp2m.machine import Bar, E820Entry, Machine
from xenp2m.p2m.replay import replay
from xenp2m.runs import RunMap

CAPTURE = Path(__file__).parent / "data/captures/bar-512g"
HOSTILE = '"><script>alert(1)</script>\x00&'


class Page(HTMLParser):
    """The tags, ids and words of a piece of HTML, and whether its tags are closed in order."""

    VOID = frozenset(["br"])

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture(scope="module")
def capture() -> xenp2m.Capture:
    return xenp2m.read_files([CAPTURE])


@pytest.fixture(scope="module")
def prediction(capture: xenp2m.Capture) -> xenp2m.Prediction:
    return xenp2m.predict(capture, "3.15")


@pytest.fixture
def value(request: pytest.FixtureRequest, capture: xenp2m.Capture, prediction: xenp2m.Prediction) -> object:
    return {
        "prediction": prediction,
        "predictions": xenp2m.predict_each(capture, ["3.15", "series"]),
        "machine": capture.machine,
        "guest": prediction.guest,
        "map": prediction.guest.p2m,
        "tree": replay(prediction.guest),
        "list": replay(xenp2m.predict(capture, "6.1").guest),
    }[request.param]


KINDS = ["prediction", "predictions", "machine", "guest", "map", "tree", "list"]


@pytest.mark.parametrize("value", KINDS, indirect=True)
def test_a_value_is_a_picture(value: xenp2m.RunMap) -> None:
    page = Page(value._repr_html_())
    assert page.tags.count("svg") == 1
    assert len(page.ids) == len(set(page.ids))
    assert ET.fromstring(value._repr_svg_()).get("role") == "img"


@pytest.mark.parametrize("value", KINDS, indirect=True)
def test_the_same_value_is_the_same_picture(value: xenp2m.RunMap) -> None:
    assert value._repr_html_() == value._repr_html_()
    assert value._repr_svg_() == value._repr_svg_()


def test_pictures_of_one_notebook_have_ids_of_their_own(prediction: xenp2m.Prediction) -> None:
    first, second = Page(prediction._repr_html_()), Page(prediction.guest._repr_html_())
    assert first.ids
    assert not set(first.ids) & set(second.ids)


def test_a_prediction_says_what_does_not_map(prediction: xenp2m.Prediction) -> None:
    words = Page(prediction._repr_html_()).words
    for verdict in prediction.bars:
        assert (verdict.rule in words) == (verdict.verdict is not xenp2m.Verdict.MAPS)


def test_kernels_are_compared_in_one_picture(capture: xenp2m.Capture) -> None:
    words = Page(xenp2m.predict_each(capture, ["3.15", "series"])._repr_html_()).words
    assert "missing → 1:1" in words
    assert "no kernel" in Page(xenp2m.predict_each(capture, [])._repr_html_()).words


def test_findings_are_a_table_the_worst_first(capture: xenp2m.Capture) -> None:
    found = check_capture(capture, ["3.15"])
    assert isinstance(found, tuple)
    page = Page(found._repr_html_())
    assert page.tags.count("table") == 1
    for finding in found:
        assert finding.code in page.words
        assert finding.message in page.words
    assert page.words.index("error") < page.words.index("warning")
    assert "nothing found" in Page(Findings()._repr_html_()).words


def test_names_are_text_and_nothing_else() -> None:
    machine = Machine(e820=(E820Entry(0, 1 << 32, 1),), bars=(Bar(HOSTILE, 0, 1 << 40, 4096),), name=HOSTILE)
    prediction = xenp2m.predict(machine, "3.15")
    for each in (machine, prediction, check_capture(xenp2m.Capture(machine=machine), ["3.15"])):
        html = each._repr_html_()
        assert "<script" not in html
        assert "script" not in Page(html).tags
    assert "<script>alert(1)</script>" in Page(machine._repr_html_()).words


def test_a_long_map_is_cut_and_says_so() -> None:
    runs = [xenp2m.Run(2 * index, 1, xenp2m.Kind.RAM, None) for index in range(1000)]
    frame_map = RunMap(
        xenp2m.predict(Machine(e820=(E820Entry(0, 1 << 32, 1),)), "6.1").guest.p2m.arch,
        2000,
        xenp2m.Kind.MISSING,
        runs,
    )
    html = frame_map._repr_html_()
    assert "and 1,980 more" in html
    assert len(html) < 100_000


def test_the_painter_is_not_imported_before_a_notebook_asks() -> None:
    code = (
        "import sys, xenp2m.runs, xenp2m.prediction; before = 'xenp2m.draw.notebook' in sys.modules;"
        "from xenp2m.arch import X86_64; from xenp2m.entry import Kind;"
        "xenp2m.runs.RunMap(X86_64, 8, Kind.MISSING, ())._repr_html_();"
        "print(before, 'xenp2m.draw.notebook' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"
