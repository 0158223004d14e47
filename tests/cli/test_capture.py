from __future__ import annotations

import json
from pathlib import Path

from cli.program import DATA, assert_one_clear_error, run

TREES = DATA / "trees"


def test_a_recorded_dom0_can_be_predicted(tmp_path: Path) -> None:
    target = tmp_path / "dom0.json"
    made = run("capture", "--root", TREES / "dom0", "-o", target)
    assert made.status == 0
    assert made.out == ""
    assert "Xen dom0: 8 map entries (xen), 4 BARs" in made.err
    value = json.loads(target.read_text())
    assert value["format"] == "xenp2m.capture/1"
    assert max(map(len, target.read_text().splitlines())) < 400
    predicted = run("predict", target, "--kernel", "6.1", "--json")
    assert predicted.status in (0, 1)
    assert json.loads(predicted.out)["guest"]["nr_pages"] == 1 << 18


def test_what_root_would_add_is_said() -> None:
    result = run("capture", "--root", TREES / "dom0-unprivileged")
    assert result.status == 0
    assert "root would add: Xen's own map and dom0's memory settings" in result.err
    assert "root would add: the start of the kernel log" in result.err


def test_the_text_goes_through_a_pipe() -> None:
    text = run("capture", "--root", TREES / "bare-metal", "--text")
    assert text.status == 0
    result = run("predict", "-", "--kernel", "6.1", stdin=text.out.encode())
    assert result.status == 0
    assert "all 3 BARs map" in result.out


def test_this_machine_is_captured_and_predicted_or_says_what_lacks(tmp_path: Path) -> None:
    target = tmp_path / "here.json"
    made = run("capture", "-o", target)
    assert made.status == 0, made
    predicted = run("predict", target, "--kernel", "6.1")
    if "memory map" in made.err:
        assert_one_clear_error(predicted, "no memory map")
    else:
        assert predicted.status in (0, 1)


def test_a_folder_that_is_no_system(tmp_path: Path) -> None:
    assert_one_clear_error(run("capture", "--root", tmp_path), "no system to read")
    assert_one_clear_error(run("capture", "--root", tmp_path / "absent"), "absent")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    target = tmp_path / "gone" / "x.json"
    assert_one_clear_error(run("capture", "--root", TREES / "dom0", "-o", target), "No such file")
