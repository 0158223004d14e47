"""Each code of the audit, provoked in a written dump; and nothing found in one that is well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from writers import containers as write
from writers.guest import Guest, Shape, write_guest
from writers.host import Host, write_host
from xenp2m.arch import X86_64
from xenp2m.check.audit import CODES, Audit, audit
from xenp2m.check.findings.model import Severity
from xenp2m.dump import inspect, layout, open_dump
from xenp2m.entry import NO_MFN, Kind
from xenp2m.runs import Run, RunMap

BASE = 4096
"""A machine frame above the guest frames: most of the guest's RAM is from there on."""


def guest_map(base: int = BASE, *extra: Run, low: int = 64) -> RunMap:
    runs = [
        Run(0, 160, Kind.RAM, low),
        Run(160, 96, Kind.IDENTITY, None),
        Run(256, 400, Kind.RAM, base + 200),
    ]
    runs += extra
    at = max(run.end for run in runs)
    tail = max(at, 1024)
    return RunMap(X86_64, 1 << 27, Kind.IDENTITY, [*runs, Run(tail, (1 << 27) - tail, Kind.IDENTITY, None)])


def enter(guest: Guest, va: int, entry: int) -> None:
    """Write a page table entry, with tables in RAM that nothing else uses."""
    used = set(guest.pages)
    spare = iter(mfn for mfn in range(70, 200) if mfn not in used)
    at = guest.cr3
    for shift in (39, 30, 21):
        index = (va >> shift) & 511
        if not int(guest.pages[at][index]) & 1:
            below = next(spare)
            guest.pages[below] = guest.pages[guest.cr3] * 0
            guest.pages[at][index] = (below << 12) | 0x67
        at = (int(guest.pages[at][index]) & layout.FRAME_MASK) >> 12
    guest.pages[at][(va >> 12) & 511] = entry


def of_host(tmp_path: Path, host: Host, change: Callable[[bytes], bytes] = bytes) -> Audit:
    path = tmp_path / "dump"
    path.write_bytes(change(write.elf_dump(host.pages, write.qemu_notes(host.root))))
    return audit(inspect(open_dump(path)))


def well() -> Guest:
    return write_guest(guest_map(), Shape.LIST)


def codes(result: Audit) -> dict[str, int]:
    return {finding.code: finding.count for finding in result.findings}


def m2p_word(host: Host, mfn: int) -> tuple[int, int]:
    """Find the page and the index of a word of the M2P."""
    table = host.root
    va = layout.RW_M2P_START + mfn * 8
    for shift in (39, 30, 21, 12):
        table = (int(host.pages[table][(va >> shift) & 511]) & layout.FRAME_MASK) >> 12
    return table, mfn & 511


def test_nothing_is_wrong(tmp_path: Path) -> None:
    result = of_host(tmp_path, write_host([well()]))
    assert result.exit_status == 0
    assert codes(result) == {"XA201": 464}
    assert result.scope[0][0] == "0"
    assert any("560 RAM frames" in part for part in result.scope[0][1])


def test_m2p_that_disagrees(tmp_path: Path) -> None:
    host = write_host([well()])
    for mfn, word in ((67, 77), (68, NO_MFN), (69, NO_MFN)):
        page, index = m2p_word(host, mfn)
        host.pages[page][index] = word
    result = of_host(tmp_path, host)
    found = codes(result)
    assert (found["XA101"], found["XA102"]) == (1, 2)
    assert result.exit_status == 1
    (first,) = (each for each in result.findings if each.code == "XA101")
    assert first.where == "pfn 0x3 (mfn 0x43)"
    assert first.severity is Severity.ERROR
    assert first.remedy


def test_a_frame_used_twice(tmp_path: Path) -> None:
    known = guest_map(BASE, Run(700, 5, Kind.RAM, BASE + 210))
    found = codes(of_host(tmp_path, write_host([write_guest(known, Shape.LIST)])))
    assert found["XA103"] == 5
    assert found["XA101"] == 5


def test_a_frame_of_two_domains(tmp_path: Path) -> None:
    second = RunMap(
        X86_64,
        1 << 27,
        Kind.IDENTITY,
        [Run(0, 40, Kind.RAM, BASE + 220), Run(256, 400, Kind.RAM, BASE + 900)],
    )
    result = of_host(tmp_path, write_host([well(), write_guest(second, Shape.LIST)]))
    assert codes(result)["XA104"] == 40
    assert {each.domain for each in result.findings if each.code == "XA105"} == {"0"}
    assert next(each.count for each in result.findings if each.code == "XA105") == 40


def test_numbers_of_another_domain(tmp_path: Path) -> None:
    second = guest_map(BASE + 900, low=BASE + 700)
    result = of_host(tmp_path, write_host([well(), write_guest(second, Shape.LIST)]))
    assert {each.domain: each.count for each in result.findings if each.code == "XA202"} == {
        "0": 560,
        "1": 464,
    }
    assert result.exit_status == 0


def test_foreign_frames_that_read_back_as_identity(tmp_path: Path) -> None:
    known = guest_map(BASE, Run(700, 2, Kind.FOREIGN, 9000), Run(702, 1, Kind.FOREIGN, 300))
    result = of_host(tmp_path, write_host([write_guest(known, Shape.LIST)]))
    assert codes(result)["XA203"] == 2
    assert result.exit_status == 1


def test_page_tables(tmp_path: Path) -> None:
    guest = well()
    user = 0x7F00_0000_0000
    enter(guest, user, (((1 << 40) - 1) << 12) | 0x67)
    enter(guest, user + 0x1000, 0x200)
    enter(guest, user + 0x2000, (0x2F0 << 12) | 0x67)
    enter(guest, user + 0x3000, (0x2F1 << 12) | 0x467)
    result = of_host(tmp_path, write_host([guest]))
    found = codes(result)
    assert {code: found[code] for code in ("XA301", "XA302", "XA304", "XA305")} == dict.fromkeys(
        ("XA301", "XA302", "XA304", "XA305"), 1
    )
    (lost,) = (each for each in result.findings if each.code == "XA302")
    assert f"{user + 0x1000:#x}" in lost.where


def test_frames_of_another_domain(tmp_path: Path) -> None:
    known = RunMap(X86_64, 1 << 27, Kind.MISSING, [Run(0, 600, Kind.RAM, 64)])
    guests = [write_guest(known, Shape.LIST), write_guest(guest_map(BASE + 900, low=BASE + 700), Shape.LIST)]
    mapped = BASE + 705
    enter(guests[0], 0x7F00_0000_0000, (mapped << 12) | 0x67)
    result = of_host(tmp_path, write_host(guests))
    (finding,) = (each for each in result.findings if each.code == "XA303")
    assert (finding.domain, finding.count, finding.severity) == ("0", 1, Severity.INFO)


def test_odd_generation(tmp_path: Path) -> None:
    result = of_host(tmp_path, write_host([write_guest(guest_map(), Shape.LIST, generation=7)]))
    assert "XA401" in codes(result)
    assert result.exit_status == 1


def test_incomplete_file(tmp_path: Path) -> None:
    def claim_more(data: bytes) -> bytes:
        count = int.from_bytes(data[56:58], "little")
        at = 64 + 56 * (count - 1) + 40
        size = int.from_bytes(data[at : at + 8], "little")
        return data[:at] + (size + 8192).to_bytes(8, "little") + data[at + 8 :]

    assert "XA402" in codes(of_host(tmp_path, write_host([well()]), claim_more))


def test_frame_list_that_disagrees(tmp_path: Path) -> None:
    guest = well()
    mid = int(guest.pages[guest.frame_list_list][0])
    guest.pages[mid][0], guest.pages[mid][1] = int(guest.pages[mid][1]), int(guest.pages[mid][0])
    assert codes(of_host(tmp_path, write_host([guest])))["XA406"] > 100


def of_core(tmp_path: Path, guest: Guest) -> Audit:
    (tmp_path / "core").write_bytes(write.core_dump(guest))
    return audit(inspect(open_dump(tmp_path / "core")))


def test_core(tmp_path: Path) -> None:
    result = of_core(tmp_path, well())
    assert codes(result) == {"XA201": 464}
    assert any("no frame table" in part for part in result.scope[0][1])


def test_core_of_a_running_guest(tmp_path: Path) -> None:
    guest = well()
    written = write.core_dump(guest)
    entry = (5).to_bytes(8, "little") + (69).to_bytes(8, "little")
    moved = (5).to_bytes(8, "little") + (BASE + 5000).to_bytes(8, "little")
    assert written.count(entry) == 1
    (tmp_path / "core").write_bytes(written.replace(entry, moved))
    result = audit(inspect(open_dump(tmp_path / "core")))
    (finding,) = (each for each in result.findings if each.code == "XA102")
    assert (finding.count, finding.severity) == (1, Severity.WARNING)


def test_what_is_not_told(tmp_path: Path) -> None:
    known = RunMap(X86_64, 400, Kind.MISSING, [Run(0, 400, Kind.RAM, BASE)])
    result = of_core(tmp_path, write_guest(known, Shape.BUILDER))
    assert "XA404" in codes(result)
    assert result.exit_status == 0


def test_a_p2m_that_cannot_be_read(tmp_path: Path) -> None:
    host = write_host([well()])
    info = host.pages[host.shared_infos[0]].copy()
    info[layout.SHARED_INFO_64.frame_list_list // 8] = 1 << 30
    info[layout.SHARED_INFO_64.p2m_cr3 // 8] = 1 << 42
    host.pages[host.shared_infos[0]] = info
    result = of_host(tmp_path, host)
    assert codes(result) == {"XA405": 0}
    assert result.scope == (("0", ("no p2m: nothing to compare",)),)


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_explained(code: str) -> None:
    assert CODES[code].title
    assert code == "XA403" or CODES[code].remedy


def test_json(tmp_path: Path) -> None:
    value = of_host(tmp_path, write_host([well()])).to_json()
    assert value["format"] == "xenp2m.audit/1"
    assert value["findings"][0]["code"] == "XA201"
    assert value["domains"][0]["name"] == "0"
