"""The files that memory comes in.  Each is recognised by its magic; nothing is tried to see if it fits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xenp2m.dump.containers import dumpcore, elf, kdump, raw
from xenp2m.dump.containers.base import Dump
from xenp2m.dump.containers.flat import FLAT_MAGIC
from xenp2m.dump.containers.spool import Progress, compression, peek, spool
from xenp2m.dump.elffile import ELF_MAGIC, Elf
from xenp2m.dump.memory import Image
from xenp2m.errors import FormatError, MissingFactError, UsageError

__all__ = ["Dump", "Progress", "is_dump", "open_dump"]

_MAGICS = (ELF_MAGIC, kdump.KDUMP_MAGIC, FLAT_MAGIC)


def is_dump(path: Path | str) -> bool:
    """Say whether a file begins as a dump does, unpacked if it is compressed; a raw image never does.

    A pipe is left alone: what is read from it here would be gone for those who read captures.
    """
    try:
        if not Path(path).is_file():
            return False
        with Path(path).open("rb") as stream:
            magic = stream.read(16)
            method = compression(magic)
            if method is not None:
                magic = peek(stream, method, 16)
    except OSError:
        return False
    return magic.startswith(_MAGICS)


def open_dump(
    path: Path | str | Sequence[Path | str], *, as_raw: bool = False, progress: Progress | None = None
) -> Dump:
    """Open a dump: ``xl dump-core``, ELF (vmcore, QEMU), kdump-compressed (flattened or not), raw.

    ``path`` may be a list: the parts of a split kdump.  A file compressed with zstd, xz or gzip is unpacked
    into a temporary file that vanishes with the process; ``progress(done, total)`` is told the compressed
    bytes.  A raw memory image has no magic and is taken as one only ``as_raw``.  Raises FormatError,
    LimitError, MissingFactError.
    """
    paths = [Path(path)] if isinstance(path, (str, Path)) else [Path(each) for each in path]
    if not paths:
        raise UsageError("no dump was named")
    images = [_image(each, progress) for each in paths]
    first = images[0]
    magic = first.bytes(0, min(16, first.size))
    if as_raw:
        opener = "raw"
    elif magic.startswith(ELF_MAGIC):
        opener = "elf"
    elif magic.startswith((kdump.KDUMP_MAGIC, FLAT_MAGIC)):
        return kdump.open_kdump(images)
    else:
        raise FormatError(
            "not a known dump",
            where=first.name,
            expected="the magic of an ELF or kdump file (a raw memory image must be named as such)",
            found=magic.hex(" "),
        )
    if len(images) > 1:
        raise UsageError("only a kdump file can be split into several")
    if opener == "raw":
        return raw.open_raw(first)
    headers = Elf(first)
    sections = {section.name: section for section in headers.sections()}
    if ".note.Xen" in sections or ".xen_pages" in sections:
        return dumpcore.open_dumpcore(headers, sections)
    return elf.open_elf(headers)


def _image(path: Path, progress: Progress | None) -> Image:
    try:
        if path.exists() and not path.is_file():
            raise FormatError("not a dump", where=str(path), expected="a regular file")
        with path.open("rb") as stream:
            magic = stream.read(8)
            method = compression(magic)
            if method is not None:
                stream.seek(0)
                return spool(stream, method, path.name, progress)
        return Image(path)
    except OSError as error:
        raise MissingFactError("cannot read the file", where=str(path), found=error.strerror or "") from error
