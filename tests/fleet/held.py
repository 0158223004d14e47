"""A run in a process of its own that waits at a known place, so that tests can end it there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import sys
from xenp2m.fleet.cluster import Cluster
from xenp2m.fleet.remote import store_at
from xenp2m.fleet.run import LIMITS, Order, run

source, fleet, address, *numbers = sys.argv[1:]
jobs, together = map(int, numbers)

def told(tally):
    print(flush=True)
    sys.stdin.readline()

order = Order(sources=[source], jobs=jobs, together=together, seconds_together=0.0)
run(store_at(fleet), order, told, crew=Cluster(address, LIMITS) if address else None)
"""


def hold(
    source: Path, fleet: Path | str, *, parts: int, together: int, jobs: int = 2, address: str = ""
) -> subprocess.Popen[bytes]:
    """Start a run, let it keep some parts of ``together`` inputs each, and return it as it waits after them.

    With an ``address`` the work is done on that Dask cluster.
    """
    words = [sys.executable, "-c", _PROGRAM, str(source), str(fleet), address, str(jobs), str(together)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n" * (parts - 1))
    process.stdin.flush()
    for _ in range(parts):
        assert process.stdout.readline() == b"\n", process.communicate()
    return process
