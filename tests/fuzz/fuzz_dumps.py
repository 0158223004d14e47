"""Mutate a dump of every form and give it to the commands that read dumps.

Each case depends on the seed, its form and its number alone, so that one can be run again by itself:

    make fuzz
    python -m fuzz.fuzz_dumps --cases 500 --seed 7 --only "kdump zlib"
    python -m fuzz.fuzz_dumps --seed 7 --only "kdump zlib" --case 123

Exit status 1: an exception, an answer that is none (a status, an address for a missing frame, more than one
line on stderr), a run over 5 s, or more than 400 MB over what the program takes by itself.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from writers.hostile import FORMS, mutated, original
from xenp2m.cli import run

SLOWEST = 5.0
"""Seconds that a run may take."""
LARGEST = 400
"""Megabytes that the process may take beyond what it took before."""
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("inspect", "--json"),
    ("inspect",),
    ("inspect", "--json", "--va", "0xffff888000001000", "--va", "0x1000", "--find-bar", "0x100000000+4G"),
    ("audit", "--format", "json"),
    ("translate", "--pfn", "3", "--mfn", "0x16", "--json"),
)
_HANGS = 30.0
_SHOWN = 3


class WrongAnswerError(Exception):
    """The program answered, and must not have answered so."""


class _HungError(BaseException):
    """A run took so long that it was stopped."""


@dataclass
class Tally:
    """What came of the cases of one form."""

    name: str
    cases: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0
    slowest_case: int = 0
    grown: float = 0.0

    @property
    def failed(self) -> bool:
        return bool(self.faults) or self.slowest > SLOWEST or self.grown > LARGEST


def run_case(form: str, seed: int, number: int, path: Path) -> int:
    """Run one case; return the exit status.  Raises WrongAnswerError, or whatever the program raises."""
    path.write_bytes(mutated(original(form), random.Random(f"{seed} {form} {number}")))
    name, *options = COMMANDS[number % len(COMMANDS)]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run([name, str(path), *options])
    if status not in (0, 1, 2) or (status == 1 and name != "audit"):
        raise WrongAnswerError(f"exit status {status}")
    if (status == 2) != (err.getvalue().count("\n") == 1) or (status != 2 and err.getvalue()):
        raise WrongAnswerError(f"status {status} and on stderr: {err.getvalue()!r:.300}")
    if name == "inspect" and "--json" in options and out.getvalue():
        check_maps(json.loads(out.getvalue()))
    return status


def check_maps(value: dict[str, Any]) -> None:
    """Check that no missing or ambiguous frame has an address."""
    for domain in value["domains"]:
        if domain["map"] is None:
            continue
        for pfn, count, kind, mfn in domain["map"]["runs"]:
            if kind == "missing" and mfn is not None:
                raise WrongAnswerError(f"missing frame {pfn:#x} at machine frame {mfn:#x}")
            if kind in ("ram", "foreign") and (mfn is None or mfn + count > 1 << 62):
                raise WrongAnswerError(f"{kind} frame {pfn:#x} at machine frame {mfn}")
        for start, end, _, _ in domain["ambiguous"]:
            for pfn, count, kind, _ in domain["map"]["runs"]:
                if pfn < end and pfn + count > start and kind != "missing":
                    raise WrongAnswerError(f"[{start:#x}, {end:#x}) cannot be told and is {kind}")


def _stop(number: int, frame: FrameType | None) -> None:
    raise _HungError


def _run(work: tuple[str, int, int]) -> Tally:
    form, seed, cases = work
    tally = Tally(form)
    signal.signal(signal.SIGALRM, _stop)
    before = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(cases):
            started = time.perf_counter()
            signal.setitimer(signal.ITIMER_REAL, _HANGS)
            try:
                tally.statuses[run_case(form, seed, number, Path(folder) / "case")] += 1
            except (Exception, _HungError) as error:
                where = "".join(traceback.format_exception(error)[-3:])
                tally.faults.append(f"case {number}: {where}")
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            seconds = time.perf_counter() - started
            if seconds > tally.slowest:
                tally.slowest, tally.slowest_case = seconds, number
            tally.cases += 1
            if number == len(COMMANDS):  # by then every module is imported
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    tally.grown = max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000 - before, 0)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", type=int, default=200, help="mutations of each form (200)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="forms at a time")
    parser.add_argument("--only", help="one form by its name")
    parser.add_argument("--case", type=int, help="one case by its number, with its input kept in a file")
    chosen = parser.parse_args()
    forms = [form for form in FORMS if chosen.only in {None, form}]
    if not forms:
        parser.error(f"no form {chosen.only!r}; there are {', '.join(FORMS)}")
    if chosen.case is not None:
        path = Path(f"fuzz-case-{chosen.case}")
        print(f"{path}: {' '.join(COMMANDS[chosen.case % len(COMMANDS)])}")
        print(f"exit status {run_case(forms[0], chosen.seed, chosen.case, path)}")
        return 0
    print(f"seed {chosen.seed}, {chosen.cases} cases of each of {len(forms)} forms")
    print(f"{'form':20} {'cases':>6} {'slowest':>9} {'grown':>8}  by exit status")
    with multiprocessing.get_context("fork").Pool(chosen.jobs, maxtasksperchild=1) as pool:
        tallies = []
        for tally in pool.imap(_run, [(form, chosen.seed, chosen.cases) for form in forms], chunksize=1):
            statuses = ", ".join(f"{status}: {count}" for status, count in sorted(tally.statuses.items()))
            print(
                f"{tally.name:20} {tally.cases:6} {tally.slowest:7.2f} s {tally.grown:5.0f} MB  {statuses}",
                flush=True,
            )
            for fault in tally.faults[:_SHOWN]:
                print(fault)
            tallies.append(tally)
    total = sum(tally.cases for tally in tallies)
    bad = [tally.name for tally in tallies if tally.failed]
    print(f"{total} cases: {'all well' if not bad else 'faults in ' + ', '.join(bad)}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
