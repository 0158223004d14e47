"""Runs that end in the middle: what is done is kept, and the whole is as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleet.machines import count, differences, opened, record, run_fleet, write_records
from xenp2m.fleet.run import program_hash
from xenp2m.fleet.store import LocalStore, parts_of, read_manifest
from xenp2m.fleet.summary import summarise

MACHINES = 600
PROGRAM = """
import sys
from xenp2m.fleet.run import Order, run
from xenp2m.fleet.store import LocalStore
run(LocalStore(sys.argv[2]), Order(sources=[sys.argv[1]], jobs=int(sys.argv[3]), together=12))
"""


def start(source: Path, fleet: Path, jobs: int = 2) -> subprocess.Popen[bytes]:
    """Start a run that keeps what it has done every few machines."""
    return subprocess.Popen([sys.executable, "-c", PROGRAM, source, fleet, str(jobs)], stderr=subprocess.PIPE)


def wait_for_parts(process: subprocess.Popen[bytes], fleet: Path, parts: int) -> None:
    """Wait until a run has finished some parts; the test fails if it is over before that."""
    deadline = time.monotonic() + 60
    while len(list(fleet.glob("parts/*.json"))) < parts:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(autouse=True)
def _program_of_now() -> None:
    """A run in another process hashes the sources as they are then, and they may be edited during tests."""
    program_hash.cache_clear()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "m.ndjson.gz"
    return write_records(
        path, (record(f"h{n}", ram=4 + n % 90, bar=(20 + n % 4000) << 30) for n in range(MACHINES))
    )


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    fleet = tmp_path_factory.mktemp("whole") / "fleet"
    tally = run_fleet(fleet, source, jobs=2)
    assert tally.predictions == 3 * MACHINES
    return fleet


def test_killed_in_the_middle_and_resumed(source: Path, whole: Path, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet"
    done = 0
    for parts in (2, 6):
        process = start(source, fleet)
        wait_for_parts(process, fleet, parts)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert process.returncode == -signal.SIGKILL
        half = opened(fleet)
        ((known,),) = half.ask("SELECT count(*) FROM predictions").rows
        assert done < known < 3 * MACHINES
        assert not summarise(half).finished
        done = known
    tally = run_fleet(fleet, source, jobs=2)
    assert tally.kept >= done // 3
    assert tally.predictions == 3 * (MACHINES - tally.kept)
    assert differences(fleet, whole) == {}
    assert summarise(opened(fleet)) == summarise(opened(whole))
    assert [each.name for each in (fleet / "parts").iterdir()] == []


def test_interrupted_and_resumed(source: Path, whole: Path, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet"
    program = Path(sys.executable).with_name("xenp2m")
    process = subprocess.Popen(
        [program, "fleet", "run", source, "-o", fleet, "--jobs", "1"], stderr=subprocess.PIPE
    )
    wait_for_parts(process, fleet, 1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said == b"xenp2m: interrupted\n"
    assert run_fleet(fleet, source, jobs=2).kept > 0
    assert differences(fleet, whole) == {}


def test_a_killed_worker_costs_nothing_but_what_it_was_at(source: Path, whole: Path, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet"
    process = start(source, fleet, jobs=1)
    wait_for_parts(process, fleet, 1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    process.communicate(timeout=120)
    assert process.returncode == 0
    rows = opened(fleet).ask("SELECT kind, reason FROM failures").rows
    assert len(rows) == 1
    assert rows[0][0] == "killed"
    assert "SIGKILL" in rows[0][1]
    assert count(fleet, "SELECT count(*) FROM predictions") == 3 * (MACHINES - 1)
    # What failed for want of luck is done again by the next run.
    assert run_fleet(fleet, source).predictions == 3
    assert differences(fleet, whole) == {}


def test_what_a_lost_process_writes_later_does_not_count(source: Path, whole: Path, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet"
    process = start(source, fleet)
    wait_for_parts(process, fleet, 2)
    process.kill()
    process.wait()
    store = LocalStore(fleet)
    before = read_manifest(store)
    assert before is not None
    part = parts_of(store, before)[0]
    copies = {name: (fleet / name).read_bytes() for name in part.files.values()}
    late = f"{before.run}-999999"
    run_fleet(fleet, source, jobs=2)
    for name, data in copies.items():
        (fleet / name.replace(part.name, late)).write_bytes(data)
    files = {table: name.replace(part.name, late) for table, name in part.files.items()}
    record_of_part = {"name": late, "files": files, "counts": part.counts}
    (fleet / f"parts/{late}.json").write_text(json.dumps(record_of_part))
    assert differences(fleet, whole) == {}
    assert run_fleet(fleet, source).kept == MACHINES
    assert not list((fleet / "parts").iterdir())
