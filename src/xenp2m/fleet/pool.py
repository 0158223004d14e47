"""Worker processes that may die or hang: the input that did it is listed, and the work goes on."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any

from xenp2m.errors import InputError, Xenp2mError
from xenp2m.fleet.item import Chunk
from xenp2m.fleet.work import work
from xenp2m.units import format_size

Write = Callable[[str, dict[str, Any]], Any]
"""Stores the tables of a chunk under a name, and returns what the caller is to know of them."""

_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
"""Libraries that take memory for threads and caches that a worker does not need."""
_OUT_OF_MEMORY = 75
"""Exit status of a worker that may have no more memory."""
_PAUSE = 0.25
"""Seconds between two looks at the workers' time."""
_START = 60.0
"""Seconds in which a worker must begin what it was given."""
_MOST_LOST = 3
"""Workers in a row that may end before they begin anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one input may take: seconds, and bytes of a worker's memory."""

    seconds: float
    memory: int


@dataclass
class _Worker:
    """One process: the task that it has, the item of it that it is at (None: not begun), and since when."""

    process: subprocess.Popen[bytes]
    pipe: Connection
    task: tuple[str, Chunk] | None = None
    item: int | None = None
    since: float = field(default_factory=time.monotonic)


class Pool:
    """Does chunks in several processes, in no order.

    A worker that dies, or that is at one item for longer than the limit and is killed for it, is replaced;
    its chunk is done again with that item marked as what it is.
    """

    def __init__(self, jobs: int, limits: Limits, write: Write) -> None:
        self._jobs = jobs
        self._limits = limits
        self._write = write
        self._ready: deque[tuple[str, Chunk]] = deque()
        self._workers: list[_Worker] = []
        self._lost = 0

    def run(self, tasks: Iterator[tuple[str, Chunk]]) -> Iterator[Any]:
        """Do every task (a name and a chunk); yield what ``write`` returned for each, when it is done.

        Raises InputError when no worker can be started, and the OSError of a worker that cannot write.
        """
        exhausted = False
        while True:
            if not exhausted and len(self._ready) < self._jobs:
                task = next(tasks, None)
                exhausted = task is None
                if task is not None:
                    self._ready.append(task)
            while self._ready and (worker := self._idle()) is not None:
                self._give(worker, self._ready.popleft())
            busy = [worker for worker in self._workers if worker.task is not None]
            if not busy and exhausted:
                return
            if busy:
                gets_ready = not exhausted and len(self._ready) < self._jobs
                yield from self._heard(busy, 0 if gets_ready else _PAUSE)
                self._kill_slow()

    def close(self) -> None:
        """End the workers, whatever they do."""
        for worker in self._workers:
            worker.pipe.close()
            worker.process.kill()
            worker.process.wait()

    def _idle(self) -> _Worker | None:
        """Return a worker without a task; a new one as long as there may be more."""
        idle = next((worker for worker in self._workers if worker.task is None), None)
        if idle is None and len(self._workers) < self._jobs:
            idle = self._start()
            self._workers.append(idle)
        return idle

    def _start(self) -> _Worker:
        """Start a process; multiprocessing would run the caller's main module in it once more."""
        ours, theirs = Pipe()
        code = f"from xenp2m.fleet.pool import serve; serve({theirs.fileno()})"
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env={**os.environ, **_ENVIRONMENT},
        )
        theirs.close()
        with suppress(BrokenPipeError, ConnectionResetError):
            ours.send((self._write, self._limits.memory))
        return _Worker(process, ours)

    def _give(self, worker: _Worker, task: tuple[str, Chunk]) -> None:
        worker.task, worker.item, worker.since = task, None, time.monotonic()
        with suppress(BrokenPipeError, ConnectionResetError):  # a dead worker is found when it is waited for
            worker.pipe.send(task)

    def _heard(self, busy: list[_Worker], seconds: float) -> Iterator[Any]:
        for pipe in wait([worker.pipe for worker in busy], timeout=seconds):
            worker = next(each for each in busy if each.pipe is pipe)
            try:
                while worker.task is not None and worker.pipe.poll():
                    done, value = worker.pipe.recv()
                    worker.since = time.monotonic()
                    self._lost = 0
                    if done:
                        worker.task = None
                        if isinstance(value, BaseException):
                            raise value
                        yield value
                    else:
                        worker.item = value
            except (EOFError, ConnectionResetError):
                self._replace(worker, _death(worker.process.wait(), self._limits.memory))

    def _kill_slow(self) -> None:
        now = time.monotonic()
        for worker in list(self._workers):
            limit = _START if worker.item is None else self._limits.seconds
            if worker.task is not None and now - worker.since > limit:
                worker.process.kill()
                worker.process.wait()
                reason = f"one input took longer than {self._limits.seconds:g} seconds"
                self._replace(worker, ("too slow", reason))

    def _replace(self, worker: _Worker, problem: tuple[str, str]) -> None:
        """Start another worker, and have the chunk done again without the item that ended this one."""
        worker.pipe.close()
        self._workers[self._workers.index(worker)] = self._start()
        if worker.task is None:
            return
        name, chunk = worker.task
        if worker.item is None:
            self._lost += 1
            if self._lost == _MOST_LOST:
                raise InputError("worker processes cannot be started", found=problem[1])
        else:
            items = list(chunk.items)
            items[worker.item] = replace(items[worker.item], problem=problem)
            chunk = replace(chunk, items=tuple(items))
        self._ready.appendleft((name, chunk))


def _death(status: int, memory: int) -> tuple[str, str]:
    if status == _OUT_OF_MEMORY:
        return "memory", f"one input needs more than {format_size(memory)} of memory"
    if status < 0:
        name = signal.Signals(-status).name
        hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
        return "killed", f"the process that worked on it was ended by {name}{hint}"
    return "killed", f"the process that worked on it ended (status {status})"


def serve(descriptor: int) -> None:
    """Do chunks, as a worker process, until the other side of its pipe goes away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe = Connection(descriptor)
    with suppress(EOFError, ConnectionResetError, BrokenPipeError):
        write, memory = pipe.recv()
        _limit_memory(memory)
        while True:
            name, chunk = pipe.recv()
            try:
                result = write(name, work(chunk, lambda index: pipe.send((False, index))))
            except MemoryError:
                os._exit(_OUT_OF_MEMORY)
            except (OSError, Xenp2mError) as error:
                result = error
            pipe.send((True, result))


def _limit_memory(memory: int) -> None:
    """Allow this process ``memory`` bytes more than it has."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^VmData:\s+(\d+) kB", status, re.MULTILINE)
    limit = memory + (int(found[1]) << 10 if found else 0)
    with suppress(ValueError, OSError, OverflowError):
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
