"""Symbols of a Linux kernel and of Xen: System.map, /proc/kallsyms, nm output, vmlinux and xen-syms files."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BufferedIOBase
from pathlib import Path

from xenp2m.dump.elffile import ELF_MAGIC, Elf
from xenp2m.dump.memory import Image
from xenp2m.errors import FormatError, LimitError, MissingFactError
from xenp2m.units import MIB

_LINE = re.compile(r"(?:0x)?([0-9a-fA-F]{8,16}) ([a-zA-Z?]) (\S+)(?:\s+\[\S+\])?")
_MAX_TEXT = 512 * MIB
_PIECE = MIB
_XEN_ONLY = ("idle_pg_table", "hardware_domain", "dom_xen")
_LINUX_ONLY = ("init_mm", "linux_banner", "xen_start_info", "p2m_top", "xen_p2m_addr")


@dataclass(frozen=True, slots=True)
class Symbols:
    """Virtual addresses by name, of the guest's kernel (``linux``) and of the hypervisor (``xen``).

    Where a name occurs more than once the first address counts.
    """

    linux: Mapping[str, int] = field(default_factory=dict)
    xen: Mapping[str, int] = field(default_factory=dict)


def load(*paths: Path | str) -> Symbols:
    """Read one or more symbol files, gzipped or not; whose they are is told from the names in them.

    Raises FormatError for a file that is none, or that has addresses of zero (kallsyms read without the
    right to), and MissingFactError for one that cannot be read.
    """
    linux: dict[str, int] = {}
    xen: dict[str, int] = {}
    for each in paths:
        path = Path(each)
        table: dict[str, int] = {}
        for name, value in _read(path):
            table.setdefault(name, value)
        if not any(table.values()):
            raise FormatError(
                "no symbols",
                where=str(path),
                expected="lines of address, type and name, or an ELF symbol table",
            )
        into = xen if any(name in table for name in _XEN_ONLY) and not _is_linux(table) else linux
        for name, value in table.items():
            into.setdefault(name, value)
    return Symbols(linux, xen)


def _is_linux(table: Mapping[str, int]) -> bool:
    return any(name in table for name in _LINUX_ONLY)


def _read(path: Path) -> Iterable[tuple[str, int]]:
    try:
        with path.open("rb") as stream:
            magic = stream.read(4)
        if magic.startswith(ELF_MAGIC):
            return Elf(Image(path)).symbols()
        with gzip.open(path) if magic.startswith(b"\x1f\x8b") else path.open("rb") as stream:
            data = _at_most(stream, _MAX_TEXT + 1)
    except (OSError, EOFError) as error:
        raise MissingFactError("cannot read the symbols", where=str(path), found=str(error)) from error
    if len(data) > _MAX_TEXT:
        raise LimitError("too large for symbols", where=str(path), expected=f"at most {_MAX_TEXT} bytes")
    return _lines(data.decode("utf-8", "replace"))


def _at_most(stream: BufferedIOBase, limit: int) -> bytes:
    """Read up to ``limit`` bytes.  Asked for as a whole, they would be allocated whatever the file's size."""
    pieces: list[bytes] = []
    while limit > 0 and (piece := stream.read(min(_PIECE, limit))):
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)


def _lines(text: str) -> Iterator[tuple[str, int]]:
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match:
            yield match[3], int(match[1], 16)
