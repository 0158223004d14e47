"""Writing cpio archives of the "newc" kind, which is what Linux unpacks as its first file system."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"
_DEV_CONSOLE = (5, 1)


@dataclass(frozen=True, slots=True)
class Node:
    """One entry: a path without leading slash, the file type and permissions, and what it holds.

    ``device`` is the (major, minor) pair of a device node; ``changed`` is the time of the last change, in
    seconds since 1970.
    """

    path: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)
    changed: int = 0


def folder(path: str) -> Node:
    """Return a folder that anybody can enter."""
    return Node(path, stat.S_IFDIR | 0o755)


def program(path: str, data: bytes, changed: int = 0) -> Node:
    """Return an executable file."""
    return Node(path, stat.S_IFREG | 0o755, data, changed=changed)


def link(path: str, target: str) -> Node:
    """Return a symbolic link."""
    return Node(path, stat.S_IFLNK | 0o777, target.encode())


def console(path: str) -> Node:
    """Return the console device, which the kernel opens before the first program runs."""
    return Node(path, stat.S_IFCHR | 0o600, device=_DEV_CONSOLE)


def write(nodes: Iterable[Node]) -> bytes:
    """Return the archive of the nodes; the folders that hold them are added before them."""
    out = bytearray()
    for number, node in enumerate(_with_folders(nodes), start=1):
        _append(out, node, number)
    _append(out, Node(_TRAILER, 0), 0)
    return bytes(out)


def _with_folders(nodes: Iterable[Node]) -> Iterator[Node]:
    made: set[str] = set()
    for node in nodes:
        for parent in reversed(PurePosixPath(node.path).parents[:-1]):
            if str(parent) not in made:
                made.add(str(parent))
                yield folder(str(parent))
        if node.path not in made:
            made.add(node.path)
            yield node


def _append(out: bytearray, node: Node, number: int) -> None:
    name = node.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(node.mode) else 1
    fields = (number, node.mode, 0, 0, links, node.changed, len(node.data), 0, 0, *node.device, len(name), 0)
    out += _MAGIC + b"".join(b"%08X" % field for field in fields) + name
    _pad(out)
    out += node.data
    _pad(out)


def _pad(out: bytearray) -> None:
    out += bytes(-len(out) % 4)
