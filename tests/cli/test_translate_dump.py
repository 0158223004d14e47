"""``xenp2m translate`` on dumps: real machine frames, and the host's M2P."""

from __future__ import annotations

import json
from typing import Any

from cli.program import DATA, run

HOST = DATA / "dumps/domu-live.reduced.elf.zst"
CORE = DATA / "dumps/u1.reduced.core.zst"


def answers(*args: str) -> list[dict[str, Any]]:
    result = run("translate", *args, "--json")
    assert (result.status, result.err) == (0, "")
    found: list[dict[str, Any]] = json.loads(result.out)
    return found


def test_frames_of_dom0() -> None:
    ram, hole, foreign, back = answers(
        str(HOST), "--pfn", "0", "--pfn", "128097", "--pfn", "2260990", "--mfn", "196608"
    )
    assert (ram["kind"], ram["mfn"]) == ("ram", 196608)
    assert (hole["kind"], hole["mfn"]) == ("missing", None)
    assert (foreign["kind"], foreign["mfn"]) == ("foreign", 0x1DC02)
    assert (back["kind"], back["pfn"]) == ("ram", 0)


def test_frames_of_another_domain() -> None:
    other, own = (answers(str(HOST), "--domain", domid, "--mfn", "231424")[0] for domid in ("0", "1"))
    assert other["pfn"] is None
    assert "another domain" in other["answer"]
    assert own["pfn"] == 0


def test_entries() -> None:
    (machine,) = answers(str(CORE), "--pte", f"{(231424 << 12) | 0x67:#x}")
    assert machine["pfn"] == 0
    (made,) = answers(str(CORE), "--make", "0x3 PRESENT|RW")
    assert made["mfn"] == 231427
    (tail,) = answers(str(CORE), "--kernel", "6.1", "--make", "0x3800000 PRESENT|RW")
    assert (tail["kind"], tail["mfn"]) == ("identity", 0x380_0000)
