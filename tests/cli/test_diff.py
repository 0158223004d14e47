"""``xenp2m diff``: the prediction from a capture is what the dump of the same boot holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.program import CAPTURES, DATA, assert_one_clear_error, run

DUMPS = DATA / "dumps"
BOOTS = [("k314-bar", "3.14"), ("k316-bar", "3.16"), ("ovmf-q35", "6.1")]


def dump(name: str) -> Path:
    return DUMPS / f"{name}.reduced.elf.zst"


@pytest.mark.parametrize(("name", "kernel"), BOOTS)
def test_prediction_and_dump_of_the_same_boot(name: str, kernel: str) -> None:
    result = run("diff", CAPTURES / name, dump(name), "--kernel", kernel, "--json")
    assert (result.status, result.err) == (0, "")
    value = json.loads(result.out)
    assert value["format"] == "xenp2m.diff/1"
    assert value["same"]
    assert value["pieces"] == value["counts"] == []
    assert not value["mfns_compared"]
    assert run("diff", CAPTURES / name, dump(name)).status == 0  # by the kernel that the capture names


@pytest.mark.parametrize("name", ["small-bar", "domu-live"])
def test_dump_and_truth(tmp_path: Path, name: str) -> None:
    truth = json.loads(dump(name).with_name(f"{dump(name).name}.truth.json").read_text())
    for domain in truth.get("domains", [truth]):
        rows = [[pfn, count, kind, None] for pfn, count, kind, _ in domain["runs"]]
        end = rows[-1][0] + rows[-1][1]
        value = {
            "format": "xenp2m.map/1",
            "arch": "x86_64",
            "end_pfn": end,
            "beyond": "identity",
            "runs": rows,
        }
        (tmp_path / "truth").write_text(json.dumps(value))
        result = run("diff", tmp_path / "truth", dump(name), "--domain", str(domain["domain"]))
        assert (result.status, result.err) == (0, "")


def test_another_kernel_differs() -> None:
    result = run("diff", CAPTURES / "k316-bar", dump("k316-bar"), "--kernel", "3.15")
    assert result.status == 1
    assert "different: all from 0x1ffe0000 on" in result.out
    assert "✗" in result.out
    value = json.loads(run("diff", CAPTURES / "k316-bar", dump("k316-bar"), "--kernel", "3.15", "--json").out)
    pieces = [[start, end, a, b] for start, end, a, b, _ in value["pieces"]]
    assert pieces == [[131040, 1 << 52, ["missing", None], ["identity", None]]]


def test_forms_of_one_machine() -> None:
    forms = sorted(DUMPS.glob("small-bar.*.zst"))
    assert len(forms) == 3
    for other in forms[1:]:
        result = run("diff", forms[0], other, "--json")
        assert result.status == 0
        assert json.loads(result.out)["mfns_compared"]


def test_two_dumps_differ_in_machine_frames() -> None:
    result = run("diff", dump("k314-bar"), dump("k316-bar"), "--json")
    assert result.status == 1
    counts = {(a, b): frames for a, b, _, frames in json.loads(result.out)["counts"]}
    assert counts["missing", "identity"] > 1 << 26
    only_kinds = run("diff", dump("k314-bar"), dump("k316-bar"), "--ignore-mfns", "--json")
    assert {(a, b) for a, b, _, _ in json.loads(only_kinds.out)["counts"]} == {("missing", "identity")}


def test_files_of_every_kind(tmp_path: Path) -> None:
    source = dump("k316-bar")
    (tmp_path / "prediction").write_text(
        run("predict", CAPTURES / "k316-bar", "--kernel", "3.16", "--json").out
    )
    (tmp_path / "inspection").write_text(run("inspect", source, "--no-mappings", "--json").out)
    run("inspect", source, "--no-mappings", "--map", tmp_path / "map")
    for one in ("prediction", "inspection", "map"):
        for other in ("prediction", "inspection", "map"):
            assert run("diff", tmp_path / one, tmp_path / other).status == 0


def test_two_kernels_on_one_machine() -> None:
    capture = CAPTURES / "pc-1g"
    assert run("diff", capture, capture, "--kernel", "series", "--kernel", "3.16").status == 0
    result = run("diff", capture, capture, "--kernel", "3.15", "--kernel", "series")
    assert result.status == 1
    assert "series" in result.out


def test_cannot_tell(tmp_path: Path) -> None:
    value = {"format": "xenp2m.map/1", "arch": "x86_64", "end_pfn": 8, "beyond": "missing"}
    known = value | {"runs": [[0, 8, "missing", None]], "ambiguous": [[2, 5, ["identity", "missing"], "why"]]}
    (tmp_path / "a").write_text(json.dumps(value | {"runs": [[0, 8, "missing", None]]}))
    (tmp_path / "b").write_text(json.dumps(known))
    result = run("diff", tmp_path / "a", tmp_path / "b")
    assert result.status == 2
    assert "cannot tell: 3 frames" in result.err
    assert result.err.count("\n") == 1
    assert "?" in result.out


def test_bad_usage(tmp_path: Path) -> None:
    assert_one_clear_error(run("diff", "absent", "absent"), "absent")
    assert_one_clear_error(run("diff", dump("k316-bar")), "B")
    several = tmp_path / "several"
    several.write_text(
        run("predict", CAPTURES / "pc-1g", "--kernel", "3.15", "--kernel", "3.16", "--json").out
    )
    assert_one_clear_error(run("diff", several, several), "several predictions")
    assert_one_clear_error(run("diff", several, several, *["--kernel", "3.15"] * 3), "twice")
    assert_one_clear_error(run("diff", dump("domu-live"), dump("domu-live"), "--domain", "9"), "no domain 9")


def test_live_outside_a_pv_guest() -> None:
    if Path("/sys/hypervisor/type").exists():
        pytest.skip("this machine is a guest of Xen")
    assert_one_clear_error(run("diff", "live", CAPTURES / "pc-1g"), "not a Xen guest")
