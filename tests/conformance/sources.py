"""Where recorded cases come from, and how many there are.

Each kind of case lives in a folder named by an environment variable; without it, in the project's own
copy, else in ``../shared`` beside the checkout.  A folder that was named and holds no case is a failure.
"""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
SHARED = TESTS.parent.parent / "shared"


@dataclass(frozen=True)
class Source:
    """One kind of recorded case: its variable, and its folders below the variable, the project and shared."""

    variable: str
    below: str
    own: Path
    shared: Path

    @property
    def named(self) -> bool:
        return self.variable in os.environ

    @cached_property
    def folder(self) -> Path | None:
        """The folder to read, or None where no copy exists."""
        if self.named:
            return Path(os.environ[self.variable]) / self.below
        return next((folder for folder in (self.own, self.shared) if folder.is_dir()), None)


SOURCES = {
    "setup": Source("XENP2M_VECTORS", "setup", TESTS / "vectors/setup", SHARED / "vectors/setup"),
    "p2m": Source("XENP2M_VECTORS", "p2m", TESTS / "vectors/p2m", SHARED / "vectors/p2m"),
    "pte": Source("XENP2M_VECTORS", "pte", TESTS / "vectors/pte", SHARED / "vectors/pte"),
    "log": Source("XENP2M_LOGS", "", TESTS / "data/logs", SHARED / "logs"),
    "capture": Source("XENP2M_CAPTURES", "", TESTS / "data/captures", SHARED / "captures"),
    "dump": Source("XENP2M_DUMPS", "", TESTS / "data/dumps", SHARED / "dumps"),
    "raw": Source("XENP2M_RAW", "", TESTS / "data/raw", SHARED / "raw"),
}


def paths(kind: str, *patterns: str) -> list[Path]:
    """Return the files (or folders) of one kind that match any pattern, sorted by name."""
    folder = SOURCES[kind].folder
    if folder is None or not folder.is_dir():
        return []
    return sorted(path for pattern in patterns for path in folder.glob(pattern))


def load_json(path: Path) -> Any:
    """Read a JSON file, gzipped or not."""
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


def case_name(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".json")
