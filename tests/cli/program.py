"""Run the installed command as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / "data"
CAPTURES = DATA / "captures"


@dataclass(frozen=True)
class Result:
    status: int
    out: str
    err: str


def run(*args: str | Path, stdin: bytes = b"", env: dict[str, str] | None = None) -> Result:
    """Run ``xenp2m`` with ``args``; output is decoded as UTF-8."""
    program = Path(sys.executable).with_name("xenp2m")
    surroundings = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(
        [program, *map(str, args)],
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
        env={**surroundings, "PYTHONIOENCODING": "utf-8", **(env or {})},
    )
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


def assert_one_clear_error(result: Result, *words: str) -> None:
    """Check that the program said in one line why it cannot tell, and nothing else."""
    assert result.status == 2, result
    assert result.out == ""
    assert result.err.count("\n") == 1, result.err
    assert "Traceback" not in result.err
    for word in words:
        assert word in result.err
