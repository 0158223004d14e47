"""Records of made-up machines, and small things to do with fleets in tests."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from xenp2m.fleet.query import Fleet
from xenp2m.fleet.remote import store_at
from xenp2m.fleet.run import Crew, Order, Tally, run
from xenp2m.fleet.schema import TABLES

MIB = 1 << 20
GIB = 1 << 30
SLOW = 4
"""Seconds that no usual machine takes, also where all else is busy."""
KERNELS = ("3.15", "series", "6.1")


def record(name: str, *, ram: int = 8, bar: int = 32 * GIB, **more: Any) -> dict[str, Any]:
    """Return a machine with ``ram`` GiB, a BAR in the hole below 4 GiB and one at ``bar``."""
    return {
        "id": name,
        "kind": "bios",
        "virt": False,
        "e820": [
            [0, 640 << 10, 1],
            [1 * MIB, 3072 * MIB, 1],
            [3072 * MIB, 3200 * MIB, 2],
            [4 * GIB, (ram + 1) * GIB, 1],
        ],
        "bars": [
            ["0000:01:00.0", 0, 0xD000_0000, 16 * MIB, False, False],
            ["0000:02:00.0", 2, bar, 64 * MIB, True, True],
        ],
        **more,
    }


def slow_record() -> dict[str, Any]:
    """Return a machine that takes much longer than SLOW seconds: it has 120,000 BARs."""
    bars = [
        [f"{n >> 16:04x}:{n >> 8 & 255:02x}:{n >> 3 & 31:02x}.{n & 7}", None, n << 30, 4096, True, True]
        for n in range(120_000)
    ]
    return record("slow", bars=bars)


def write_records(path: Path, records: Iterable[dict[str, Any]]) -> Path:
    """Write records as NDJSON, packed if the name says so."""
    text = "".join(f"{json.dumps(each)}\n" for each in records).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def log_of(ram: int) -> str:
    """Return a boot log of a machine with ``ram`` MiB."""
    return (
        "[    0.000000] Linux version 3.12.0\n"
        "[    0.000000] e820: BIOS-provided physical RAM map:\n"
        "[    0.000000] BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable\n"
        f"[    0.000000] BIOS-e820: [mem 0x0000000000100000-{(ram << 20) - 1:#018x}] usable\n"
        "[    0.100000] pci 0000:00:02.0: reg 0x10: [mem 0xfd000000-0xfdffffff pref]\n"
    )


def run_fleet(
    place: Path | str,
    *sources: Path | str,
    kernels: Iterable[str] = KERNELS,
    crew: Crew | None = None,
    told: Callable[[Tally], None] = lambda tally: None,
    **more: Any,
) -> Tally:
    """Run a fleet, in one process if nothing else is said."""
    order = Order(sources=[str(each) for each in sources], kernels=tuple(kernels), **more)
    return run(store_at(place), order, told, crew=crew)


def opened(place: Path | str) -> Fleet:
    """Open a fleet."""
    return Fleet(store_at(place))


def differences(one: Path | str, two: Path | str) -> dict[str, int]:
    """Count the rows of each table that only one of two fleets has; tables that are the same are left out."""
    fleet = opened(one)
    fleet.attach(store_at(two), "two")
    found = {}
    for table in TABLES:
        left, right = f"SELECT * FROM main.{table}", f"SELECT * FROM two.{table}"
        sql = f"SELECT (SELECT count(*) FROM ({left} EXCEPT ALL {right})), "
        sql += f"(SELECT count(*) FROM ({right} EXCEPT ALL {left}))"
        ((more, less),) = fleet.ask(sql).rows
        if more or less:
            found[table] = more + less
    return found


def count(place: Path | str, sql: str) -> int:
    """Return the one number that a question answers."""
    ((number,),) = opened(place).ask(sql).rows
    assert isinstance(number, int)
    return number
