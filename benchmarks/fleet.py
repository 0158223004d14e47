"""Fleets of any size: results a second, memory of every process, size of the tables.

``python benchmarks/fleet.py [MACHINES ...] [--jobs N] [--source RECORDS.ndjson.gz] [--texts]``: for each
number of machines, that many are made of the catalogue's records (or those of a file) with variations,
and run under three kernels.  By default 1,000 and 10,000.  With ``--texts`` each is a boot log of 196 KB.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

from xenp2m import catalogue
from xenp2m.fleet.query import Fleet
from xenp2m.fleet.run import KERNELS
from xenp2m.fleet.store import LocalStore
from xenp2m.units import GIB, MIB

_4GIB = 4 * GIB
_PAUSE = 0.2
_TEXT = 196_000
"""Bytes of a boot log of a large machine."""
_KINDS = {1: "usable", 2: "reserved", 3: "ACPI data", 4: "ACPI NVS", 5: "unusable"}


def varied(records: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield records without end: each round with other ends of RAM and other places of high BARs."""
    for turn in count():
        for record in records:
            e820 = [list(entry) for entry in record["e820"]]
            ram = [entry for entry in e820 if entry[2] == 1 and entry[1] - entry[0] > GIB]
            if ram:
                ram[-1][1] -= 4096 * (turn % 251) + 64 * MIB * (turn % 7)
            bars = [
                [*bar[:2], bar[2] + turn % 127 * 32 * MIB if bar[2] >= _4GIB else bar[2], *bar[3:]]
                for bar in record["bars"]
            ]
            yield {**record, "id": f"{record['id']}-{turn}", "e820": e820, "bars": bars}


def records_of(path: str | None) -> list[dict[str, Any]]:
    """Return the records that are varied; those that cannot be predicted are among them."""
    if path is None:
        return [dict(entry.record) for entry in catalogue.entries()]
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for line in lines]


def log_of(record: dict[str, Any]) -> str:
    """Return a boot log that tells a record's facts, with what else a kernel says."""
    lines = ["Linux version 3.12.0 (someone@somewhere) #1 SMP", "e820: BIOS-provided physical RAM map:"]
    for start, end, kind in record["e820"]:
        lines.append(f"BIOS-e820: [mem {start:#018x}-{end - 1:#018x}] {_KINDS.get(kind, f'type {kind}')}")
    for bdf, index, start, size, is_64bit, prefetchable in record["bars"]:
        flags = (" 64bit" if is_64bit else "") + (" pref" if prefetchable else "")
        place = f"[mem {start:#010x}-{start + size - 1:#010x}{flags}]"
        lines.append(f"pci {bdf}: reg {0x10 + 4 * (index or 0):#x}: {place}")
    length = sum(len(line) + 16 for line in lines)
    for number in count():
        if length >= _TEXT:
            break
        line = f"usb {number % 7}-{number % 13}: new high-speed device number {number} using xhci_hcd, ready"
        lines.append(line)
        length += len(line) + 16
    return "".join(f"[{index / 300:12.6f}] {line}\n" for index, line in enumerate(lines))


class Memory(threading.Thread):
    """Watches the resident memory of a process and of its children, in MiB."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self.parent = self.worker = 0.0
        self.over = threading.Event()
        self._process = process

    def run(self) -> None:
        while not self.over.wait(_PAUSE):
            self.parent = max(self.parent, _resident(self._process))
            for task in Path(f"/proc/{self._process}/task").glob("*/children"):
                try:
                    children = task.read_text().split()
                except OSError:
                    continue
                self.worker = max([self.worker, *(_resident(int(child)) for child in children)])


def _resident(process: int) -> float:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096 / MIB
    except (OSError, IndexError):
        return 0.0


def write_sources(folder: Path, machines: Iterator[dict[str, Any]], texts: bool) -> Path:
    """Write machines as a file of records, or as a folder of logs; return it."""
    if texts:
        logs = folder / "logs"
        for number, record in enumerate(machines):
            file = logs / f"{number // 1000:04d}" / f"{number:07d}.log"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(log_of(record))
        return logs
    source = folder / "machines.ndjson.gz"
    with gzip.open(source, "wt", compresslevel=1) as lines:
        lines.writelines(f"{json.dumps(record)}\n" for record in machines)
    return source


def measure(machines: int, jobs: int, records: list[dict[str, Any]], folder: Path, texts: bool) -> None:
    """Make machines, run them as a user does, print the figures."""
    source = write_sources(folder, islice(varied(records), machines), texts)
    fleet = folder / f"fleet-{machines}"
    program = Path(sys.executable).with_name("xenp2m")
    asked = [word for kernel in KERNELS for word in ("--kernel", kernel)]
    started = time.perf_counter()
    process = subprocess.Popen(
        [program, "fleet", "run", source, *asked, "--jobs", str(jobs), "-o", fleet], stdout=subprocess.DEVNULL
    )
    memory = Memory(process.pid)
    memory.start()
    _, status, usage = os.wait4(process.pid, 0)
    spent = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    memory.over.set()
    memory.join()
    ((results,),) = Fleet(LocalStore(fleet)).ask("SELECT count(*) FROM predictions").rows
    size = sum(file.stat().st_size for file in (fleet / "tables").iterdir())
    busy = usage.ru_utime + usage.ru_stime
    print(
        f"{machines:>9,} machines  {results:>9,} results  {spent:7.1f} s  {results / spent:6,.0f} results/s  "
        f"{results / busy:5,.0f} a second of processor  "
        f"parent {memory.parent:4.0f} MiB  worker {memory.worker:4.0f} MiB  "
        f"tables {size / MIB:6.1f} MiB, {size / machines:5,.0f} bytes a machine",
        flush=True,
    )
    shutil.rmtree(fleet)
    if texts:
        shutil.rmtree(source)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("machines", type=int, nargs="*", default=[1000, 10_000])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--source")
    parser.add_argument("--texts", action="store_true")
    asked = parser.parse_args()
    records = records_of(asked.source)
    with tempfile.TemporaryDirectory() as folder:
        for machines in asked.machines:
            measure(machines, asked.jobs, records, Path(folder), asked.texts)


if __name__ == "__main__":
    main()
