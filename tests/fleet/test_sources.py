from __future__ import annotations

import bz2
import gzip
import json
import os
from pathlib import Path

import pytest
import zstandard

from fleet.machines import log_of, record
from xenp2m.errors import UsageError
from xenp2m.fleet.item import Item
from xenp2m.fleet.sources import Sources


def items(*names: Path | str) -> list[Item]:
    sources = Sources([str(name) for name in names], b"salt")
    sources.measure()
    found = list(sources.items())
    assert sources.done == sources.total
    return found


def named(*names: Path | str) -> list[tuple[str, str]]:
    return [(item.form, item.name) for item in items(*names)]


def test_ndjson_is_a_machine_a_line_however_it_is_packed(tmp_path: Path) -> None:
    text = "".join(f"{json.dumps(record(name))}\n" for name in ("a", "b")).encode()
    packed = {
        "m.ndjson": text,
        "m.json": text,
        "m.ndjson.gz": gzip.compress(text),
        "m.jsonl.zst": zstandard.compress(text),
        "packed": bz2.compress(text),
    }
    for name, data in packed.items():
        (tmp_path / name).write_bytes(data)
        assert named(tmp_path / name) == [("record", "a"), ("record", "b")], name


def test_one_object_is_a_file_unless_its_name_says_ndjson(tmp_path: Path) -> None:
    text = json.dumps(record("a"))
    (tmp_path / "machine.json").write_text(text)
    (tmp_path / "pretty.json").write_text(json.dumps(record("a"), indent=1))
    (tmp_path / "one.ndjson").write_text(text)
    assert named(tmp_path / "machine.json") == [("file", "machine.json")]
    assert named(tmp_path / "pretty.json") == [("file", "pretty.json")]
    assert named(tmp_path / "one.ndjson") == [("record", "a")]


def test_a_folder_is_one_machine_where_its_files_are_known_by_name(tmp_path: Path) -> None:
    for path in (
        "hosts/one/dmesg.txt",
        "hosts/one/lspci.txt",
        "hosts/two/proc/iomem",
        "hosts/two/var/log/xen/hypervisor.log",
        "hosts/rack/three.log",
        "hosts/rack/four.log.gz",
        "hosts/sos/report-x/sos_commands/kernel/dmesg",
        "hosts/.hidden/five.log",
        "hosts/six.tar.xz",
    ):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(log_of(512))
    (tmp_path / "hosts/fleet").mkdir()
    (tmp_path / "hosts/fleet/fleet.json").write_text("{}")
    (tmp_path / "hosts/link.log").symlink_to(tmp_path / "hosts/rack/three.log")
    os.mkfifo(tmp_path / "hosts/pipe")
    assert named(tmp_path / "hosts") == [
        ("folder", "one"),
        ("file", "rack/four.log.gz"),
        ("file", "rack/three.log"),
        ("file", "six.tar.xz"),
        ("folder", "sos/report-x"),
        ("folder", "two"),
    ]
    assert named(tmp_path / "hosts/one") == [("folder", "one")]


def test_patterns_name_what_fits_them(tmp_path: Path) -> None:
    for name in ("a.log", "b.log", "c.txt"):
        (tmp_path / name).write_text(log_of(512))
    assert named(f"{tmp_path}/*.log") == [("file", "a.log"), ("file", "b.log")]
    with pytest.raises(UsageError, match="no such source"):
        items(f"{tmp_path}/*.gz")


def test_the_catalogue_is_a_source() -> None:
    found = items("catalogue:")
    assert len(found) > 300
    assert len({item.number for item in found}) == len(found)
    (one,) = items(f"catalogue:{found[7].name}")
    assert one == found[7]


def test_a_key_follows_content_and_options_and_a_number_the_place(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_text(log_of(512))
    (before,) = items(file)
    os.utime(file, (1, 1))
    assert items(file) == [before]
    (other,) = Sources([str(file)], b"pepper").items()
    assert (other.number == before.number, other.key == before.key) == (True, False)
    file.write_text(log_of(513))
    (after,) = items(file)
    assert (after.number == before.number, after.key == before.key) == (True, False)


def test_a_folders_key_follows_every_file_in_it(tmp_path: Path) -> None:
    (tmp_path / "dmesg.txt").write_text(log_of(512))
    (before,) = items(tmp_path)
    (tmp_path / "lspci.txt").write_text("")
    (after,) = items(tmp_path)
    assert before.key != after.key
    (tmp_path / "lspci.txt").write_text("x")
    assert items(tmp_path)[0].key not in (before.key, after.key)


def test_names_that_are_no_characters_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"host\xff.log")
    path.write_text(log_of(512))
    (item,) = items(tmp_path)
    assert item.name == "host?.log"
    assert Path(item.source).exists()


def test_records_without_a_name_are_known_by_what_they_say(tmp_path: Path) -> None:
    nameless = [{key: value for key, value in record("x", ram=ram).items() if key != "id"} for ram in (4, 5)]
    file = tmp_path / "m.ndjson"
    file.write_text("\n\n".join(json.dumps(each) for each in nameless))
    found = items(file)
    assert [item.name for item in found] == ["line 1", "line 3"]
    assert len({item.number for item in found}) == 2


def test_a_line_without_end_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "m.ndjson"
    with file.open("wb") as out:
        out.write(json.dumps(record("a")).encode() + b"\n")
        for _ in range(40):
            out.write(bytes(1 << 20))
        out.write(b"\n" + json.dumps(record("b")).encode() + b"\n")
    found = items(file)
    assert [(item.name, item.problem and item.problem[0]) for item in found] == [
        ("a", None),
        ("line 2", "too large"),
        ("b", None),
    ]


def test_what_stands_before_damage_is_used(tmp_path: Path) -> None:
    text = "".join(f"{json.dumps(record(f'h{n}', ram=n + 2))}\n" for n in range(2000)).encode()
    packed = gzip.compress(text)
    file = tmp_path / "m.ndjson.gz"
    file.write_bytes(packed[: len(packed) // 2])
    found = items(file)
    assert 100 < len(found) < 2000
    assert [item.problem is None for item in found] == [True] * (len(found) - 1) + [False]
    assert found[-1].problem is not None
    assert "cannot be read" in found[-1].problem[1]
