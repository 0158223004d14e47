"""What a run leaves in a folder: written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from xenp2m.errors import Xenp2mError
from xenp2m.lab.result import Result
from xenp2m.lab.scratch import scratch
from xenp2m.runs import RunMap

RESULT_FILE = "result.json"
MAP_FILE = "map.json"
TRUTH_FILE = "truth.json"
HOST_CONSOLE = "host-xen-console.txt"
"""Xen's console in the capture of a domU."""


def keep(output: Path, result: Result, captures: Mapping[str, Mapping[str, str]]) -> None:
    """Write captures below ``output``, a folder each by its name, and the result into that of the shape.

    That one is written last: where a result is, its captures are.  Older ones are replaced.  Raises
    Xenp2mError where that fails.
    """
    output.mkdir(parents=True, exist_ok=True)
    own = result.shape.name
    for name, files in captures.items():
        if name != own:
            _write(output, name, files)
    verdict = {RESULT_FILE: json.dumps(result.to_json(), indent=1) + "\n"}
    _write(output, own, {**captures.get(own, {}), **verdict})


def capture_files(
    texts: Mapping[str, str], truth: Mapping[str, object], measured: RunMap | None
) -> dict[str, str]:
    """Return the files of a guest's capture by name."""
    files = {**texts, TRUTH_FILE: json.dumps(truth, indent=1) + "\n"}
    if measured is not None:
        files[MAP_FILE] = json.dumps(measured.to_json()) + "\n"
    return files


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Make a folder with these files."""
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)


def _write(output: Path, name: str, files: Mapping[str, str]) -> None:
    target = output / name
    with scratch(output) as made:
        new, old = made / "new", made / "old"
        write_files(new, files)
        try:
            if target.exists():
                target.rename(old)
            new.rename(target)
        except OSError as error:
            raise Xenp2mError(f"cannot write the capture: {error.strerror}", where=str(target)) from error
