"""This very Python and this very xenp2m as a file system for a guest, where ``inspect --live`` is run.

Nothing is fetched: the files that the program consists of on this machine are packed with their paths, below
a folder into which the guest changes its root.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xenp2m.lab import cpio
from xenp2m.lab.errors import LabError

ROOT = "/python"
"""The folder in the guest."""

_SECONDS = 120
_LEFT_OUT = re.compile(r"/(tests?|f2py|include|site-packages)/")
_MOUNTED = {"proc": "mounts", "sys": "kernel", "dev": "null"}
"""Folders of the guest that the program sees too, and what is in each."""


@dataclass(frozen=True, slots=True)
class GuestPython:
    """The archive of the file system, and the line of shell that runs xenp2m in a guest that has it.

    The line lacks xenp2m's own arguments.
    """

    archive: bytes
    line: str


def build() -> GuestPython:
    """Pack the running Python.  Raises LabError where that cannot be done."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "xenp2m.lab.loaded"],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        raise LabError("this Python cannot be packed", found=done.stderr.strip().splitlines()[-1])
    found = json.loads(done.stdout)
    if found["loader"] is None:
        raise LabError("this Python cannot be packed", expected="one that is linked dynamically")
    folders = [cpio.folder(f"{ROOT[1:]}/{name}") for name in (*_MOUNTED, "tmp")]
    return GuestPython(cpio.write([*folders, *_nodes(found)]), _line(found))


def _nodes(found: dict[str, Any]) -> Iterator[cpio.Node]:
    libraries = [Path(path) for path in found["libraries"]]
    for path in (Path(found["interpreter"]), *libraries):
        yield _file(path)
        # Programs name a library by the link to it.
        for name in path.parent.glob(path.name.partition(".so")[0] + ".so*"):
            if name.is_symlink() and name.resolve() == path:
                yield cpio.link(f"{ROOT[1:]}{name}", path.name)
    for module in map(Path, found["modules"]):
        for path in sorted(module.rglob("*.py")) if module.is_dir() else (module,):
            if module.is_dir() and _LEFT_OUT.search(f"/{path.relative_to(module)}"):
                continue
            yield _file(path)
            # Compiling in an emulated machine would take longer than everything else.
            tag = sys.implementation.cache_tag
            yield from map(_file, (path.parent / "__pycache__").glob(f"{path.stem}.{tag}.pyc"))


def _file(path: Path) -> cpio.Node:
    return cpio.program(f"{ROOT[1:]}{path}", path.read_bytes(), int(path.stat().st_mtime))


def _line(found: dict[str, Any]) -> str:
    homes = dict.fromkeys(str(Path(path).parent) for path in found["libraries"])
    mounts = " && ".join(
        f"{{ [ -e {ROOT}/{name}/{inside} ] || mount --bind /{name} {ROOT}/{name}; }}"
        for name, inside in _MOUNTED.items()
    )
    run = [
        *("env", "-i", f"PYTHONPATH={':'.join(found['path'])}", "PYTHONDONTWRITEBYTECODE=1"),
        *("chroot", ROOT, found["loader"], "--library-path", ":".join(homes)),
        *(found["interpreter"], "-m", "xenp2m"),
    ]
    return f"{mounts} && {shlex.join(run)}"
