"""A fleet in an object store: nothing is renamed, an object is there when it is whole, the manifest last.

Such a store has no locks.  A run puts an object ``run.lock`` and puts another text into it every few
seconds; another run that sees it change stays away.  One that does not change is of a run that was lost.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from xenp2m.errors import InputError, UsageError
from xenp2m.fleet.reach import filesystem, is_url, plain, reason_of, shown, telling
from xenp2m.fleet.store import MANIFEST, LocalStore, Store
from xenp2m.units import MIB

_LOCK = "run.lock"
_BEAT = 4.0
"""Seconds between two texts of the lock."""
_LOST = 15.0
"""Seconds after which a lock that did not change is of a run that was lost."""
_WHOLE = 32 * MIB
"""Files up to this size are fetched in one request."""


class RemoteStore:
    """A store at a URL."""

    def __init__(self, url: str) -> None:
        """Name a store; raises UsageError for a protocol that is not known or not installed."""
        self.url = url.rstrip("/")
        self._fs, self._root = filesystem(self.url)
        self._root = self._root.rstrip("/")
        self._lock = b""

    @property
    def label(self) -> str:
        """The URL, without what is secret in it."""
        return shown(self.url)

    @property
    def arrow(self) -> Any:
        """The filesystem in which Arrow finds ``location``."""
        return self._fs

    def read(self, name: str) -> bytes:
        """Return a file's bytes; raises FileNotFoundError when there is none."""
        with telling(self.url):
            return bytes(self._fs.cat_file(self.location(name)))

    def write(self, name: str, data: bytes | memoryview) -> None:
        """Write a file, whole or not at all.  A run that lost its lock writes no manifest any more."""
        if name == MANIFEST and self._lock and not self._is_ours():
            raise UsageError("another run has taken this fleet over", where=self.label)
        with self._writing():
            self._fs.pipe_file(self.location(name), bytes(data))

    def open(self, name: str) -> IO[bytes]:
        """Open a file to read and to seek in."""
        with telling(self.url):
            if self.size(name) <= _WHOLE:
                return io.BytesIO(self.read(name))
            file: IO[bytes] = self._fs.open(self.location(name), "rb")
            return file

    @contextmanager
    def create(self, name: str) -> Iterator[IO[bytes]]:
        """Open a file to write; it is sent when the context ends well, and there when it was sent whole."""
        with tempfile.NamedTemporaryFile(prefix="xenp2m-") as file:
            yield file
            file.flush()
            with self._writing():
                self._fs.put_file(file.name, self.location(name))

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, sorted; none for a folder that is not there."""
        try:
            with telling(self.url):
                found = self._fs.ls(self.location(folder), detail=False)
        except FileNotFoundError:
            return []
        names = (str(path).rstrip("/").rpartition("/")[2] for path in found)
        return sorted(f"{folder}/{name}" for name in names if name)

    def remove(self, name: str) -> None:
        """Remove a file; it may be gone already."""
        with suppress(FileNotFoundError), telling(self.url):
            self._fs.rm_file(self.location(name))

    def location(self, name: str) -> str:
        """Return where Arrow finds a file."""
        return f"{self._root}/{name}"

    def size(self, name: str) -> int:
        """Return a file's bytes."""
        with telling(self.url):
            return int(self._fs.info(self.location(name))["size"])

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other runs out; raises UsageError when one is going on, InputError if nothing can be kept."""
        self._wait_for_lock()
        over = threading.Event()
        mark = secrets.token_hex(8)
        owner = {"run": mark, "host": socket.gethostname(), "process": os.getpid(), "since": _started()}
        self._put_lock(owner, 0)
        beating = threading.Thread(target=self._beat, args=(owner, over), daemon=True)
        beating.start()
        try:
            yield
        finally:
            over.set()
            beating.join()
            if self._is_ours():
                self.remove(_LOCK)
            self._lock = b""

    def _put_lock(self, owner: dict[str, Any], beat: int) -> None:
        self.write(_LOCK, json.dumps({**owner, "beat": beat}).encode())
        self._lock = owner["run"].encode()

    def _beat(self, owner: dict[str, Any], over: threading.Event) -> None:
        beat = 0
        while not over.wait(_BEAT):
            beat += 1
            with suppress(InputError):  # the store may be back at the next beat
                if not self._is_ours():
                    return
                self._put_lock(owner, beat)

    def _is_ours(self) -> bool:
        with suppress(FileNotFoundError, InputError):
            return self._lock in self.read(_LOCK)
        return False

    def _wait_for_lock(self) -> None:
        """Return when no other run is going on; raises UsageError when one is."""
        first = self._read_lock()
        if first is None or _is_dead(first):
            return
        deadline = time.monotonic() + _LOST
        while time.monotonic() < deadline:
            time.sleep(_BEAT / 4)
            now = self._read_lock()
            if now is None:
                return
            if now != first:
                raise UsageError("another run is writing this fleet", where=self.label)

    def _read_lock(self) -> bytes | None:
        try:
            return self.read(_LOCK)
        except FileNotFoundError:
            return None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with telling(self.url):
            try:
                yield
            except FileNotFoundError as error:  # no such bucket
                found = reason_of(error, self.url)
                raise InputError("cannot be written", where=self.label, found=found) from None


def store_at(place: str | Path) -> Store:
    """Return the store at a path or a URL; raises UsageError for a protocol that is not there, or no name."""
    name = str(place)
    if not name:
        raise UsageError("the name of the fleet is empty", expected="a folder or a URL")
    return RemoteStore(name) if is_url(name) else LocalStore(plain(name))


def _started(process: int | str = "self") -> str:
    """Return when a process of this machine began, in the kernel's ticks, and the boot; "" if it is gone."""
    with suppress(OSError, IndexError):
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        if fields[0] == "Z":
            return ""
        return f"{fields[19]} {Path('/proc/sys/kernel/random/boot_id').read_text().strip()}"
    return ""


def _is_dead(lock: bytes) -> bool:
    """Whether a lock is of a process of this machine that is there no more."""
    with suppress(ValueError, TypeError, KeyError):
        owner = json.loads(lock)
        if owner["host"] == socket.gethostname():
            return bool(_started(int(owner["process"])) != owner["since"])
    return False
