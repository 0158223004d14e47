"""``xenp2m ledger`` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.program import CAPTURES, assert_one_clear_error, run

EXAMPLE = "catalogue:a1e81a7903a5"
"""A Dell Precision T7610: 64-bit BARs above 2 TiB, RAM on both sides of 4 GiB."""
FOLDER = CAPTURES / "pc-1g"


def ledger_json(*args: str | Path, status: int = 0) -> Any:
    result = run("ledger", *args, "--json")
    assert result.status == status, result
    return json.loads(result.out)


def test_every_line_is_named_counted_and_explained() -> None:
    result = run("ledger", FOLDER)
    assert result.status == 0
    assert "✓ 6.1.0-56-amd64: every view balances to the page" in result.out
    assert "host RAM by the map 262016 (1023.5 MiB) 1073216512 bytes" in " ".join(result.out.split())
    assert "remapped: moved out of holes" in result.out
    assert "balloon space (missing)" in result.out
    assert "balloon: low + high" in result.out
    assert "✓ agrees" in result.out
    assert "✗" not in result.out


def test_the_json_contract() -> None:
    value = ledger_json(FOLDER)
    assert value["format"] == "xenp2m.ledger/1"
    assert value["balances"] is True
    assert value["imbalances"] == value["findings"] == []
    assert [account["name"] for account in value["accounts"]] == [
        "host",
        "domain",
        "growth",
        "frames",
        "p2m",
        "slots",
    ]
    for account in value["accounts"]:
        assert account["imbalance_pages"] == 0
        assert account["total_bytes"] == account["total_pages"] * 4096
        assert sum(line["pages"] for line in account["lines"]) == account["total_pages"]
    assert {row["agreement"] for row in value["comparisons"]} == {"agrees", "explained"}


def test_several_kernels_side_by_side() -> None:
    values = ledger_json(FOLDER, "--kernel", "3.15", "--kernel", "series", "--kernel", "6.1")
    assert [value["kernel"] for value in values] == ["3.15", "series", "6.1"]
    assert [bool(value["comparisons"]) for value in values] == [False, False, True]
    text = run("ledger", FOLDER, "--kernel", "3.15", "--kernel", "series", "--kernel", "6.1").out
    header = next(line for line in text.splitlines() if line.startswith("Host RAM"))
    assert header.split()[2:] == ["3.15", "series", "6.1"]


def test_figures_are_not_compared_with_another_memory_size() -> None:
    assert ledger_json(FOLDER, "--dom0-mem", "256M")["comparisons"] == []


def test_a_figure_that_differs_is_found(tmp_path: Path) -> None:
    for name in ("xen-console.txt", "memmap.txt", "dmesg.txt"):
        (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    (tmp_path / "balloon.txt").write_text("/sys/devices/system/xen_memory/x/info/current_kb: 4\n")
    (row, *_) = ledger_json(tmp_path, status=1)["comparisons"]
    assert (row["agreement"], row["recorded_pages"]) == ("differs", 1)
    assert "✗ differs by -131071" in run("ledger", tmp_path).out


def test_pages_that_an_old_kernel_loses() -> None:
    result = run("ledger", EXAMPLE, "--kernel", "3.15", "--dom0-mem", "4G", "--mem", "2G")
    assert result.status == 1
    assert "RAM cut off by mem=" in result.out


def test_a_domu() -> None:
    value = ledger_json(EXAMPLE, "--guest", "domU", "--memory", "4G", "--maxmem", "8G", "--e820-host")
    domain = next(account for account in value["accounts"] if account["name"] == "domain")
    assert domain["total_pages"] == 1 << 20


@pytest.mark.parametrize("width", ["30", "60", "79", "100", "200"])
def test_narrow_and_wide(width: str) -> None:
    for kernels in (["--kernel", "6.1"], ["--kernel", "3.15", "--kernel", "6.1", "--kernel", "series:1-5"]):
        result = run("ledger", FOLDER, *kernels, env={"COLUMNS": width})
        assert result.status == 0, result.err


def test_a_plain_terminal() -> None:
    out = run("ledger", FOLDER, env={"PYTHONIOENCODING": "ascii"}).out
    assert "✓" not in out
    assert "every view balances to the page" in out


def test_figures_alone_cannot_be_used() -> None:
    assert_one_clear_error(run("ledger", FOLDER / "meminfo.txt"), "no memory map", "memory figures")
