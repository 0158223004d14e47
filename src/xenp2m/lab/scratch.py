"""Folders that live as long as a process, and are swept after one that was killed."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = ".xenp2m-lab-"
_NAME = re.compile(re.escape(_PREFIX) + r"(\d+)-.*")


@contextmanager
def scratch(parent: Path | None = None) -> Iterator[Path]:
    """Make a private folder below ``parent``, or where temporary files go, and remove it at the end.

    What a killed process left behind in the same place is removed too.
    """
    home = parent or Path(tempfile.gettempdir())
    sweep(home)
    made = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=home))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def sweep(home: Path) -> None:
    """Remove the scratch folders in ``home`` whose process is gone."""
    for path in home.glob(f"{_PREFIX}*"):
        match = _NAME.fullmatch(path.name)
        if match and not _alive(int(match[1])):
            shutil.rmtree(path, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
