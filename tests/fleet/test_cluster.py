"""The work on a Dask cluster: of several worker processes, of which some are killed."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cli.program import assert_one_clear_error
from cli.program import run as program
from fleet.held import hold
from fleet.machines import (
    SLOW,
    count,
    differences,
    log_of,
    opened,
    record,
    run_fleet,
    slow_record,
    write_records,
)
from xenp2m.errors import UsageError
from xenp2m.fleet.item import Chunk
from xenp2m.fleet.pool import Limits
from xenp2m.fleet.run import program_hash
from xenp2m.units import GIB

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
cluster_module = pytest.importorskip("xenp2m.fleet.cluster")

MACHINES = 300
LIMITS = Limits(seconds=60, memory=3 * GIB)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    settings = {"distributed.scheduler.allowed-failures": 1, "distributed.worker.daemon": False}
    with (
        dask.config.set(settings),
        distributed.LocalCluster(
            n_workers=3, threads_per_worker=1, dashboard_address=":0", silence_logs=60
        ) as made,
    ):
        yield made


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


def connected(cluster: Any) -> Any:
    return cluster_module.Cluster(cluster.scheduler_address, LIMITS)


def test_inputs_that_only_this_machine_has_are_sent(cluster: Any, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    for name in ("one/dmesg.txt", "one/other.txt", "two/proc/iomem", "three.log", "name\udcff.log"):
        file = sources / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(log_of(512 + len(name)))
    (sources / "cut.tar.gz").write_bytes(b"\x1f\x8b\x08" + bytes(40))
    (sources / "nothing.txt").write_text("nothing of use\n")
    write_records(sources / "m.ndjson", [record("a"), record("b"), record("bad", e820=[[4096, 0, 1]])])
    local, away = tmp_path / "local", tmp_path / "away"
    run_fleet(local, sources)
    run_fleet(away, sources, crew=connected(cluster))
    assert differences(local, away) == {}
    assert count(away, "SELECT count(*) FROM machines") == 6
    assert count(away, "SELECT count(*) FROM failures") == 3
    assert run_fleet(away, sources).predictions == 0


def test_a_worker_killed_in_the_middle_costs_nothing(
    cluster: Any, source: Path, whole: Path, tmp_path: Path
) -> None:
    killed: list[int] = []

    def kill(tally: Any) -> None:
        if tally.predictions >= MACHINES and not killed:
            killed.append(next(iter(cluster.workers.values())).pid)
            os.kill(killed[0], signal.SIGKILL)

    fleet = tmp_path / "fleet"
    tally = run_fleet(fleet, source, crew=connected(cluster), told=kill, together=6, seconds_together=0.2)
    assert killed
    assert (tally.predictions, tally.failures) == (3 * MACHINES, 0)
    assert differences(fleet, whole) == {}


def test_an_input_that_workers_die_of_is_to_blame_and_no_other(
    cluster: Any, source: Path, tmp_path: Path
) -> None:
    class Deadly(distributed.WorkerPlugin):  # type: ignore[name-defined,misc]
        """Makes every worker, also one that is started later, die of one input."""

        def setup(self, worker: Any) -> None:
            import os

            from xenp2m.fleet import cluster

            self.well = well = cluster.do

            def do(name: str, chunk: Any, *more: Any) -> Any:
                if any(item.name == "h7" and item.problem is None for item in chunk.items):
                    os.kill(os.getpid(), 9)
                return well(name, chunk, *more)

            cluster.do = do  # type: ignore[assignment]

        def teardown(self, worker: Any) -> None:
            from xenp2m.fleet import cluster

            cluster.do = self.well

    with distributed.Client(cluster, set_as_default=False) as client:
        client.register_plugin(Deadly(), name="deadly")
        fleet = tmp_path / "fleet"
        run_fleet(fleet, source, crew=connected(cluster), together=20)
        client.unregister_worker_plugin("deadly")
    rows = opened(fleet).ask("SELECT name, kind FROM failures").rows
    assert rows == [("h7", "killed")]
    assert count(fleet, "SELECT count(*) FROM predictions") == 3 * (MACHINES - 1)
    # What failed for want of luck is done again by the next run.
    assert run_fleet(fleet, source).predictions == 3


def test_an_input_over_the_limits_ends_no_worker(cluster: Any, tmp_path: Path) -> None:
    source = write_records(tmp_path / "m.ndjson", [record("a"), slow_record(), record("b")])
    before = [worker.pid for worker in cluster.workers.values()]
    crew = cluster_module.Cluster(cluster.scheduler_address, Limits(seconds=SLOW, memory=3 * GIB))
    run_fleet(tmp_path / "fleet", source, crew=crew)
    rows = opened(tmp_path / "fleet").ask("SELECT name, kind FROM failures").rows
    assert rows == [("slow", "too slow")]
    assert [worker.pid for worker in cluster.workers.values()] == before


def test_interrupted_and_resumed(cluster: Any, source: Path, whole: Path, tmp_path: Path) -> None:
    fleet = tmp_path / "fleet"
    process = hold(source, fleet, parts=3, together=6, address=cluster.scheduler_address)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode != 0
    assert said.splitlines()[-1].startswith(b"KeyboardInterrupt")
    deadline = time.monotonic() + 20
    while cluster.scheduler.tasks and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not cluster.scheduler.tasks
    tally = run_fleet(fleet, source, jobs=2)
    assert 0 < tally.kept < MACHINES
    assert differences(fleet, whole) == {}


def test_a_wrong_address_is_one_line(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for address, expected in (
        ("scheduler:8786", "not the address of a Dask scheduler"),
        ("tcp://127.0.0.1:1", "no Dask scheduler answers"),
    ):
        said = program("fleet", "run", source, "-o", tmp_path / "fleet", "--dask", address)
        assert_one_clear_error(said, expected)
    assert not (tmp_path / "fleet").exists()
    monkeypatch.setattr(cluster_module, "_ANSWER", 2.0)
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        address = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(UsageError, match="no Dask scheduler answers"):
            cluster_module.Cluster(address, LIMITS)


def test_another_version_is_refused(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def another(version: str) -> None:
        """Make a worker answer for a version; it has the function by its name."""
        from xenp2m.fleet import run

        run.program_hash = lambda: version  # type: ignore[assignment]

    with distributed.Client(cluster, set_as_default=False) as client:
        client.run(another, "0.0+0")
        with pytest.raises(UsageError, match=r"another version of xenp2m on worker tcp://.*found 0\.0\+0"):
            connected(cluster)
        client.run(another, program_hash())
    connected(cluster).close()
    with pytest.raises(UsageError, match="another version of xenp2m on a worker"):
        cluster_module.do("one", Chunk((), ("6.1",)), LIMITS, "0.0+0")
    numbers = itertools.count()
    monkeypatch.setattr(cluster_module, "_versions", lambda info: [f"dask {next(numbers)}"])
    with pytest.raises(UsageError, match=r"the scheduler of the cluster has other versions.*dask 0.*dask 2"):
        connected(cluster)


def test_a_cluster_without_workers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "_ANSWER", 2.0)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=":0", silence_logs=60) as empty,
        pytest.raises(UsageError, match="no workers"),
    ):
        connected(empty)


def test_the_extra_is_named_where_it_is_not_there(tmp_path: Path, source: Path) -> None:
    code = "import sys; sys.modules['distributed'] = None; from xenp2m.cli import main; main()"
    words = ["fleet", "run", str(source), "-o", str(tmp_path / "fleet"), "--dask", "tcp://127.0.0.1:1"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'xenp2m[dask]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
