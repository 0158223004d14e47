"""Inputs that are damaged or mean harm: each is listed, and the others are as if it were not there."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from fleet.machines import (
    GIB,
    SLOW,
    differences,
    log_of,
    opened,
    record,
    run_fleet,
    slow_record,
    write_records,
)
from xenp2m.fleet.pool import Limits

GOOD = [record(f"good{number}", ram=8 + number) for number in range(5)]


def changed(name: str, **fields: Any) -> str:
    return json.dumps({**record(name), **fields})


RECORDS = {
    "not JSON": '{"id": "b1", "kind": ',
    "an array": '["b2"]',
    "no fields": '{"id": "b3"}',
    "a range backwards": changed("b4", e820=[[4096, 0, 1]]),
    "a negative address": changed("b5", e820=[[-4096, 4096, 1]]),
    "an address past 2^64": changed("b6", e820=[[0, 1 << 70, 1]]),
    "words for numbers": changed("b7", e820=[["a", "b", "c"]]),
    "a BAR past 2^64": changed("b8", bars=[["0000:01:00.0", 0, (1 << 64) - 4096, 1 << 63, True, True]]),
    "a BAR number that fits no column": changed(
        "b9", bars=[["0000:01:00.0", 1 << 40, GIB, 4096, True, True]]
    ),
    "another format": '{"format": "xenp2m.machine/9", "id": "b10"}',
    "a field of another kind": '{"format": "xenp2m.machine/1", "e820": 7}',
    "nested without end": '{"id": "b12", "e820": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "half a character": '{"id": "\\ud800", "kind": "bios", "e820": [], "bars": []}',
    "bars only": changed("b14", kind="bars-only", e820=[]),
    "no whole map": changed("b15", elided=True),
    "the name of another": changed("good1", e820=[[0, 1 << 30, 1]]),
}
"""Lines of NDJSON, by what is wrong with them; half a character is a text that cannot be printed."""


def archive_of(machines: int) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as tar:
        for number in range(machines):
            data = log_of(512 + number).encode()
            info = tarfile.TarInfo(f"report{number}/var/log/dmesg")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return held.getvalue()


def folder_of_files(folder: Path) -> int:
    """Make a folder of bad files and four good machines; return the number of bad files."""
    folder.mkdir()
    (folder / "good.log").write_text(log_of(2048))
    (folder / "good.tar.gz").write_bytes(archive_of(1))
    (folder / "two.tar.gz").write_bytes(archive_of(2))
    with zipfile.ZipFile(folder / "escapes.zip", "w") as archive:
        archive.writestr("../../etc/passwd", "root")
    bad = {
        "empty.log": b"",
        "binary.bin": bytes(range(256)) * 64,
        "cut.log.gz": gzip.compress(os.urandom(50_000))[:20_000],
        "bomb.gz": gzip.compress(bytes(200 << 20)),
        "cut.tar.gz": archive_of(1)[:-200],
        "words.txt": b"a text of something else\n" * 100,
        "zeros.ndjson.gz": gzip.compress(bytes(40 << 20)),
        "pages.ndjson": b'{"id": "x"}\x00\n',
        "broken.ndjson.zst": b"\x28\xb5\x2f\xfd" + bytes(100),
    }
    for name, data in bad.items():
        (folder / name).write_bytes(data)
    (folder / os.fsdecode(b"name\xff.log")).write_bytes(b"\xff" * 10)
    return len(bad) + 2


def test_every_bad_input_is_listed_and_the_rest_is_not_touched(tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    good = write_records(mixed / "m.ndjson", GOOD)
    clean = run_fleet(tmp_path / "clean", good)
    assert clean.predictions == 15
    lines = [json.dumps(each) for each in GOOD]
    for index, line in enumerate(RECORDS.values()):
        lines.insert(2 * index + 2, line)
    good.write_text("\n".join(lines) + "\n")
    folder = tmp_path / "files"
    bad_files = folder_of_files(folder)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")

    run_fleet(tmp_path / "fleet", good, folder, tmp_path / "pipe", tmp_path / "dangling", jobs=2)

    fleet = opened(tmp_path / "fleet")
    failures = fleet.ask("SELECT source, kind, reason FROM failures ORDER BY source").rows
    bad = len(RECORDS) + bad_files + 2
    assert len({source for source, _, _ in failures}) >= bad - 1, failures
    assert len(failures) == bad, failures
    assert all(reason and "\n" not in reason and "Traceback" not in reason for _, _, reason in failures)
    assert not [failure for failure in failures if failure[1] == "program"]
    ((usable,),) = fleet.ask("SELECT count(*) FROM inputs WHERE usable").rows
    assert usable == len(GOOD) + 4
    same = (
        "SELECT name, kernel, start, verdict FROM bars JOIN machines USING (machine) WHERE name LIKE 'good_' "
    )
    expected = opened(tmp_path / "clean").ask(f"{same} ORDER BY ALL").rows
    assert fleet.ask(f"{same} ORDER BY ALL").rows == expected


def test_bad_inputs_are_not_tried_again(tmp_path: Path) -> None:
    source = tmp_path / "m.ndjson"
    source.write_text("\n".join(RECORDS.values()) + "\n")
    first = run_fleet(tmp_path / "fleet", source)
    again = run_fleet(tmp_path / "fleet", source)
    assert first.failures >= len(RECORDS) - 1
    assert (again.predictions, again.failures, again.kept) == (0, 0, again.inputs)


def test_an_input_that_takes_too_long_is_listed_and_tried_again(tmp_path: Path) -> None:
    source = write_records(tmp_path / "m.ndjson", [GOOD[0], slow_record(), GOOD[1]])
    for _ in range(2):
        run_fleet(tmp_path / "fleet", source, limits=Limits(seconds=SLOW, memory=3 * GIB))
    assert opened(tmp_path / "fleet").ask("SELECT count(*) FROM inputs").rows == [(3,)]
    rows = opened(tmp_path / "fleet").ask("SELECT name, kind, reason FROM failures").rows
    assert rows == [("slow", "too slow", f"one input took longer than {SLOW} seconds")]
    tally = run_fleet(tmp_path / "fleet", source, kernels=["6.1"], limits=Limits(seconds=300, memory=3 * GIB))
    assert (tally.predictions, tally.failures, tally.kept) == (1, 0, 2)
    assert opened(tmp_path / "fleet").ask("SELECT * FROM failures").rows == []


def test_an_input_that_takes_too_much_memory_is_listed(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "good.log").write_text(log_of(1024))
    large = log_of(1024) + "[    1.000000] pci 0000:00:02.0: a line of no use at all\n" * (8 << 20)
    (folder / "large.log").write_text(large)
    run_fleet(tmp_path / "fleet", folder, limits=Limits(seconds=60, memory=400 << 20))
    rows = opened(tmp_path / "fleet").ask("SELECT name, kind FROM failures").rows
    assert rows in ([("large.log", "memory")], [("large.log", "killed")])
    ((usable,),) = opened(tmp_path / "fleet").ask("SELECT count(*) FROM machines").rows
    assert usable == 1


def test_workers_that_cannot_start_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(Exception, match="worker processes cannot be started"):
        run_fleet(tmp_path / "fleet", write_records(tmp_path / "m.ndjson", GOOD))


def test_a_record_far_from_any_machine_harms_no_other(tmp_path: Path) -> None:
    wild = record("wild", e820=[[n << 13, (n << 13) + 4096, 1 + n % 5] for n in range(100_000)])
    source = write_records(tmp_path / "m.ndjson", [GOOD[0], wild])
    run_fleet(tmp_path / "fleet", source, kernels=["6.1"])
    ((inputs,),) = opened(tmp_path / "fleet").ask("SELECT count(*) FROM inputs").rows
    assert inputs == 2
    assert differences(tmp_path / "fleet", tmp_path / "fleet") == {}
