"""Writing files whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_UNFINISHED = ".xenp2m-"


@contextmanager
def written(path: str | Path) -> Iterator[IO[bytes]]:
    """Open a file to write: it is there, whole, when the context ends well, and else it is as it was.

    A link leads to its file.  A device or a pipe (``/dev/stdout``) is no file to replace, and is written to
    as it is.  An OSError that this raises names ``path``.
    """
    target = Path(path)
    try:
        if target.exists() and not target.is_file():
            with target.open("wb") as file:
                yield file
            return
        with _replacing(Path(os.path.realpath(target))) as file:
            yield file
    except OSError as error:
        if error.errno is None or not (error.filename is None or _UNFINISHED in str(error.filename)):
            raise  # of what the context reads
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write ``data`` to ``path`` as ``written`` does."""
    with written(path) as file:
        file.write(data)


@contextmanager
def _replacing(target: Path) -> Iterator[IO[bytes]]:
    handle, name = tempfile.mkstemp(prefix=_UNFINISHED, dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
