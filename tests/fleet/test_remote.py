"""Sources and fleets in object stores: a real S3 protocol on this machine, the web, memory."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cli.program import Result, assert_one_clear_error
from cli.program import run as program
from fleet.held import hold
from fleet.machines import count, differences, log_of, opened, record, run_fleet, write_records
from xenp2m.cli import run as command
from xenp2m.errors import UsageError
from xenp2m.fleet import remote
from xenp2m.fleet.item import Chunk, Item
from xenp2m.fleet.reach import identity, is_url, scrubbed, shown
from xenp2m.fleet.remote import RemoteStore, store_at
from xenp2m.fleet.sources import Sources
from xenp2m.fleet.store import LocalStore, read_manifest
from xenp2m.fleet.work import work
from xenp2m.units import MIB

fsspec = pytest.importorskip("fsspec")
s3fs = pytest.importorskip("s3fs")
server = pytest.importorskip("moto.server")

MACHINES = 300
SECRET = "never-to-be-seen"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A store that speaks S3, empty, with the environment that leads to it."""
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        changed.setenv("AWS_ACCESS_KEY_ID", "key")
        changed.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        changed.setenv("AWS_DEFAULT_REGION", "us-east-1")
        changed.setenv("AWS_CONFIG_FILE", str(tmp_path_factory.mktemp("aws") / "none"))
        changed.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path_factory.mktemp("aws") / "none"))
        changed.setenv("AWS_EC2_METADATA_DISABLED", "true")
        filesystem = s3fs.S3FileSystem(use_listings_cache=False)
        filesystem.mkdir("bucket")
        yield filesystem
    running.stop()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "m.ndjson.gz"
    return write_records(
        path, (record(f"h{n}", ram=4 + n % 90, bar=(20 + n % 4000) << 30) for n in range(MACHINES))
    )


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    fleet = tmp_path_factory.mktemp("whole") / "fleet"
    assert run_fleet(fleet, source, jobs=2).predictions == 3 * MACHINES
    return fleet


def write_sources(folder: Path) -> None:
    for name in (
        "hosts/one/dmesg.txt",
        "hosts/one/other.txt",
        "hosts/two/proc/iomem",
        "hosts/two/var/log/xen/hypervisor.log",
        "hosts/rack/three.log",
        "hosts/.hidden/five.log",
        "hosts/sos/report-x/sos_commands/kernel/dmesg",
        "hosts/sos/report-x/sos_commands/large",
    ):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(log_of(512 + len(name)))
    write_records(folder / "m.ndjson.gz", [record("a"), record("b"), record("bad", e820=[[4096, 0, 1]])])
    (folder / "rows.json").write_text(f"{json.dumps(record('c'))}\n{json.dumps(record('d'))}\n")
    (folder / "cut.tar.gz").write_bytes(b"\x1f\x8b\x08" + bytes(40))
    run_fleet(folder / "hosts/fleet", folder / "rows.json")  # a fleet among the sources is none of them


def items(*names: str) -> list[Item]:
    sources = Sources(names, b"salt")
    sources.measure()
    found = list(sources.items())
    assert sources.done == sources.total
    return found


def named(*names: str) -> list[tuple[str, str]]:
    return sorted((item.form, item.name) for item in items(*names))


def test_objects_are_found_and_read_as_files_are(s3: Any, tmp_path: Path) -> None:
    write_sources(tmp_path / "sources")
    s3.put(str(tmp_path / "sources"), "bucket/sources", recursive=True)
    here, there = str(tmp_path / "sources"), "s3://bucket/sources"
    assert named(there) == named(here)
    assert named(f"{there}/hosts/one") == named(f"{here}/hosts/one") == [("folder", "one")]
    assert named(f"{there}/hosts/rack/*.log") == [("file", "three.log")]
    assert named(f"{there}/hosts/") == named(f"{here}/hosts")
    assert items(f"file://{here}") == items(here)
    run_fleet(tmp_path / "here", here)
    run_fleet(tmp_path / "there", there, jobs=2)
    for table in ("predictions", "bars", "maps"):
        sql = f"SELECT m.name, t.* EXCLUDE (machine) FROM {table} t JOIN machines m USING (machine)"
        ours, theirs = (opened(tmp_path / at).ask(f"{sql} ORDER BY ALL").rows for at in ("here", "there"))
        assert ours == theirs
        assert ours
    failures = [opened(tmp_path / at).ask("SELECT name, kind FROM failures").rows for at in ("here", "there")]
    assert sorted(failures[0]) == sorted(failures[1])
    assert run_fleet(tmp_path / "there", there).predictions == 0
    s3.pipe("bucket/sources/hosts/one/dmesg.txt", log_of(900).encode())
    assert run_fleet(tmp_path / "there", there).predictions == 3


def test_an_object_that_goes_meanwhile_is_listed_and_tried_again(s3: Any, tmp_path: Path) -> None:
    s3.pipe({"bucket/going/a.log": log_of(512).encode(), "bucket/going/b.log": log_of(600).encode()})
    sources = Sources(["s3://bucket/going"], b"")
    sources.measure()
    s3.rm("bucket/going/a.log")
    tables = work(Chunk(tuple(sources.items()), ("6.1",)))
    (failure,) = tables["failures"].to_pylist()
    assert (failure["name"], failure["kind"]) == ("a.log", "unreachable")
    assert "not there any more" in failure["reason"]
    keys = tables["work"].column("key").to_pylist()
    assert b"-" * 16 in keys


def test_a_fleet_in_a_store_is_as_one_in_a_folder(
    s3: Any, source: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = "s3://bucket/fleets/whole"
    assert run_fleet(fleet, source, jobs=2).predictions == 3 * MACHINES
    assert differences(fleet, whole) == {}
    names = [name.removeprefix("bucket/fleets/whole/") for name in s3.find("bucket/fleets/whole")]
    assert {name.partition("/")[0] for name in names} == {"tables", "fleet.json"}
    for words in (
        ["summary", fleet],
        ["summary", fleet, "--html", str(tmp_path / "page.html")],
        ["query", fleet, "SELECT count(*) FROM bars"],
        ["diff", fleet, str(whole)],
        ["show", fleet, "h17"],
        ["export", fleet, "csv", "bars", "-o", "s3://bucket/bars.csv"],
    ):
        assert command(["fleet", *words]) == 0, words
    assert "Traceback" not in capsys.readouterr().err
    assert s3.cat("bucket/bars.csv").count(b"\n") == 1 + count(whole, "SELECT count(*) FROM bars")


def test_killed_in_the_middle_and_resumed(s3: Any, source: Path, whole: Path) -> None:
    fleet = "s3://bucket/fleets/killed"
    for parts in (2, 3):
        process = hold(source, fleet, parts=parts, together=6)
        process.kill()
        process.wait()
    assert s3.exists("bucket/fleets/killed/run.lock")
    known = count(fleet, "SELECT count(*) FROM predictions")
    assert known == 3 * 6 * (2 + 3)
    tally = run_fleet(fleet, source, jobs=2)
    assert tally.kept == known // 3
    assert differences(fleet, whole) == {}
    assert not s3.find("bucket/fleets/killed/parts")
    assert not s3.exists("bucket/fleets/killed/run.lock")


def test_two_runs_do_not_write_one_fleet(s3: Any, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_BEAT", 0.1)
    monkeypatch.setattr(remote, "_LOST", 1.0)
    fleet = "s3://bucket/fleets/shared"
    with store_at(fleet).exclusive(), pytest.raises(UsageError, match="another run is writing"):
        run_fleet(fleet, source)
    s3.pipe("bucket/fleets/shared/run.lock", b'{"host": "elsewhere", "process": 1, "since": "", "run": "x"}')
    one = RemoteStore(fleet)
    with one.exclusive():  # which the other run, lost for a second, does not keep out
        one.write("fleet.json", b"{}")
        s3.pipe("bucket/fleets/shared/run.lock", b"it is back")
        with pytest.raises(UsageError, match="another run has taken"):
            one.write("fleet.json", b"{}")
    assert s3.cat("bucket/fleets/shared/run.lock") == b"it is back"


def test_nothing_half_is_ever_there(s3: Any) -> None:
    store = store_at("s3://bucket/half")

    def stop_in_the_middle() -> None:
        with store.create("tables/one") as file:
            file.write(bytes(20 * MIB))
            raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        stop_in_the_middle()
    assert not s3.exists("bucket/half/tables/one")
    with store.create("tables/one") as file:
        file.write(bytes(20 * MIB))
        assert not s3.exists("bucket/half/tables/one")
    assert store.names("tables") == ["tables/one"]
    assert store.size("tables/one") == 20 * MIB
    store.remove("tables/one")
    store.remove("tables/one")
    assert store.names("tables") == []


def test_what_cannot_be_reached_is_one_line(
    s3: Any,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    here = str(tmp_path / "fleet")
    for sources, fleet, words in (
        (str(source), "s3://no-such-bucket/fleet", ("s3://no-such-bucket/fleet", "bucket does not exist")),
        ("s3://no-such-bucket/logs", here, ("no such source",)),
        ("s3://bucket/nothing-there", here, ("no such source",)),
        ("nothing://bucket/logs", here, ("nothing",)),
        ("simplecache::s3://bucket/sources", here, ("one URL in another",)),
        ("http://127.0.0.1:1/m.ndjson", here, ("no such source", "Cannot connect")),
    ):
        status = command(["fleet", "run", sources, "-o", fleet])
        said = Result(status, *capsys.readouterr())
        assert_one_clear_error(said, *words)
        assert SECRET not in said.err
    status = command(["fleet", "summary", "s3://bucket/nothing"])
    assert_one_clear_error(Result(status, *capsys.readouterr()), "no fleet there")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    said = program("fleet", "run", source, "-o", "s3://bucket/denied")
    assert_one_clear_error(said, "s3://bucket/denied", "credentials")


def test_packages_that_are_not_there_are_named(source: Path, tmp_path: Path) -> None:
    for package, words in (("fsspec", "pip install 'xenp2m[remote]'"), ("s3fs", "s3fs")):
        code = f"import sys; sys.modules[{package!r}] = None; from xenp2m.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, "fleet", "run", str(source), "-o", "s3://bucket/fleet"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1


class Web(BaseHTTPRequestHandler):
    """Files of a folder, for one user."""

    def __init__(self, *more: Any, folder: Path) -> None:
        self.folder = folder
        super().__init__(*more)

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        name = self.path.partition("?")[0].removeprefix("/")
        file = self.folder / name
        allowed = "Authorization" in self.headers or f"sig={SECRET}" in self.path
        data = file.read_bytes() if file.is_file() and allowed else b""
        self.send_response(200 if data else 403)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "web").mkdir()
    serving = ThreadingHTTPServer(("127.0.0.1", 0), partial(Web, folder=tmp_path / "web"))
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{serving.server_port}"
    serving.shutdown()


def test_secrets_in_urls_are_never_told(web: str, tmp_path: Path) -> None:
    write_records(tmp_path / "web/m.ndjson", [record("a"), record("b", e820=[[4096, 0, 1]])])
    (tmp_path / "web/one.log").write_text(log_of(512))
    urls = [
        f"http://user:{SECRET}@{web}/m.ndjson",
        f"http://{web}/one.log?sig={SECRET}&id=1",
    ]
    fleet = tmp_path / "fleet"
    done = program("fleet", "run", *urls, "-o", fleet)
    assert done.status == 0, done
    assert count(fleet, "SELECT count(*) FROM machines") == 2
    sources = opened(fleet).ask("SELECT source FROM inputs ORDER BY ALL").rows
    assert [row[0] for row in sources] == [
        f"http://{web}/m.ndjson, line 1",
        f"http://{web}/m.ndjson, line 2",
        f"http://{web}/one.log",
    ]
    manifest = read_manifest(LocalStore(fleet))
    assert manifest is not None
    assert manifest.sources == (f"http://{web}/m.ndjson", f"http://{web}/one.log")
    # Another signature of the same thing is the same machine.
    again = program("fleet", "run", urls[0], f"{urls[1]}&Expires=1", "-o", fleet)
    assert "3 of 3 inputs were done before" in again.out
    refused = program("fleet", "run", f"http://{web}/one.log?sig=wrong-{SECRET}", "-o", tmp_path / "other")
    said = "".join([refused.err, refused.out, done.out, done.err])
    for table in ("inputs", "machines", "facts", "failures", "findings"):
        said += str(opened(fleet).ask(f"SELECT * FROM {table}").rows)
    said += (fleet / "fleet.json").read_text()
    assert SECRET not in said


@pytest.mark.parametrize(
    ("url", "text", "same"),
    [
        ("s3://bucket/a?b", "s3://bucket/a?b", "s3://bucket/a?b"),
        ("sftp://me:pw@host/a", "sftp://host/a", "sftp://host/a"),
        ("https://h/a?X-Amz-Signature=1&id=2", "https://h/a", "https://h/a?id=2"),
        ("https://h/a?sv=1&sig=2", "https://h/a", "https://h/a"),
    ],
)
def test_what_of_a_url_is_told(url: str, text: str, same: str) -> None:
    assert (is_url(url), shown(url), identity(url)) == (True, text, same)


def test_messages_are_scrubbed() -> None:
    url = "https://me:my-password@host/a?sig=abc"
    text = f"403, {url}\n: 'me:my-password' and https://other/x?token=t"
    assert scrubbed(text, url) == "403, https://host/a?... : 'me:' and https://other/x?..."


def test_memory_is_a_place_for_sources_and_fleets(source: Path, whole: Path, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe({"/in/x/dmesg.txt": log_of(512).encode(), "/in/y.log": log_of(700).encode()})
    run_fleet("memory://out/logs", "memory://in", jobs=2)
    assert sorted(opened("memory://out/logs").ask("SELECT name FROM machines").rows) == [("x",), ("y.log",)]
    run_fleet("memory://out/fleet", source, jobs=2)
    assert differences("memory://out/fleet", whole) == {}
    assert run_fleet("memory://out/logs", "memory://in").predictions == 0
    memory.rm("/in", recursive=True)
    memory.rm("/out", recursive=True)
