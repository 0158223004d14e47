"""Mutate every text format and archive kind, read the result, and predict from what reads.

Each case depends on the seed, its subject and its number alone, so that one can be run again by itself:

    make fuzz
    python -m fuzz.fuzz_texts --cases 500 --seed 7 --only "Xen console"
    python -m fuzz.fuzz_texts --seed 7 --only "Xen console" --case 123

Exit status 1: an exception that is none of xenp2m's errors, a run over 2 s, or more than 500 MB.
"""

from __future__ import annotations

import argparse
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

from fuzz import samples
from xenp2m.capture import read_files, read_text, require_map
from xenp2m.errors import Xenp2mError
from xenp2m.prediction import predict

SLOWEST = 2.0
"""Seconds that a run may take."""
LARGEST = 500
"""Megabytes that the process may take."""
_HANGS = 30.0
_KERNELS = ("3.2", "3.15", "series", "3.18", "4.4", "6.1", "6.12")
_SHOWN = 3


@dataclass
class Tally:
    """What came of the cases of one subject."""

    name: str
    cases: int = 0
    read: int = 0
    predicted: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0
    slowest_case: int = 0
    peak: float = 0.0

    @property
    def failed(self) -> bool:
        return bool(self.faults) or self.slowest > SLOWEST or self.peak > LARGEST


class _HungError(BaseException):
    """A run took so long that it was stopped."""


def _stop(number: int, frame: FrameType | None) -> None:
    raise _HungError


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", type=int, default=10_000, help="mutations of each subject (10000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="subjects at a time")
    parser.add_argument("--only", help="one subject by its name")
    parser.add_argument("--case", type=int, help="one case by its number, with its input kept in a file")
    chosen = parser.parse_args()
    subjects = [s for s in (*samples.texts(), *samples.packed()) if chosen.only in {None, s.name}]
    if not subjects:
        parser.error(f"no subject {chosen.only!r}")
    if chosen.case is not None:
        return _one(subjects[0], chosen.seed, chosen.case)
    print(f"seed {chosen.seed}, {chosen.cases} cases of each of {len(subjects)} subjects")
    print(f"{'subject':26} {'cases':>7} {'read':>7} {'predicted':>9} {'slowest':>9} {'peak':>8}  errors")
    # A process of its own for each subject, so that its memory can be told from that of others.
    with multiprocessing.get_context("fork").Pool(chosen.jobs, maxtasksperchild=1) as pool:
        work = [(subject.name, chosen.seed, chosen.cases) for subject in subjects]
        tallies = []
        for tally in pool.imap(run_cases, work, chunksize=1):
            _print(tally)
            tallies.append(tally)
    total = sum(tally.cases for tally in tallies)
    bad = [tally.name for tally in tallies if tally.failed]
    print(f"{total} cases: {'all well' if not bad else 'faults in ' + ', '.join(bad)}")
    return 1 if bad else 0


def run_cases(work: tuple[str, int, int]) -> Tally:
    """Run the cases of one subject: its name, the seed, and how many."""
    name, seed, cases = work
    subject = next(s for s in (*samples.texts(), *samples.packed()) if s.name == name)
    tally = Tally(name)
    signal.signal(signal.SIGALRM, _stop)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "case"
        for number in range(cases):
            data = _input(subject, seed, number)
            started = time.perf_counter()
            signal.setitimer(signal.ITIMER_REAL, _HANGS)
            try:
                _try(subject, data, number, path, tally)
            except Xenp2mError as error:
                tally.errors[type(error).__name__] += 1
                if "\n" in str(error):
                    tally.faults.append(f"case {number}: an error of several lines: {error!s:.300}")
            except (Exception, _HungError) as error:
                tally.errors[type(error).__name__] += 1
                where = "".join(traceback.format_exception(error)[-3:])
                tally.faults.append(f"case {number}: {where}")
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            seconds = time.perf_counter() - started
            if seconds > tally.slowest:
                tally.slowest, tally.slowest_case = seconds, number
            tally.cases += 1
    tally.peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return tally


def _input(subject: samples.Subject, seed: int, number: int) -> bytes:
    rng = random.Random(f"{seed} {subject.name} {number}")
    data = subject.mutate(rng.choice(subject.samples), rng, rng.choice(subject.samples))
    return data if subject.pack is None else subject.pack(data)


def _try(subject: samples.Subject, data: bytes, number: int, path: Path, tally: Tally) -> None:
    if subject.is_text:
        capture = read_text(data, "case")
    else:
        path.write_bytes(data)
        capture = read_files([path])
    tally.read += 1
    predict(require_map(capture), _KERNELS[number % len(_KERNELS)])
    tally.predicted += 1


def _one(subject: samples.Subject, seed: int, number: int) -> int:
    path = Path(f"fuzz-case-{number}")
    data = _input(subject, seed, number)
    path.write_bytes(data)
    print(f"{path}: {len(data)} bytes, kernel {_KERNELS[number % len(_KERNELS)]}")
    _try(subject, data, number, path, Tally(subject.name))
    return 0


def _print(tally: Tally) -> None:
    errors = ", ".join(f"{name} {count}" for name, count in tally.errors.most_common())
    print(
        f"{tally.name:26} {tally.cases:7} {tally.read:7} {tally.predicted:9} {tally.slowest:7.3f} s"
        f" {tally.peak:5.0f} MB  {errors}",
        flush=True,
    )
    if tally.slowest > SLOWEST:
        print(f"  too slow: case {tally.slowest_case}")
    for fault in tally.faults[:_SHOWN]:
        print("  " + fault.rstrip().replace("\n", "\n  "))
    if len(tally.faults) > _SHOWN:
        print(f"  and {len(tally.faults) - _SHOWN} more faults")


if __name__ == "__main__":
    sys.exit(main())
