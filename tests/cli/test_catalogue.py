from __future__ import annotations

import json

import pytest

from cli.program import CAPTURES, assert_one_clear_error, run

T7610 = "a1e81a7903a5"


def test_listing() -> None:
    lines = run("catalogue", "precision").out.splitlines()
    assert lines[0].split() == ["id", "product", "year", "kind", "RAM", "BARs", "BARs", "end"]
    (row,) = [line for line in lines if line.startswith(T7610)]
    assert row.split()[1:] == [
        *("Dell", "Inc.", "Precision", "T7610", "(0NK70N)", "2019", "bios", "192", "GiB", "26", "2.12", "TiB")
    ]
    assert "can be predicted" in lines[-1]
    assert all("recision" in line for line in lines[1:-1])


@pytest.mark.parametrize("columns", [40, 60, 100, 160])
def test_listing_fits(columns: int) -> None:
    lines = run("catalogue", env={"COLUMNS": str(columns)}).out.splitlines()
    assert len(lines) >= 518
    assert max(map(len, lines)) <= columns
    assert any(line.startswith(T7610) for line in lines)
    assert any("linux-btrfs" in line for line in lines) is (columns == 160)


def test_one_machine_in_full() -> None:
    out = run("catalogue", "t7610").out
    assert f"catalogue:{T7610}  Dell Inc. Precision T7610" in out
    assert "linux-btrfs.vger.kernel.org.0: m@5b875b30b7b7f23d" in out
    assert "none recorded" in out
    assert "CC-BY-4.0" in run("catalogue", "C62ACC88C9AE").out
    assert "cannot be predicted: its source left out lines" in run("catalogue", "d58dfde5b065").out


def test_json() -> None:
    value = json.loads(run("catalogue", "--json", "--predictable").out)
    assert value["format"] == "xenp2m.catalogue/1"
    assert len(value["entries"]) == 314
    (entry,) = [entry for entry in value["entries"] if entry["id"] == T7610]
    assert entry["bars"] == 26
    assert entry["bars_end"] == 0x21FFF820000
    assert entry["lack"] == ""
    assert entry["source"]["repo"] == "linux-mailinglist-archives/linux-btrfs.vger.kernel.org.0"


def test_sources() -> None:
    out = run("catalogue", "bsdhw", "--sources").out
    assert "CC BY 4.0" in out
    assert "547410ce0825" in out


def test_no_machine_has_the_words() -> None:
    result = run("catalogue", "no", "such", "machine")
    assert (result.status, result.out) == (1, "")
    assert "no such machine" in result.err


@pytest.mark.parametrize(
    "args",
    [
        ("predict", "--kernel", "3.15"),
        ("check", "--kernel", "3.15"),
        ("explain", "82:00.0/0", "--kernel", "3.15"),
        ("series",),
        ("ledger",),
        ("tree",),
        ("translate", "--phys", "0x21fff000000"),
        ("machine",),
    ],
    ids=lambda args: args[0],
)
def test_every_command_takes_a_machine_of_the_catalogue(args: tuple[str, ...]) -> None:
    result = run(args[0], f"catalogue:{T7610}", *args[1:])
    assert result.status in (0, 1), result.err
    assert result.out


def test_diff_takes_one() -> None:
    assert run("diff", "catalogue:t7610", "catalogue:a1e8").status == 0


def test_errors_are_one_line() -> None:
    assert_one_clear_error(run("predict", "catalogue:a1e81a7903a6"), "no such machine", T7610)
    assert_one_clear_error(run("predict", "catalogue:xps 13"), "several machines")
    assert_one_clear_error(run("predict", "catalogue:d58dfde5b065"), "left out lines of the map")
    assert_one_clear_error(run("check", "catalogue:08a2e8e114de"), "chunks of RAM only")
    assert_one_clear_error(run("predict", f"catalogue:{T7610}", CAPTURES), "whole machine")
    assert_one_clear_error(run("predict", f"catalogue:{T7610}", "--boot", "2"), "--boot")
