"""Fleets to make pages of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xenp2m.draw.page.fleet import render_fleet
from xenp2m.fleet.query import Fleet
from xenp2m.fleet.run import Order, run
from xenp2m.fleet.store import LocalStore

KERNELS = ("3.15", "series", "6.1")


def fleet(folder: Path, *sources: str, kernels: Sequence[str] = KERNELS) -> Fleet:
    """Make a fleet in a folder and open it."""
    store = LocalStore(folder)
    run(store, Order(sources=sources, kernels=kernels))
    return Fleet(store)


def fleet_page(folder: Path, *sources: str, **options: Any) -> Path:
    """Make the page of a fleet and return where it is."""
    target = folder.with_suffix(".html")
    target.write_text(render_fleet(fleet(folder, *sources), folder.name, **options), encoding="utf-8")
    return target


def records(path: Path, *changes: dict[str, Any]) -> str:
    """Write a machine a line: RAM up to 2 GiB, one BAR below and one past 512 GiB, with changes to each."""
    record: dict[str, Any] = {
        "kind": "bios",
        "e820": [[0, 0x9FC00, 1], [0x9FC00, 0x100000, 2], [0x100000, 1 << 31, 1], [0xFE000000, 1 << 32, 2]],
        "bars": [
            ["0000:00:02.0", 0, 0xE0000000, 1 << 24, False, False],
            ["0000:3b:00.0", 2, 7 << 39, 1 << 25, True, True],
        ],
    }
    path.write_text(
        "".join(json.dumps({"id": f"m{at}"} | record | each) + "\n" for at, each in enumerate(changes))
    )
    return str(path)
