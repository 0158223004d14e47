"""Reading the p2m through /proc/kcore: a kernel's memory, page by page, made here."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from xenp2m.arch import X86_64
from xenp2m.entry import Kind
from xenp2m.errors import FormatError, MissingFactError
from xenp2m.lab.console import Answer
from xenp2m.lab.live import read_live, reader
from xenp2m.runs import Run, RunMap

Words = NDArray[np.uint64]

DIRECT = 0xFFFF_8880_0000_0000
LIST = 0xFFFF_C900_0000_0000
IMAGE = 0xFFFF_FFFF_8100_0000
BASE_MFN = 0x5000
RAM = 1024
SIZE = 3 << 18
IDENTITY_LEAF, MISSING_LEAF, IDENTITY_TABLE, MISSING_TABLE, THIRD, SECOND, FIRST = range(900, 907)
VARIABLES = {
    "xen_p2m_addr": LIST,
    "xen_p2m_size": SIZE,
    "xen_p2m_last_pfn": 2048,
    "page_offset_base": DIRECT,
    "p2m_identity": DIRECT + (IDENTITY_LEAF << 12),
    "p2m_missing": DIRECT + (MISSING_LEAF << 12),
    "p2m_identity_pte": DIRECT + (IDENTITY_TABLE << 12),
    "p2m_missing_pte": DIRECT + (MISSING_TABLE << 12),
}
SYMBOLS = {"init_top_pgt": IMAGE} | {name: IMAGE + 4096 + 8 * i for i, name in enumerate(VARIABLES)}


def entry(pfn: int) -> int:
    return (BASE_MFN + pfn) << 12 | 0x67


def kernel() -> dict[int, Words]:
    """Return a kernel's pages by address: 1024 frames of RAM with a hole, then shared pages of both kinds."""
    pages = {IMAGE: np.zeros(512, np.uint64), IMAGE + 4096: np.zeros(512, np.uint64)}
    pages[IMAGE][LIST >> 39 & 511] = entry(THIRD)
    pages[IMAGE + 4096][: len(VARIABLES)] = np.array(list(VARIABLES.values()), np.uint64)
    tables = {pfn: np.zeros(512, np.uint64) for pfn in (THIRD, SECOND, FIRST)}
    tables[THIRD][LIST >> 30 & 511] = entry(SECOND)
    tables[SECOND][:3] = [entry(FIRST), entry(MISSING_TABLE), entry(IDENTITY_TABLE)]
    tables[FIRST][:] = entry(IDENTITY_LEAF)
    tables[FIRST][:2] = [entry(10), entry(11)]
    tables[FIRST][2] = entry(MISSING_LEAF)
    pages |= {DIRECT + (pfn << 12): table for pfn, table in tables.items()}
    words = np.full(2048, X86_64.invalid, np.uint64)
    words[:RAM] = np.arange(BASE_MFN, BASE_MFN + RAM, dtype=np.uint64)
    words[160:256] = np.arange(160, 256, dtype=np.uint64) | np.uint64(1 << 62)
    pages |= {LIST + 4096 * i: words[512 * i : 512 * i + 512] for i in range(4)}
    return pages


@dataclass
class Guest:
    """Answers the lines of shell that read the kcore file of these pages.

    The list is one segment, each other page another.
    """

    pages: dict[int, Words]
    asked: list[tuple[int, int]] = field(default_factory=list)

    def ask(self, command: str) -> Answer:
        found = re.search(r"if=/proc/kcore bs=4096 skip=(\d+) count=(\d+)", command)
        assert found, command
        first, count = int(found[1]), int(found[2])
        self.asked.append((first, count))
        return Answer(0, self.file()[4096 * first : 4096 * (first + count)])

    def file(self) -> bytes:
        single = [at for at in sorted(self.pages) if not 0 <= at - LIST < 4 * 4096]
        places = [(LIST, 256, 4), *((at, number, 1) for number, at in enumerate(single, start=1))]
        rows = [
            struct.pack("<IIQQQQQQ", 1, 7, number << 12, at, 0, count << 12, count << 12, 4096)
            for at, number, count in places
        ]
        head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
            "<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, len(rows), 0, 0, 0
        )
        data = bytearray(260 << 12)
        data[: len(head) + 56 * len(rows)] = head + b"".join(rows)
        for at, number, count in places:
            for page in range(count):
                words = self.pages[at + 4096 * page].astype("<u8").tobytes()
                data[(number + page) << 12 : (number + page + 1) << 12] = words
        return bytes(data)


def read(pages: dict[int, Words], symbols: dict[str, int] = SYMBOLS) -> RunMap:
    return read_live(reader(Guest(pages)), symbols)


def test_shared_pages_are_told_apart_and_own_ones_are_read() -> None:
    assert read(kernel()) == RunMap(
        X86_64,
        SIZE,
        Kind.IDENTITY,
        [
            Run(0, 160, Kind.RAM, BASE_MFN),
            Run(160, 96, Kind.IDENTITY, None),
            Run(256, RAM - 256, Kind.RAM, BASE_MFN + 256),
            Run(RAM, 512, Kind.MISSING, None),
            Run(1536, (1 << 18) - 1536, Kind.IDENTITY, None),
            Run(1 << 18, 1 << 18, Kind.MISSING, None),
            Run(2 << 18, 1 << 18, Kind.IDENTITY, None),
        ],
    )


def test_a_kernel_without_a_list_is_not_read() -> None:
    with pytest.raises(MissingFactError, match="xen_p2m_addr"):
        read(kernel(), {"init_top_pgt": IMAGE})
    pages = kernel()
    pages[IMAGE + 4096][0] = 0
    with pytest.raises(MissingFactError, match="no linear p2m list"):
        read(pages)


def test_a_page_table_outside_of_memory_is_an_error() -> None:
    pages = kernel()
    pages[DIRECT + (THIRD << 12)][:] = 0x9_9999 << 12 | 0x67
    with pytest.raises(MissingFactError, match="0x99999"):
        read(pages)


def test_what_is_no_core_is_an_error() -> None:
    for data in (b"", b"no such file\n", b"\x7fELF\x02\x01".ljust(4096, b"\xff")):
        with pytest.raises(FormatError):
            read_live(lambda offset, size, data=data: data[offset : offset + size], SYMBOLS)  # type: ignore[misc]


def test_no_page_is_asked_for_twice() -> None:
    guest = Guest(kernel())
    read_live(reader(guest), SYMBOLS)
    single = [first for first, count in guest.asked if count == 1]
    assert sorted(set(single)) == sorted(single)
