"""``xenp2m audit`` on reduced real dumps: nothing is wrong in them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.program import CAPTURES, DATA, assert_one_clear_error, run

DUMPS = DATA / "dumps"
NAMES = sorted(path.name.removesuffix(".truth.json") for path in DUMPS.glob("*.truth.json"))


@pytest.mark.parametrize("name", NAMES)
def test_real_dumps(name: str) -> None:
    result = run("audit", DUMPS / name, "--format", "json")
    assert (result.status, result.err) == (0, "")
    value = json.loads(result.out)
    assert value["format"] == "xenp2m.audit/1"
    assert {finding["severity"] for finding in value["findings"]} <= {"info"}
    codes = {(finding["domain"], finding["code"]): finding["count"] for finding in value["findings"]}
    if name.startswith("domu-live"):
        assert codes == {("1", "XA201"): 40960, ("1", "XA202"): 111616}
    elif name.startswith("k314"):
        assert codes == {("0", "XA305"): 11}
    elif name.startswith("u1"):
        assert codes == {("?", "XA201"): 40960}
    else:
        assert codes == {}


def test_for_people() -> None:
    result = run("audit", DUMPS / "domu-live.reduced.elf.zst", "--domain", "1")
    assert result.status == 0
    assert "domain 1" in result.out
    assert "domain 0" not in result.out
    assert "XA201" in result.out
    assert "nothing wrong" in result.out


def test_damaged_copy(tmp_path: Path) -> None:
    """A p2m page of the dump is overwritten: its frames are not those of the M2P any more."""
    import zstandard

    data = bytearray(zstandard.ZstdDecompressor().decompressobj().decompress((DUMPS / NAMES[1]).read_bytes()))
    truth = json.loads((DUMPS / f"{NAMES[1]}.truth.json").read_text())
    first = truth["runs"][0][3]
    at = data.find(first.to_bytes(8, "little") + (first + 1).to_bytes(8, "little"))
    assert at > 0
    data[at : at + 8] = (first + 77).to_bytes(8, "little")
    (tmp_path / "dump").write_bytes(data)
    result = run("audit", tmp_path / "dump")
    assert result.status == 1
    assert "XA101" in result.out
    assert "XA103" in result.out


def test_bad_usage() -> None:
    assert_one_clear_error(run("audit", "absent"), "cannot read")
    assert_one_clear_error(run("audit", CAPTURES / "pc-1g/dmesg.txt"), "not a known dump")
    assert_one_clear_error(run("audit"), "DUMP")
