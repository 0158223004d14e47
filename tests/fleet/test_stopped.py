"""Runs that end in the middle: what is done is kept, and the whole is as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fleet.held import hold
from fleet.machines import differences, opened, record, run_fleet, slow_record, write_records
from xenp2m.fleet.pool import Pool
from xenp2m.fleet.run import LIMITS, Tally, program_hash
from xenp2m.fleet.store import LocalStore, Part, parts_of, read_manifest, write_part
from xenp2m.fleet.summary import summarise

MACHINES = 600
PARTS = 12


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
        process = hold(source, fleet, parts=parts, together=PARTS)
        process.kill()
        process.wait()
        half = opened(fleet)
        ((known,),) = half.ask("SELECT count(*) FROM predictions").rows
        # What the second worker was at may have been kept as well, or not.
        assert done + 3 * PARTS * parts <= known <= done + 3 * PARTS * (parts + 2)
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
    slow = write_records(tmp_path / "slow.ndjson", [slow_record()])
    program = Path(sys.executable).with_name("xenp2m")
    process = subprocess.Popen(
        [program, "fleet", "run", source, slow, "-o", fleet, "--jobs", "1"], stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while not list(fleet.glob("parts/*.json")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said == b"xenp2m: interrupted\n"
    assert run_fleet(fleet, source, jobs=2).kept > 0
    assert differences(fleet, whole) == {}


class DiesOnce:
    """Keeps parts of a fleet; the first time, its worker is killed before it has kept anything."""

    def __init__(self, store: LocalStore, died: Path) -> None:
        self._store = store
        self._died = died

    def __call__(self, name: str, tables: dict[str, Any]) -> Part:
        if not self._died.exists():
            self._died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return write_part(self._store, name, tables)


def test_a_killed_worker_costs_nothing_but_what_it_was_at(
    source: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Workers find DiesOnce there.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent), prepend=os.pathsep)
    fleet = tmp_path / "fleet"
    pool = Pool(1, LIMITS, DiesOnce(LocalStore(fleet), tmp_path / "died"))
    tally = run_fleet(fleet, source, crew=pool, together=PARTS)
    assert (tally.predictions, tally.failures) == (3 * (MACHINES - 1), 1)
    ((name, kind, reason),) = opened(fleet).ask("SELECT name, kind, reason FROM failures").rows
    assert (name, kind) == (f"h{PARTS - 1}", "killed")  # the last that was begun
    assert "SIGKILL" in reason
    # What failed for want of luck is done again by the next run.
    assert run_fleet(fleet, source).predictions == 3
    assert differences(fleet, whole) == {}


def children() -> set[int]:
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return {int(child) for child in listed.split()}


def test_a_worker_killed_between_two_parts_costs_nothing(source: Path, whole: Path, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet"
    before = children()
    killed: list[int] = []

    def kill(_: Tally) -> None:
        if not killed:
            killed.extend(children() - before)
            os.kill(killed[0], signal.SIGKILL)

    tally = run_fleet(fleet, source, told=kill, together=PARTS)
    assert len(killed) == 1
    assert (tally.predictions, tally.failures) == (3 * MACHINES, 0)
    assert differences(fleet, whole) == {}


def test_what_a_lost_process_writes_later_does_not_count(source: Path, whole: Path, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet"
    process = hold(source, fleet, parts=2, together=PARTS)
    process.kill()
    process.wait()
    for folder in ("parts", "tables"):
        (fleet / folder).mkdir(exist_ok=True)
        (fleet / folder / ".xenp2m-unfinished").write_bytes(b"half")
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
    assert not list((fleet / "tables").glob(".*"))
