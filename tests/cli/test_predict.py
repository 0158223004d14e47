from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.program import CAPTURES, assert_one_clear_error, run

EXAMPLE = "catalogue:a1e81a7903a5"
"""A Dell Precision T7610: 64-bit BARs above 2 TiB, RAM on both sides of 4 GiB."""

SHORT_LOG = b"""\
[    0.000000] Linux version 5.10.0 (a@b) (gcc) #1 SMP
[    0.000000] BIOS-provided physical RAM map:
[    0.000000] BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable
[    0.000000] BIOS-e820: [mem 0x0000000000100000-0x00000000bfffffff] usable
[    0.000000] BIOS-e820: [mem 0x0000000100000000-0x000000023fffffff] usable
[    0.300000] pci 0000:01:00.0: reg 0x10: [mem 0x3800000000-0x3801ffffff 64bit pref]
"""


def predict_json(*args: str | Path, stdin: bytes = b"") -> Any:
    result = run("predict", *args, "--json", stdin=stdin)
    assert result.status in (0, 1), result
    return json.loads(result.out)


def test_the_demo_says_who_fails_and_why_and_that_the_series_helps() -> None:
    result = run("predict", EXAMPLE, "--kernel", "3.15", "--kernel", "series", "--dom0-mem", "4G")
    assert result.status == 1
    assert "✗ 3.15: 8 of 26 BARs do not map with every driver" in result.out
    assert "past MAX_P2M_PFN (512 GiB): the lookup returns INVALID; fixed by patch 5" in result.out
    assert "✓ series: all 26 BARs map" in result.out
    assert "does not map: io_remap_pfn_range, /dev/mem" in result.out


def test_a_pasted_log_is_enough() -> None:
    result = run("predict", "-", "--kernel", "3.15", stdin=SHORT_LOG)
    assert result.status == 1
    assert "0000:01:00.0/0" in result.out
    assert "past the end of the E820 map: p2m missing; fixed by patch 5" in result.out
    assert run("predict", "-", "--kernel", "6.1", stdin=SHORT_LOG).status == 0


def test_the_json_contract() -> None:
    value = predict_json(EXAMPLE, "--kernel", "3.15", "--dom0-mem", "1G,max:2G")
    assert value["format"] == "xenp2m.prediction/1"
    assert value["kernel"] == "3.15"
    assert value["machine"]["format"] == "xenp2m.machine/1"
    assert len(value["machine"]["e820"]) == 20
    assert value["guest"]["nr_pages"] == 1 << 18
    assert value["guest"]["max_reservation"] == 1 << 19
    assert value["map"]["format"] == "xenp2m.map/1"
    assert sum(run[1] for run in value["map"]["runs"]) == value["map"]["end_pfn"]
    assert value["map"]["beyond"] == "missing"
    assert {"lines", "released", "identity", "remapped", "populated", "freed"} <= value["log"].keys()
    assert value["pages"].keys() == {"mid", "leaf"}
    bar = value["bars"][0]
    assert {"bdf", "index", "start", "size", "verdict", "rule", "mappers"} <= bar.keys()
    assert set(bar["mappers"]) == {"ioremap", "sysfs", "io_remap_pfn_range", "dev_mem", "foreign"}


def test_several_kernels_give_an_array() -> None:
    values = predict_json(EXAMPLE, "--kernel", "3.15", "--kernel", "series:1-5", "--kernel", "6.12")
    assert [value["kernel"] for value in values] == ["3.15", "series:1-5", "6.12"]


def test_a_missing_run_never_carries_an_address() -> None:
    for value in predict_json(EXAMPLE, "--kernel", "3.15", "--kernel", "6.1"):
        for _, _, kind, mfn in value["map"]["runs"]:
            assert mfn is None or kind != "missing"


def test_what_ifs() -> None:
    moved = predict_json(EXAMPLE, "--kernel", "3.15", "--bar", "82:00.0/0=0xd0000000+8M")
    (bar,) = [bar for bar in moved["bars"] if (bar["bdf"], bar["index"]) == ("0000:82:00.0", 0)]
    assert (bar["start"], bar["verdict"]) == (0xD0000000, "maps")
    narrow = predict_json(EXAMPLE, "--kernel", "3.18", "--bits", "32")
    assert narrow["map"]["arch"] == "x86_32"
    domu = predict_json(EXAMPLE, "--kernel", "6.1", "--guest", "domU", "--memory", "1G")
    assert domu["guest"]["type"] == "domU"
    assert domu["guest"]["host_e820"] == [[0, 1 << 30, 1]]
    limited = predict_json(EXAMPLE, "--kernel", "6.1", "--dom0-mem", "4G", "--mem", "2G")
    assert (
        limited["guest"]["e820"]
        != predict_json(EXAMPLE, "--kernel", "6.1", "--dom0-mem", "4G")["guest"]["e820"]
    )


@pytest.mark.parametrize("capture", ["k314-bar", "k316-bar"])
def test_the_failing_scenario_of_the_series_as_it_happened(capture: str) -> None:
    """PCI sysfs mmap worked on both kernels; /dev/mem killed the process on 3.14 and worked on 3.16."""
    value = predict_json(CAPTURES / capture, "--kernel", capture[1] + "." + capture[2:4])
    truth = json.loads((CAPTURES / capture / "truth.json").read_bytes())
    seen = dict(truth["dev_mem"])
    high = [bar for bar in value["bars"] if bar["start"] >= 1 << 32]
    assert len(high) == 2
    for bar in high:
        assert bar["mappers"]["sysfs"] == "maps"
        worked = bool(seen[f"{bar['start']:#018x}"])
        assert bar["mappers"]["dev_mem"] == ("maps" if worked else "fails")
        assert bar["mappers"]["io_remap_pfn_range"] == bar["mappers"]["dev_mem"]


def test_colour_only_on_a_terminal_and_never_against_no_color() -> None:
    assert "\x1b[" not in run("predict", EXAMPLE, "--kernel", "3.15").out
    assert "\x1b[" not in run("predict", EXAMPLE, "--kernel", "3.15", env={"NO_COLOR": "1"}).out


def test_plain_ascii_where_the_terminal_has_nothing_else() -> None:
    result = run("predict", EXAMPLE, "--kernel", "3.15", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert result.status == 1
    assert result.out.isascii()


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_any_width(columns: str) -> None:
    result = run("predict", EXAMPLE, "--kernel", "3.15", "--kernel", "series", env={"COLUMNS": columns})
    assert result.status == 1
    assert max(map(len, result.out.splitlines())) <= int(columns)


def test_bad_input_is_one_clear_line(tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.touch()
    assert_one_clear_error(run("predict", empty), "empty.txt", "empty")
    binary = tmp_path / "binary"
    binary.write_bytes(bytes(range(256)) * 50)
    assert_one_clear_error(run("predict", binary), "binary")
    assert_one_clear_error(run("predict", tmp_path / "absent"), "absent")
    assert_one_clear_error(run("predict", "-", stdin=b"hello\n"), "no memory map")
    wide = SHORT_LOG.replace(b"0x0000000100000000", b"0x10000000100000000")
    assert_one_clear_error(run("predict", "-", stdin=wide), "64 bits")


def test_bad_questions_are_one_clear_line() -> None:
    for args, word in [
        (["--kernel", "tree"], "unknown kernel"),
        (["--kernel", "2.6.18"], "too old"),
        (["--kernel", "series:0-3"], "patches"),
        (["--kernel", "series:9"], "patch 9"),
        (["--dom0-mem", "4Q"], "not a size"),
        (["--memory", "4G"], "--guest domU"),
        (["--guest", "domU"], "--memory"),
        (["--bar", "82:00.0=5"], "--bar"),
        (["--bar", "82:00.0/0=0x1000+0"], "no size"),
        (["--kernel", "6.1", "--bits", "32"], "32-bit"),
    ]:
        assert_one_clear_error(run("predict", EXAMPLE, *args), word)


def test_explain_one_bar_under_two_kernels() -> None:
    result = run("explain", EXAMPLE, "82:00.0/0", "--kernel", "3.15", "--kernel", "series")
    assert result.status == 0
    assert "PTE 0x200" in result.out
    assert "PTE 0x8000021fff000227" in result.out


def test_explain_an_address_a_frame_and_a_function() -> None:
    by_address = run("explain", EXAMPLE, "0x21fff000000", "--kernel", "3.15").out
    assert by_address == run("explain", EXAMPLE, "pfn:0x21fff000", "--kernel", "3.15").out
    unnumbered = run("explain", "catalogue:154fb25ceb86", "0000:00:07.0/?", "--kernel", "3.15")
    assert "BAR 0000:00:07.0/?: 16 KiB at 0x800004000" in unnumbered.out
    function = run("explain", EXAMPLE, "82:00.1", "--kernel", "3.15", "--json")
    assert len(json.loads(function.out)["3.15"]) > 10


def test_explain_what_is_not_there() -> None:
    assert_one_clear_error(run("explain", EXAMPLE, "82:00.0/3"), "no such BAR", "0000:82:00.0/2")
    assert_one_clear_error(run("explain", EXAMPLE, "nowhere"), "neither an address nor a PCI function")


def test_machine_json_goes_out_and_in(tmp_path: Path) -> None:
    target = tmp_path / "machine.json"
    assert run("machine", CAPTURES / "pc-1g", "-o", target).status == 0
    again = run("machine", target)
    assert again.out == target.read_text()
    assert json.loads(again.out)["nr_pages"] == 131072


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    assert_one_clear_error(run("machine", EXAMPLE, "-o", tmp_path / "no/such/folder.json"), "No such file")
    assert list(tmp_path.iterdir()) == []


def test_translate_a_prediction() -> None:
    result = run(
        *("translate", EXAMPLE, "--kernel", "3.15", "--json"),
        *("--pfn", "0x1000", "--phys", "0x21fff000123", "--pte", "0x200", "--make", "0x3800000 PRESENT|RW"),
    )
    answers = json.loads(result.out)
    assert [answer["kind"] for answer in answers] == ["ram", "missing", None, "missing"]
    assert [answer["mfn"] for answer in answers] == [None, None, None, None]
    assert answers[3]["pte"] == 0


def test_translate_with_the_series() -> None:
    answers = json.loads(
        run(
            *("translate", EXAMPLE, "--kernel", "series", "--json"),
            *(
                "--phys",
                "0x21fff000123",
                "--machine",
                "0x21fff000123",
                "--make",
                "0x3800000 PRESENT|RW|USER|NX",
            ),
        ).out
    )
    assert answers[0]["mfn"] == 0x21FFF000
    assert answers[1]["pfn"] == 0x21FFF000
    assert answers[2]["pte"] == 0x8000003800000007


def test_translate_a_map_file(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    frame_map = {
        "format": "xenp2m.map/1",
        "arch": "x86_64",
        "end_pfn": 100,
        "beyond": "identity",
        "runs": [[0, 50, "ram", 5000], [50, 25, "missing", None], [75, 25, "identity", None]],
    }
    path.write_text(json.dumps(frame_map))
    answers = json.loads(
        run("translate", path, "--pfn", "10", "--pfn", "60", "--mfn", "5049", "--mfn", "80", "--json").out
    )
    assert [(answer["pfn"], answer["mfn"]) for answer in answers] == [
        (10, 5010),
        (60, None),
        (49, 5049),
        (80, 80),
    ]
    path.write_text(path.read_text()[:-40])
    assert_one_clear_error(run("translate", path, "--pfn", "10"), "map.json", "JSON")


def test_translate_needs_a_question() -> None:
    assert_one_clear_error(run("translate", EXAMPLE), "nothing to translate")
    assert_one_clear_error(run("translate", EXAMPLE, "--make", "0x1 PRESNT"), "PRESENT")


def test_a_32_bit_capture_is_predicted_for_kernels_without_32_bit_guests() -> None:
    log = SHORT_LOG.replace(b"5.10.0", b"3.0.0") + b"[    0.0] last_pfn = 0x240000 max_arch_pfn = 0x1000000\n"
    narrow = run("machine", "-", stdin=log)
    assert json.loads(narrow.out)["bits"] == 32
    value = predict_json("-", "--kernel", "6.1", stdin=narrow.out.encode())
    assert value["map"]["arch"] == "x86_64"
    assert any("32-bit" in assumption for assumption in value["assumptions"])


DOMU = ("--guest", "domU", "--memory", "4G")


def test_pci_turns_e820_host_on_as_xl_does_and_says_so() -> None:
    value = predict_json(EXAMPLE, "--kernel", "6.1", *DOMU, "--maxmem", "8G", "--pci", "82:00.0,0000:01:00.0")
    assert {bar["bdf"] for bar in value["bars"]} == {"0000:82:00.0", "0000:01:00.0"}
    assert len(value["guest"]["host_e820"]) > 1
    assert any(text.startswith("e820_host=1: xl sets it by itself") for text in value["assumptions"])
    said = predict_json(EXAMPLE, "--kernel", "6.1", *DOMU, "--e820-host", "--pci", "82:00.0")
    assert not any("e820_host" in text for text in said["assumptions"])


def test_a_domu_without_the_hosts_holes_has_ram_over_the_bars() -> None:
    args = (EXAMPLE, "--kernel", "6.1", *DOMU, "--no-e820-host", "--pci", "82:00.0")
    result = run("predict", *args)
    assert result.status == 1
    assert "pcifront cannot claim it, address conflict with System RAM" in " ".join(result.out.split())
    (conflict,) = predict_json(*args)["passthrough"]
    assert (conflict["bdf"], conflict["index"], conflict["cause"]) == ("0000:82:00.0", 6, "plain")


def test_pci_must_be_in_the_captures_and_for_a_domu() -> None:
    unknown = run("predict", EXAMPLE, *DOMU, "--pci", "99:00.0")
    assert_one_clear_error(unknown, "no memory BARs of 0000:99:00.0", "0000:00:05.4")
    assert_one_clear_error(run("predict", EXAMPLE, *DOMU, "--pci", "nic"), "not a PCI address", "'nic'")
    assert_one_clear_error(run("predict", EXAMPLE, "--pci", "82:00.0"), "--pci are for --guest domU")
    assert_one_clear_error(run("predict", EXAMPLE, "--no-e820-host"), "--guest domU")


def test_a_domus_own_log_needs_no_memory_and_a_hosts_does() -> None:
    own = predict_json(CAPTURES / "domu-e820-host/dmesg.txt", "--guest", "domU")
    assert (own["guest"]["type"], own["guest"]["nr_pages"]) == ("domU", 160 << 8)
    assert predict_json(CAPTURES / "domu-e820-host/dmesg.txt", "--guest", "dom0")["guest"]["type"] == "dom0"
    assert_one_clear_error(run("predict", EXAMPLE, "--guest", "domU"), "--guest domU needs --memory")
    partly = run("predict", EXAMPLE, "--guest", "domU", "--maxmem", "1G")
    assert_one_clear_error(partly, "--maxmem, --e820-host and --pci need --memory")
