"""The same work on a Dask cluster that is there already.

This process goes through the sources and keeps a bounded number of chunks on the way; it alone keeps the
results, so that each is kept once however often a chunk was done.  On the cluster, each thread of a worker
has a process of its own for the work, under the limits that hold on one machine: an input that ends it, or
holds it up, does not end the worker.
"""

from __future__ import annotations

import logging
import queue
import re
import socket
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import dask
from distributed import Client, KilledWorker

from xenp2m.errors import InputError, UsageError, Xenp2mError
from xenp2m.fleet.carry import with_content
from xenp2m.fleet.gathered import Packed, pack
from xenp2m.fleet.item import Chunk
from xenp2m.fleet.pool import Limits, Pool
from xenp2m.fleet.reach import is_url
from xenp2m.fleet.run import program_hash
from xenp2m.units import MIB

_ADDRESS = re.compile(r"(?:tcp|tls|ws|wss)://\[?(?P<host>[^\s\[\]/]+)\]?:(?P<port>\d{1,5})")
_ANSWER = 6.0
"""Seconds in which a scheduler must answer."""
_NO_WORKERS = 60.0
"""Seconds without any worker, or without the scheduler, after which a run ends."""
_LOOK = 2.0
"""Seconds between two looks at the cluster's workers."""
_PAUSE = 0.25
_AHEAD = 2
"""Chunks on the way for each thread of the cluster."""
_MOST_BYTES = 256 * MIB
"""Bytes of chunks on the way, more only where one chunk alone has more."""
_Future = Any
"""distributed's Future; its methods have no types."""

_own = threading.local()


def do(name: str, chunk: Chunk, limits: Limits, program: str) -> Packed:
    """Do one chunk, on a worker of the cluster.  Raises UsageError when this is another program."""
    if program != program_hash():
        raise UsageError(
            "another version of xenp2m on a worker of the cluster", expected=program, found=program_hash()
        )
    had = getattr(_own, "pool", None)
    if had is None or had[0] != limits:
        if had is not None:
            had[1].close()
        _own.pool = had = limits, Pool(1, limits, pack)
    try:
        (packed,) = had[1].run(iter([(name, chunk)]))
    except BaseException:
        had[1].close()
        del _own.pool
        raise
    assert isinstance(packed, Packed)
    return packed


@dataclass(frozen=True, slots=True)
class _Task:
    """A chunk on its way; one that workers died of is done ``alone``, so that it is known to be to blame."""

    name: str
    chunk: Chunk
    alone: bool = False

    @property
    def size(self) -> int:
        return sum(item.bytes_held for item in self.chunk.items)


class Cluster:
    """A Dask cluster that does chunks, in no order."""

    def __init__(self, address: str, limits: Limits) -> None:
        """Connect to a scheduler.

        Raises UsageError when there is none at ``address``, when it has no workers, or when it or a worker is
        of another version.
        """
        self._address = address
        self._limits = limits
        self._flying: dict[_Future, _Task] = {}
        self._ready: deque[_Task] = deque()
        self._suspects: deque[_Task] = deque()
        self._landed: queue.SimpleQueue[_Future] = queue.SimpleQueue()
        self._threads = 0
        self._looked = self._seen = time.monotonic()
        self._client: Any = _connect(address)
        try:
            _require_same_versions(self._client, address)
            self._wait_for_workers()
            _require_same_program(self._client, address)
        except BaseException:
            self.close()
            raise

    def run(self, tasks: Iterator[tuple[str, Chunk]]) -> Iterator[Packed]:
        """Do every task once; yield its results.

        Raises InputError when the cluster is lost or cannot do the work, UsageError for a worker of another
        version.
        """
        while True:
            while self._has_room() and (task := self._next(tasks)) is not None:
                self._send(task)
            if not self._flying:
                return
            self._look()
            with suppress(queue.Empty):
                yield from self._take(self._landed.get(timeout=_PAUSE))

    def close(self) -> None:
        """Cancel what is on the way and let go of the cluster."""
        with suppress(Exception):  # the cluster may be gone
            if self._flying:
                _within(_ANSWER, lambda: self._client.cancel(list(self._flying), force=True))
        self._flying.clear()
        with suppress(Exception):
            self._client.close(timeout=_ANSWER)

    def _next(self, tasks: Iterator[tuple[str, Chunk]]) -> _Task | None:
        """Return what is to be sent next, None if there is nothing, or nothing yet."""
        if self._ready:
            return self._ready.popleft()
        task = next(tasks, None)
        if task is not None:
            return _Task(task[0], _carried(task[1]))
        return self._suspects.popleft() if self._suspects and not self._flying else None

    def _has_room(self) -> bool:
        if not self._flying:
            return True
        if len(self._flying) >= max(self._threads, 1) * _AHEAD:
            return False
        return sum(task.size for task in self._flying.values()) < _MOST_BYTES

    def _send(self, task: _Task) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the size of a chunk, which is bounded
            future = self._client.submit(
                do, task.name, task.chunk, self._limits, program_hash(), key=f"xenp2m-{task.name}", pure=False
            )
        self._flying[future] = task
        future.add_done_callback(self._landed.put)

    def _take(self, future: _Future) -> Iterator[Packed]:
        task = self._flying.get(future)
        if task is None:
            return
        if future.status == "finished":
            try:
                packed: Packed = future.result(timeout=_ANSWER)
            except Exception:
                # Its worker was lost before the result came here, and it is being done again; or the
                # scheduler was, which the next look tells.
                time.sleep(_PAUSE)
                self._landed.put(future)
                return
            del self._flying[future]
            future.release()
            yield packed
            return
        del self._flying[future]
        if future.status != "error":  # dropped by the scheduler, as a restart does
            self._look(at_once=True)
            self._ready.append(replace(task, name=_again(task.name)))
            return
        error = future.exception(timeout=_ANSWER)
        future.release()
        if isinstance(error, KilledWorker):
            self._suspects.extendleft(_suspected(task))
        elif isinstance(error, Xenp2mError):
            raise error
        else:
            raise InputError("the cluster cannot do the work", where=self._address, found=_line(error))

    def _look(self, *, at_once: bool = False) -> None:
        """Count the cluster's threads now and then; raises InputError when it is lost."""
        now = time.monotonic()
        if now - self._looked < _LOOK and not at_once:
            return
        self._looked = now
        with suppress(Exception):
            self._threads = sum(_within(_ANSWER, self._client.nthreads).values())
            if self._threads:
                self._seen = time.monotonic()
        if self._client.status in ("closing", "closed"):
            raise InputError("the scheduler is lost; what is done is kept", where=self._address)
        if time.monotonic() - self._seen > _NO_WORKERS:
            raise InputError(
                f"no workers for {_NO_WORKERS:g} seconds; what is done is kept", where=self._address
            )

    def _wait_for_workers(self) -> None:
        deadline = time.monotonic() + _ANSWER
        while not self._threads:
            if time.monotonic() > deadline:
                raise UsageError("the cluster has no workers", where=self._address)
            time.sleep(_PAUSE)
            self._look(at_once=True)


def _carried(chunk: Chunk) -> Chunk:
    """Return a chunk whose inputs from this machine carry their content; what has a URL is fetched there."""
    items = (item if is_url(item.source) else with_content(item) for item in chunk.items)
    return replace(chunk, items=tuple(items))


def _again(name: str) -> str:
    """Return the name under which a task is done once more: the scheduler may remember the first."""
    return f"{name}-a"


def _suspected(task: _Task) -> Iterator[_Task]:
    """Yield what to do in place of a task that workers died of.

    They may have died of another one: so it is done once more while there is nothing else, then each of its
    inputs is; an input of which workers die then is to blame.
    """
    items = task.chunk.items
    if not task.alone:
        yield replace(task, name=_again(task.name), alone=True)
    elif len(items) > 1:
        for index, item in enumerate(items):
            yield _Task(f"{task.name}-{index}", replace(task.chunk, items=(item,)), alone=True)
    else:
        problem = "killed", "the cluster's workers that worked on it died, one after another"
        item = replace(items[0], problem=problem, files=(), data=b"")
        yield _Task(_again(task.name), replace(task.chunk, items=(item,)), alone=True)


def _connect(address: str) -> Any:
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise UsageError("not the address of a Dask scheduler", expected="tcp://HOST:PORT", found=address)
    # What its libraries have to say of a lost peer is said by the errors here.
    for name in ("distributed", "tornado", "asyncio", *logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("distributed", "tornado", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    dask.config.set({"distributed.comm.timeouts.connect": f"{_ANSWER:g}s"})
    client: Any = Client
    try:
        # Dask would go on trying where nobody listens.
        socket.create_connection((match["host"], int(match["port"])), timeout=_ANSWER).close()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other versions, which are looked at here
            return _within(1.5 * _ANSWER, lambda: client(address, timeout=_ANSWER, set_as_default=False))
    except Exception as error:
        found = str(getattr(error, "strerror", None) or _line(error))
        raise UsageError("no Dask scheduler answers", where=address, found=found) from None


def _require_same_versions(client: Any, address: str) -> None:
    """Refuse a cluster with which Dask cannot be trusted to talk."""
    found = _within(_ANSWER, lambda: client.get_versions(check=False))
    ours = _versions(found["client"])
    theirs = {"the scheduler": found["scheduler"], **found["workers"]}
    for name, info in theirs.items():
        if info is not None and _versions(info) != ours:
            raise UsageError(
                f"{name} of the cluster has other versions",
                where=address,
                expected=", ".join(ours),
                found=", ".join(_versions(info)),
            )


def _versions(info: dict[str, Any]) -> list[str]:
    python = ".".join(str(info["host"]["python"]).split(".")[:2])
    packages = dict(info["packages"])
    return [f"Python {python}", *(f"{name} {packages.get(name)}" for name in ("dask", "distributed"))]


def _require_same_program(client: Any, address: str) -> None:
    found = _within(_ANSWER * 2, lambda: client.run(program_hash, on_error="return"))
    for worker, answer in found.items():
        if isinstance(answer, Exception):
            raise UsageError(
                f"no xenp2m of this version on worker {worker}", where=address, found=_line(answer)
            )
        if answer != program_hash():
            raise UsageError(
                f"another version of xenp2m on worker {worker}",
                where=address,
                expected=program_hash(),
                found=str(answer),
            )


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """Return what a call returns, or raise what it raises; TimeoutError when it takes longer."""
    answer: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answer.put((True, call()))
        except BaseException as error:
            answer.put((False, error))

    threading.Thread(target=ask, daemon=True).start()
    try:
        good, value = answer.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError("no answer in time") from None
    if not good:
        raise value
    return value


def _line(error: BaseException | None) -> str:
    text = " ".join(str(error).split())
    return text[:200] or type(error).__name__
