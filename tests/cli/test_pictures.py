"""``--svg`` and ``--png`` of predict, tree, diff and inspect."""

from __future__ import annotations

import struct
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from cli.program import CAPTURES, DATA, assert_one_clear_error, run

MACHINE = CAPTURES / "bar-512g"
DUMP = DATA / "dumps/small-bar.reduced.elf.zst"


@pytest.mark.parametrize(
    ("args", "status", "title"),
    [
        (["predict", MACHINE, "--kernel", "3.15", "--kernel", "series"], 1, "xen-console.txt"),
        (["tree", MACHINE, "--kernel", "3.16"], 0, "xen-console.txt: p2m under kernel 3.16"),
        (["diff", MACHINE, MACHINE, "--kernel", "3.15", "--kernel", "6.1"], 1, "3.15 and 6.1"),
        (["inspect", DUMP, "--no-mappings"], 0, DUMP.name),
    ],
)
def test_a_picture_is_written_beside_the_output(
    args: list[str | Path], status: int, title: str, tmp_path: Path
) -> None:
    svg = tmp_path / "picture.svg"
    plain, drawn = run(*args), run(*args, "--svg", svg, "--width", "800")
    assert (drawn.status, drawn.err) == (status, "")
    assert drawn.out == plain.out
    root = ET.fromstring(svg.read_bytes())
    assert root.get("width") == "800"
    assert root[0].text == title
    assert [path.name for path in tmp_path.iterdir()] == ["picture.svg"]


def test_a_png_of_a_width_and_a_scheme(tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    light, dark = tmp_path / "light.png", tmp_path / "dark.png"
    for path, scheme in ((light, "auto"), (dark, "dark")):
        args = ("tree", MACHINE, "--kernel", "6.1", "--png", path, "--width", "1600", "--scheme", scheme)
        assert run(*args).status == 0
        assert struct.unpack(">I", path.read_bytes()[16:20]) == (1600,)
    assert light.read_bytes() != dark.read_bytes()


def test_json_and_a_picture_at_once(tmp_path: Path) -> None:
    svg = tmp_path / "picture.svg"
    result = run("predict", MACHINE, "--kernel", "6.1", "--json", "--svg", svg)
    assert result.out == run("predict", MACHINE, "--kernel", "6.1", "--json").out
    assert svg.exists()


def test_a_tree_is_of_one_kernel(tmp_path: Path) -> None:
    svg = tmp_path / "picture.svg"
    result = run("tree", MACHINE, "--kernel", "3.15", "--kernel", "6.1", "--svg", svg)
    assert_one_clear_error(result, "one --kernel")
    assert not svg.exists()


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    result = run("predict", MACHINE, "--svg", tmp_path / "no/such/folder.svg")
    assert_one_clear_error(result, "No such file")


def test_a_width_that_nothing_fits_into_is_refused(tmp_path: Path) -> None:
    result = run("predict", MACHINE, "--svg", tmp_path / "picture.svg", "--width", "20")
    assert_one_clear_error(result, "--width")
