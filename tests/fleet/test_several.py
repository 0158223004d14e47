"""Archives of several machines: each is a machine of the fleet, as if the archive had been unpacked."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from fleet.machines import count, log_of, opened, run_fleet
from xenp2m.capture import Capture, read_machines
from xenp2m.capture.bundle import limits
from xenp2m.errors import LimitError

LSPCI = "00:02.0 VGA compatible controller: Some\n\tMemory at 2000000000 (64-bit, prefetchable) [size=256M]\n"


def tarred(members: dict[str, str | bytes], mode: str = "w") -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode=mode) as tar:  # type: ignore[call-overload]
        for name, text in members.items():
            data = text.encode() if isinstance(text, str) else text
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return held.getvalue()


def reports(number: int) -> dict[str, str | bytes]:
    """Return the members of the reports of some machines, each of a log and of lspci."""
    return {
        f"case/host{n}/{name}": text
        for n in range(number)
        for name, text in {"dmesg.txt": log_of(512 + n), "lspci.txt": LSPCI}.items()
    }


def verdicts(fleet: Path) -> list[tuple[str, ...]]:
    columns = "parse_filename(m.name), kernel, bdf, start, verdict"
    return opened(fleet).ask(f"SELECT {columns} FROM bars JOIN machines m USING (machine) ORDER BY ALL").rows


def names(fleet: Path, table: str = "machines") -> list[str]:
    return [name for (name,) in opened(fleet).ask(f"SELECT name FROM {table} ORDER BY name").rows]


def unpacked(members: dict[str, str | bytes], folder: Path) -> Path:
    for name, text in members.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


@pytest.mark.parametrize("form", ["tar", "zip", "tar of tars", "mixed up"])
def test_as_if_it_had_been_unpacked(form: str, tmp_path: Path) -> None:
    members = reports(5)
    archive = tmp_path / "case.bin"
    if form == "zip":
        with zipfile.ZipFile(archive, "w") as file:
            for name, text in members.items():
                file.writestr(name, text)
    elif form == "tar of tars":
        hosts = sorted({name.split("/")[1] for name in members})
        inner = {host: {n: t for n, t in members.items() if f"/{host}/" in n} for host in hosts}
        archive.write_bytes(tarred({host: tarred(texts, "w:xz") for host, texts in inner.items()}))
    else:
        names_ = sorted(members, reverse=True, key=lambda name: name.rpartition("/")[::-1])
        order = names_ if form == "mixed up" else list(members)
        archive.write_bytes(tarred({name: members[name] for name in order}, "w:gz"))
    run_fleet(tmp_path / "packed", archive)
    run_fleet(tmp_path / "plain", unpacked(members, tmp_path / "folder"))
    assert names(tmp_path / "packed", "failures") == []
    assert verdicts(tmp_path / "packed") == verdicts(tmp_path / "plain")
    assert len(verdicts(tmp_path / "packed")) == 5 * 3 * 2


def test_logs_of_any_name_are_a_machine_each(tmp_path: Path) -> None:
    logs: dict[str, str | bytes] = {f"logs/{name}": log_of(800) for name in ("red", "green", "blue")}
    (tmp_path / "logs.tar").write_bytes(tarred({**logs, "logs/README": "what the colours are\n"}))
    (tmp_path / "one.tar").write_bytes(tarred({"of-a-kernel": log_of(900), "of-pci": LSPCI}))
    run_fleet(tmp_path / "fleet", tmp_path / "logs.tar", tmp_path / "one.tar", kernels=["6.1"])
    assert names(tmp_path / "fleet") == [
        *(f"logs.tar/logs/{name}" for name in ("blue", "green", "red")),
        "one.tar",
    ]
    assert count(tmp_path / "fleet", f"SELECT count(*) FROM bars WHERE start = {0x2000000000}") == 1


def test_more_archives_than_one_machine_has(tmp_path: Path) -> None:
    number = limits.MAX_ARCHIVES + 10
    inner: dict[str, str | bytes] = {
        f"{n}.tgz": tarred({f"report/{name}": text}, "w:gz")
        for n in range(number)
        for name, text in {"dmesg.txt": log_of(512 + n)}.items()
    }
    (tmp_path / "many.tar").write_bytes(tarred(inner))
    run_fleet(tmp_path / "fleet", tmp_path / "many.tar", kernels=["6.1"])
    assert len(names(tmp_path / "fleet")) == number
    assert names(tmp_path / "fleet", "failures") == []


def test_more_text_than_one_machine_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "case.tar").write_bytes(tarred(reports(5)))
    (tmp_path / "one.tar").write_bytes(tarred({**reports(1), "case/host0/xl-dmesg.txt": "x" * 1000}))
    monkeypatch.setattr(limits, "MAX_KEPT", 1000)
    found = dict(read_machines(tmp_path / "case.tar"))
    assert list(found) == [f"case/host{n}" for n in range(5)]
    assert all(isinstance(each, Capture) for each in found.values())
    with pytest.raises(LimitError, match="too many logs"):
        list(read_machines(tmp_path / "one.tar"))


def test_done_once_and_again_when_the_archive_changes(tmp_path: Path) -> None:
    archive, fleet = tmp_path / "case.tar", tmp_path / "fleet"
    archive.write_bytes(tarred(reports(3)))
    assert run_fleet(fleet, archive, kernels=["3.15"]).predictions == 3
    assert run_fleet(fleet, archive, kernels=["3.15"]).predictions == 0
    assert run_fleet(fleet, archive, kernels=["3.15", "6.1"]).predictions == 3
    assert count(fleet, "SELECT count(*) FROM inputs") == 3
    archive.write_bytes(tarred({**reports(4), "case/host0/dmesg.txt": log_of(3000)}))
    assert run_fleet(fleet, archive, kernels=["3.15", "6.1"]).predictions == 8
    assert names(fleet) == [f"case.tar/case/host{n}" for n in range(4)]
    assert count(fleet, f"SELECT count(*) FROM machines WHERE ram_end = {3000 << 20}") == 1
    assert count(fleet, "SELECT count(*) FROM predictions") == 8


def test_what_cannot_be_read_is_listed_and_the_rest_is_used(tmp_path: Path) -> None:
    members = reports(3)
    members["case/host1/dmesg.txt"] = "nothing of use\n"
    packed = tarred({f"other/{name}": text for name, text in reports(1).items()}, "w:gz")
    members["cut.tgz"] = packed[:-40]
    (tmp_path / "case.tar").write_bytes(tarred(members))
    whole = tarred(reports(3))
    (tmp_path / "cut.tar").write_bytes(whole[: whole.rindex(b"case/host2") + 700])
    twice = tarred(reports(2))
    (tmp_path / "twice.tar").write_bytes(twice[: twice.rindex(b"case/host1/lspci.txt")] + twice)
    fleet = tmp_path / "fleet"
    run_fleet(fleet, *(tmp_path / f"{name}.tar" for name in ("case", "cut", "twice")), kernels=["6.1"])
    rows = opened(fleet).ask("SELECT name, kind, reason FROM failures ORDER BY name").rows
    assert [row[:2] for row in rows] == [
        ("case.tar", "unreadable"),
        ("case.tar/case/host1", "no map"),
        ("cut.tar", "unreadable"),
    ]
    assert "cut.tgz" in rows[0][2]
    assert "the archive ends early" in rows[2][2]
    assert {
        "case.tar/case/host0",
        "case.tar/case/host2",
        "cut.tar/case/host0",
        "cut.tar/case/host2",
        "twice.tar/case/host0",
        "twice.tar/case/host1",
    } <= set(names(fleet))
