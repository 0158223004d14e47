"""What is done already and what was met in this run, in a few bytes a machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from xenp2m.fleet.schema import WORK

_PENDING = 1 << 15


class Numbers:
    """A set of 64-bit numbers in sorted arrays, eight bytes each."""

    def __init__(self) -> None:
        self._sorted: list[NDArray[np.uint64]] = []
        self._pending: set[int] = set()

    def add(self, number: int) -> bool:
        """Add a number; return whether it was new."""
        if number in self:
            return False
        self._pending.add(number)
        if len(self._pending) >= _PENDING:
            self._settle()
        return True

    def __contains__(self, number: int) -> bool:
        return number in self._pending or any(_holds(array, number) for array in self._sorted)

    def _settle(self) -> None:
        """Make an array of what is pending, and join arrays of like length, so that there are few."""
        made = np.sort(np.fromiter(self._pending, np.uint64, len(self._pending)))
        self._pending.clear()
        while self._sorted and len(self._sorted[-1]) <= 2 * len(made):
            made = np.sort(np.concatenate([self._sorted.pop(), made]))
        self._sorted.append(made)


def _holds(array: NDArray[np.uint64], number: int) -> bool:
    at = int(np.searchsorted(array, np.uint64(number)))
    return at < len(array) and int(array[at]) == number


class Done:
    """The work that a fleet holds: under which key a machine was done for which kernels."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Take the rows of the table of work, oldest first: of a machine the newest key counts."""
        machines, keys, kernels, names = _gathered(batches)
        order = np.arange(len(machines))
        newest = np.lexsort((order, machines))
        last = np.ones(len(newest), np.bool_)
        last[:-1] = machines[newest][1:] != machines[newest][:-1]
        current = keys[newest[last]]
        groups: NDArray[np.intp] = np.cumsum(last) - last
        alive = keys[newest] == current[groups] if len(newest) else np.zeros(0, np.bool_)
        kept = newest[alive]
        self._keys = {name: np.sort(keys[kept[kernels[kept] == number]]) for number, name in enumerate(names)}

    def kernels(self, key: bytes) -> set[str]:
        """Return the kernels for which the input with this key was done."""
        wanted = np.array(key, _KEY)
        found: set[str] = set()
        for name, keys in self._keys.items():
            at = int(np.searchsorted(keys, wanted))
            if at < len(keys) and keys[at] == wanted:
                found.update(name.split(" ") if name else ())
                found.add("")
        return found


_KEY = np.dtype("S16")


def _gathered(
    batches: Iterable[pa.RecordBatch],
) -> tuple[NDArray[np.uint64], NDArray[np.bytes_], NDArray[np.int32], list[str]]:
    names: dict[str, int] = {}
    machines: list[NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
    keys: list[NDArray[np.bytes_]] = [np.zeros(0, _KEY)]
    kernels: list[NDArray[np.int32]] = [np.zeros(0, np.int32)]
    for batch in batches:
        machines.append(batch.column("machine").to_numpy())
        keys.append(np.array(batch.column("key").to_pylist(), _KEY))
        numbers: Iterator[int] = (
            names.setdefault(name, len(names)) for name in batch.column("kernels").to_pylist()
        )
        kernels.append(np.fromiter(numbers, np.int32, batch.num_rows))
    return np.concatenate(machines), np.concatenate(keys), np.concatenate(kernels), list(names)


COLUMNS = [column.name for column in WORK.columns]
