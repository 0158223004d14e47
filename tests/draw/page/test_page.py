"""The file itself: nothing from outside, nothing that runs but its own script, every string a text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from draw.page.machines import MACHINE, page, predictions
from xenp2m.capture import Note, Severity
from xenp2m.check.diff import Side, diff_maps
from xenp2m.draw.page import assets, diff_page, predictions_page
from xenp2m.prediction import predict

ASSETS = Path(assets.__file__).parent / "assets"
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'{{7*7}}"


def data_of(text: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_the_policy_allows_exactly_the_two_parts() -> None:
    text = page()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    for tag in ("style", 'script type="module"'):
        found = re.search(f"<{tag}>(.*?)</{tag.split()[0]}>", text, re.DOTALL)
        assert found is not None
        digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
        assert f"sha256-{digest}" in policy[1].replace("&#39;", "'")
    assert "default-src 'none'" in policy[1].replace("&#39;", "'")
    assert "unsafe" not in policy[1]


def test_nothing_is_fetched_and_nothing_is_inline() -> None:
    text = page()
    without = text.replace("http://www.w3.org/2000/svg", "")
    assert not re.findall(r"(?:https?:)?//[a-z][\w.-]+\.[a-z]{2,}", without)
    assert not re.findall(r"<[a-z][^>]*\s(?:style|on\w+)=", text)
    assert not re.findall(r"@import|url\((?!#|\"?data:)", text)


def test_strings_from_captures_are_only_ever_text() -> None:
    first, *others = predictions()
    bad = replace(
        first, machine=replace(MACHINE, name=HOSTILE), notes=(Note(Severity.WARNING, HOSTILE, HOSTILE),)
    )
    text = predictions_page([bad, *others], [])
    assert "<img" not in text
    assert "alert(1)</script>" not in text
    assert "49" not in re.findall(r"<h1>.*?</h1>", text)[0]
    assert data_of(text)["format"] == "xenp2m.page/1"


def test_a_hostile_name_of_a_layer_is_in_the_data_as_it_is() -> None:
    known = predict(MACHINE, "6.1").guest.p2m
    sides = Side(HOSTILE, known), Side("other", known)
    text = diff_page(diff_maps(*sides), [None, None])
    assert "<img" not in text
    assert data_of(text)["layers"][0]["name"] == HOSTILE


def test_data_has_every_run_every_bar_and_a_reason_for_every_frame() -> None:
    found = predictions()
    data = data_of(page())
    assert [layer["name"] for layer in data["layers"]] == ["3.15", "series", "6.1"]
    for layer, prediction in zip(data["layers"], found, strict=True):
        assert layer["whole"]
        assert sum(layer["runs"]["pages"]) == prediction.guest.p2m.end_pfn
        assert layer["pieces"]["starts"][0] == 0
    assert [row[0] for row in data["bars"]] == [bar.label for bar in MACHINE.bars]
    assert [row[5] for row in data["bars"]][1] == ["fails", "maps", "maps"]


def test_scripts_are_small_files_and_cannot_end_themselves() -> None:
    for path in sorted(ASSETS.glob("*.js")):
        text = path.read_text()
        assert len(text.splitlines()) < 400, path.name
        assert "</script" not in text
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), (
            path.name
        )
    names = {path.name for path in ASSETS.glob("*.js")}
    assert {*assets.BASE_SCRIPTS, *assets.MAP_SCRIPTS} <= names


def test_the_answer_stands_before_the_map_and_names_rule_and_kernel() -> None:
    text = page()
    answers = text[text.index('class="answers"') : text.index('id="map"')]
    assert "2 of 3 BARs do not map with every driver" in answers
    assert "past MAX_P2M_PFN (512 GiB): the lookup returns INVALID; fixed by patch 5" in answers
    assert answers.count("all 3 BARs map, whichever way a driver maps them") == 2


@pytest.mark.parametrize("kernels", [("3.15",), ("3.15", "6.1")])
def test_differences_are_offered_only_where_there_are_two_layers(kernels: tuple[str, ...]) -> None:
    text = page(kernels)
    assert ("only-differing" in text.split("</style>")[1].split("<script")[0]) == (len(kernels) > 1)
