"""ELF headers through pyelftools, with every size checked against the file first.

pyelftools knows the layouts; it trusts offsets, counts and links, so tables are read here as bytes that are
known to lie in the file, one header at a time.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from elftools.common.exceptions import ELFError
from elftools.common.utils import struct_parse
from elftools.elf.elffile import ELFFile

from xenp2m.dump.memory import Image
from xenp2m.errors import FormatError, LimitError

ELF_MAGIC = b"\x7fELF"
_MAX_HEADERS = 1 << 18
_MAX_NOTES = 1 << 26
_MANY = 0xFFFF


@dataclass(frozen=True, slots=True)
class Segment:
    """One program header: its p_type name, and offsets, addresses and sizes in bytes."""

    kind: str
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int


@dataclass(frozen=True, slots=True)
class Section:
    """One section header: offset, size and entry size in bytes; ``link`` and ``kind`` as in the file."""

    name: str
    kind: str
    offset: int
    size: int
    entsize: int
    link: int


@dataclass(frozen=True, slots=True)
class Note:
    """One note: owner name, type, contents, and where its contents are in the file."""

    name: str
    kind: int
    data: bytes
    offset: int


class Elf:
    """The headers of one ELF file."""

    def __init__(self, image: Image) -> None:
        """Read the file header.  Raises FormatError."""
        self.image = image
        head = image.bytes(0, min(64, image.size))
        try:
            elf = ELFFile(io.BytesIO(head.ljust(64, b"\0")))
        except (ELFError, UnicodeDecodeError) as error:
            raise FormatError("damaged ELF header", where=image.name, found=str(error)) from error
        if not elf.little_endian:
            raise FormatError("not an x86 dump", where=image.name, expected="a little-endian ELF file")
        self.structs: Any = elf.structs
        self.header: Any = elf.header
        self.bits = int(elf.elfclass)
        self.machine = str(elf.header["e_machine"])
        self.kind = str(elf.header["e_type"])

    def _table(self, what: str, offset: int, count: int, entsize: int, layout: Any) -> list[Any]:
        size = int(layout.sizeof())
        if count == 0:
            return []
        if count > _MAX_HEADERS:
            raise LimitError(
                f"too many {what}s",
                where=self.image.name,
                expected=f"at most {_MAX_HEADERS}",
                found=str(count),
            )
        if entsize < size:
            raise FormatError(
                f"{what}s are too small", where=self.image.name, expected=f"{size} bytes", found=str(entsize)
            )
        data = io.BytesIO(self.image.bytes(offset, count * entsize, f"the table of {what}s"))
        try:
            return [struct_parse(layout, data, index * entsize) for index in range(count)]
        except ELFError as error:
            raise FormatError(f"damaged {what}", where=self.image.name, found=str(error)) from error

    def _section_headers(self) -> list[Any]:
        header = self.header
        offset, entsize = int(header["e_shoff"]), int(header["e_shentsize"])
        count = int(header["e_shnum"])
        if offset == 0:
            return []
        if count == 0:
            first = self._table("section header", offset, 1, entsize, self.structs.Elf_Shdr)
            count = int(first[0]["sh_size"])
        return self._table("section header", offset, count, entsize, self.structs.Elf_Shdr)

    def segments(self) -> list[Segment]:
        """Return the program headers.  Raises FormatError when the table lies outside the file."""
        header = self.header
        count = int(header["e_phnum"])
        if count == _MANY:
            first = self._table(
                "section header",
                int(header["e_shoff"]),
                1,
                int(header["e_shentsize"]),
                self.structs.Elf_Shdr,
            )
            count = int(first[0]["sh_info"])
        rows = self._table(
            "program header", int(header["e_phoff"]), count, int(header["e_phentsize"]), self.structs.Elf_Phdr
        )
        return [
            Segment(
                str(row["p_type"]),
                row["p_offset"],
                row["p_vaddr"],
                row["p_paddr"],
                row["p_filesz"],
                row["p_memsz"],
            )
            for row in rows
        ]

    def sections(self) -> list[Section]:
        """Return the section headers with their names.  Raises FormatError."""
        rows = self._section_headers()
        names = b""
        index = int(self.header["e_shstrndx"])
        if index < len(rows) and rows[index]["sh_type"] != "SHT_NOBITS":
            names = self.image.bytes(
                int(rows[index]["sh_offset"]), min(int(rows[index]["sh_size"]), 1 << 20), "the section names"
            )
        return [
            Section(
                names[row["sh_name"] :].split(b"\0", 1)[0].decode("ascii", "replace"),
                str(row["sh_type"]),
                row["sh_offset"],
                row["sh_size"],
                row["sh_entsize"],
                row["sh_link"],
            )
            for row in rows
        ]

    def symbols(self) -> Iterator[tuple[str, int]]:
        """Yield the names and values of the symbol table.  Raises FormatError."""
        sections = self.sections()
        for section in sections:
            if section.kind != "SHT_SYMTAB" or section.link >= len(sections):
                continue
            strings = sections[section.link]
            names = self.image.bytes(strings.offset, strings.size, "the symbol names")
            data = self.image.bytes(section.offset, section.size, "the symbol table")
            wide = self.bits == 64
            fields = (
                [
                    ("name", "<u4"),
                    ("info", "u1"),
                    ("other", "u1"),
                    ("shndx", "<u2"),
                    ("value", "<u8"),
                    ("size", "<u8"),
                ]
                if wide
                else [
                    ("name", "<u4"),
                    ("value", "<u4"),
                    ("size", "<u4"),
                    ("info", "u1"),
                    ("other", "u1"),
                    ("shndx", "<u2"),
                ]
            )
            dtype = np.dtype(fields)
            table = np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype)
            for start, value in zip(table["name"].tolist(), table["value"].tolist(), strict=True):
                end = names.find(b"\0", start)
                if start and end > start:
                    yield names[start:end].decode("ascii", "replace"), value


def parse_notes(image: Image, offset: int, size: int) -> list[Note]:
    """Read a block of notes.  Raises FormatError when a note claims more than the block holds."""
    if size > _MAX_NOTES:
        raise LimitError(
            "too many notes", where=image.name, expected=f"at most {_MAX_NOTES:#x} bytes", found=f"{size:#x}"
        )
    return notes_of(image.bytes(offset, size, "the notes"), image.name, offset)


def notes_of(data: bytes, name: str, offset: int) -> list[Note]:
    """Read notes from bytes that lie at ``offset`` of the file ``name``.  Raises FormatError."""
    notes = []
    at = 0
    while at + 12 <= len(data):
        name_size, desc_size, kind = np.frombuffer(data, "<u4", 3, at).tolist()
        if name_size == desc_size == kind == 0:
            break
        start = at + 12 + (name_size + 3) // 4 * 4
        if start + desc_size > len(data):
            raise FormatError(
                "a note is larger than its block",
                where=f"{name}, offset {offset + at:#x}",
                expected=f"at most {len(data) - at:#x} bytes",
                found=f"name {name_size:#x}, contents {desc_size:#x}",
            )
        owner = data[at + 12 : at + 12 + name_size].split(b"\0", 1)[0].decode("ascii", "replace")
        notes.append(Note(owner, kind, data[start : start + desc_size], offset + start))
        at = start + (desc_size + 3) // 4 * 4
    return notes
