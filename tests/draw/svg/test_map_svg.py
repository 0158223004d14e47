from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from draw.svg.reading import SVG, groups, outside, parsed, texts
from strategies import run_maps
from xenp2m.arch import X86_64
from xenp2m.draw.svg import BarMark, MapRow, map_svg
from xenp2m.draw.svg.colours import COLOURS
from xenp2m.draw.svg.letters import width_of
from xenp2m.draw.svg.ruler import Ruler
from xenp2m.entry import Kind
from xenp2m.machine import E820Entry
from xenp2m.runs import Ambiguous, Run, RunMap
from xenp2m.units import GIB, PAGE_SHIFT

HOST = (E820Entry(0, 2 * GIB, 1), E820Entry(3 * GIB, 4 * GIB, 2), E820Entry(4 * GIB, 16 * GIB, 1))
MAX = X86_64.max_p2m_pfn
EM = 18.0


def frames(address: int) -> int:
    return address >> PAGE_SHIFT


def frame_map(beyond: Kind) -> RunMap:
    runs = [
        Run(0, frames(2 * GIB), Kind.RAM, None),
        Run(frames(2 * GIB), frames(2 * GIB), Kind.IDENTITY, None),
    ]
    if beyond is Kind.IDENTITY:
        runs.append(Run(frames(16 * GIB), MAX - frames(16 * GIB), Kind.IDENTITY, None))
    return RunMap(X86_64, MAX, beyond, runs)


def rows() -> list[MapRow]:
    near, far = 3 * GIB, 1024 * GIB
    bad = [BarMark(near, "0000:01:00.0/0", True), BarMark(far, "0000:02:00.0/2", False)]
    good = [BarMark(near, "0000:01:00.0/0", True), BarMark(far, "0000:02:00.0/2", True)]
    return [
        MapRow("3.15", frame_map(Kind.MISSING), (), bad, "1 of 2 BARs does not map", good=False),
        MapRow("series", frame_map(Kind.IDENTITY), (), good, "all map", good=True),
    ]


def draw(width: int = 1600) -> ET.Element:
    root = parsed(map_svg(rows(), title="machine", subtitle="16 GiB", host=HOST, width=width))
    assert not outside(root)
    return root


def ruler(width: int = 1600) -> Ruler:
    return Ruler.to(1024 * GIB, EM * 1.4, width - EM * 2.8, EM)


def filled(group: ET.Element, kind: str) -> list[tuple[float, float]]:
    """Return from where to where a row is filled with the pattern of a kind."""
    return [
        (float(rect.get("x", "")), float(rect.get("x", "")) + float(rect.get("width", "")))
        for rect in group.iter(f"{SVG}rect")
        if rect.get("fill", "").endswith(f"-{kind})")
    ]


def test_kinds_lie_where_their_addresses_are() -> None:
    before, after = groups(draw(), "row")
    (low,) = filled(before, "identity")
    assert low[0] == pytest.approx(ruler().at(2 * GIB), abs=1.1)
    assert low[1] == pytest.approx(ruler().at(4 * GIB), abs=1.1)
    assert filled(before, "missing")[0][0] == pytest.approx(ruler().at(4 * GIB), abs=1.1)
    high = filled(after, "identity")[1]
    assert high[0] == pytest.approx(ruler().at(16 * GIB), abs=1.1)


def test_past_its_end_a_map_is_thinner() -> None:
    (row, _) = groups(draw(), "row")
    heights = [
        float(rect.get("height", "")) for rect in row.iter(f"{SVG}rect") if "missing" in rect.get("fill", "")
    ]
    assert heights[-1] < heights[0]


def test_maps_are_joined_where_they_differ_and_only_there() -> None:
    root = draw()
    bands = [rect for group in groups(root, "link") for rect in group.iter(f"{SVG}rect")]
    (band,) = bands
    assert float(band.get("x", "")) == pytest.approx(ruler().at(16 * GIB), abs=1.1)
    assert "missing → 1:1" in texts(root)
    apart = map_svg(rows(), title="m", host=HOST, width=1600, linked=False)
    assert not [rect for group in groups(parsed(apart), "link") for rect in group.iter(f"{SVG}rect")]


def test_bars_have_their_place_name_and_verdict() -> None:
    root = draw()
    assert len(groups(root, "bar")) == 4
    assert texts(root).count("02:00.0/2") == 2
    titles = [group.findtext(f"{SVG}title") for group in groups(root, "bar")]
    assert "0000:02:00.0/2 at 0x10000000000" in titles
    colours = [mark[1].get("fill") for mark in groups(root, "bar")]
    assert colours.count(COLOURS["missing"].light) == 1


def test_bars_that_are_near_are_one_mark_and_the_worst_counts() -> None:
    marks = [BarMark(5 * GIB + index, f"b{index}", index != 3) for index in range(7)]
    root = parsed(map_svg([MapRow("k", frame_map(Kind.MISSING), (), marks)], title="m"))
    (mark,) = groups(root, "bar")
    assert "1 of 7 BARs" in texts(root)
    assert (mark.findtext(f"{SVG}title") or "").count("\n") == 6


def test_a_small_hole_is_seen_below_the_strip() -> None:
    whole, hole = 1 << 20, 1 << 19
    runs = [Run(0, hole, Kind.RAM, None), Run(hole + 1, whole - hole - 1, Kind.RAM, None)]
    with_hole = RunMap(X86_64, whole, Kind.MISSING, runs)
    row = groups(parsed(map_svg([MapRow("k", with_hole)], title="m")), "row")[0]
    marks = [rect for rect in row.iter(f"{SVG}rect") if rect.get("class") == "xp-f-missing"]
    assert len(marks) == 1


def test_what_cannot_be_told_has_a_look_of_its_own() -> None:
    unknown = Ambiguous(frames(16 * GIB), frames(64 * GIB), (Kind.MISSING, Kind.IDENTITY), "no symbols")
    root = parsed(map_svg([MapRow("k", frame_map(Kind.MISSING), [unknown])], title="m"))
    assert filled(groups(root, "row")[0], "untold")
    assert "cannot tell" in texts(root)


@pytest.mark.parametrize("width", [400, 600, 1000, 1600, 4000])
def test_labels_of_the_axis_do_not_overlap(width: int) -> None:
    root = draw(width)
    (axis,) = groups(root, "axis")
    places = []
    for element in axis.iter(f"{SVG}text"):
        left, size = float(element.get("x", "")), float(element.get("font-size", ""))
        places.append((left, left + width_of(element.text or "", size, mono=True)))
    assert len(places) >= 4
    assert all(a[1] < b[0] for a, b in pairwise(places))


def test_only_an_e820_map_with_bars_that_nobody_judged() -> None:
    root = parsed(map_svg((), title="m", host=HOST, bars=[BarMark(3 * GIB, "0000:01:00.0/0", None)]))
    assert not groups(root, "row")
    assert "BAR" in texts(root)
    assert "BAR maps, whichever way" not in texts(root)


def test_names_are_text_and_nothing_else() -> None:
    hostile = '"><script>alert(1)</script>\x00]]>'
    marks = [BarMark(GIB, hostile, False)]
    svg = map_svg(
        [MapRow(hostile, frame_map(Kind.MISSING), (), marks, hostile)], title=hostile, subtitle=hostile
    )
    root = parsed(svg)
    assert not list(root.iter(f"{SVG}script"))
    assert "<script" not in svg


@settings(max_examples=40, deadline=None)
@given(st.lists(run_maps(end_pfn=1 << 20), min_size=1, max_size=3), st.integers(400, 2000))
def test_any_maps_are_a_picture(maps: list[RunMap], width: int) -> None:
    root = parsed(map_svg([MapRow(f"k{i}", each) for i, each in enumerate(maps)], title="m", width=width))
    assert not outside(root)
    assert len(groups(root, "row")) == len(maps)


def test_the_description_says_where_each_kind_is() -> None:
    runs = [Run(0, 8, Kind.RAM, 5), Run(8, 8, Kind.RAM, 50), Run(16, 16, Kind.IDENTITY, None)]
    row = MapRow("6.1", RunMap(X86_64, 64, Kind.MISSING, runs), remark="all is well")
    said = parsed(map_svg([row], title="m", subtitle="s")).findtext(f"{SVG}desc")
    assert said == (
        "s. 6.1: all is well; RAM from 0x0, 64 KiB; 1:1 from 0x10000, 64 KiB; missing from 0x20000, 128 KiB; "
        "past 0x40000 missing"
    )
    assert "m: past 0x0 1:1" in map_svg([MapRow("m", RunMap(X86_64, 0, Kind.IDENTITY, ()))], title="m")


def test_a_map_of_many_runs_stays_small() -> None:
    runs = [Run(2 * index, 1, Kind.RAM, None) for index in range(100_000)]
    many = RunMap(X86_64, 200_000, Kind.MISSING, runs)
    svg = map_svg([MapRow("k", many)], title="m")
    assert len(svg) < 200_000
    assert "199,960 more pieces" in svg


def contrast(a: str, b: str) -> float:
    def light(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(a), light(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["paper", "page", "link"])
@pytest.mark.parametrize("role", ["ink", "dim", "ram", "identity", "foreign", "missing", "untold"])
def test_texts_can_be_read(role: str, ground: str, scheme: str) -> None:
    assert contrast(getattr(COLOURS[role], scheme), getattr(COLOURS[ground], scheme)) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_can_be_seen(scheme: str) -> None:
    assert contrast(getattr(COLOURS["line"], scheme), getattr(COLOURS["paper"], scheme)) >= 3
