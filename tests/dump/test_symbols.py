"""Symbols: the forms that they come in, and whose they are."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from pathlib import Path

import pytest

from xenp2m.dump import symbols
from xenp2m.errors import FormatError

LINUX = "ffffffff81000000 T _text\nffffffff82c38d70 D xen_p2m_addr\nffffffffa0001000 t probe\t[driver]\n"
XEN = "0xffff82d04045b850 D hardware_domain\n0xffff82d04046e000 D idle_pg_table\n"


def vmlinux(names: dict[str, int]) -> bytes:
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in names)
    table = bytes(24) + b"".join(
        struct.pack("<IBBHQQ", strings.index(name.encode() + b"\0"), 1, 0, 1, value, 8)
        for name, value in names.items()
    )
    at = 64
    sections = [
        bytes(64),
        struct.pack("<IIQQQQIIQQ", 0, 2, 0, 0, at, len(table), 2, 0, 8, 24),
        struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, at + len(table), len(strings), 0, 0, 1, 0),
    ]
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 2, 62, 1, 0, 0, at + len(table) + len(strings), 0, 64, 0, 0, 64, 3, 2
    )
    return head + table + strings + b"".join(sections)


def test_texts(tmp_path: Path) -> None:
    (tmp_path / "kallsyms").write_text(LINUX)
    (tmp_path / "xen-syms.map.gz").write_bytes(gzip.compress(XEN.encode()))
    found = symbols.load(tmp_path / "kallsyms", tmp_path / "xen-syms.map.gz")
    assert found.linux == {
        "_text": 0xFFFF_FFFF_8100_0000,
        "xen_p2m_addr": 0xFFFF_FFFF_82C3_8D70,
        "probe": 0xFFFF_FFFF_A000_1000,
    }
    assert found.xen["hardware_domain"] == 0xFFFF_82D0_4045_B850


def test_a_small_file_takes_little_memory(tmp_path: Path) -> None:
    """A domU of 400 MiB cannot give 512 MiB for a file that says nothing of its size."""
    (tmp_path / "kallsyms").write_text(LINUX)
    tracemalloc.start()
    try:
        symbols.load(tmp_path / "kallsyms")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_elf(tmp_path: Path) -> None:
    names = {"p2m_top": 0xFFFF_FFFF_8100_1000, "p2m_missing": 0xFFFF_FFFF_8100_1008}
    (tmp_path / "vmlinux").write_bytes(vmlinux(names))
    assert symbols.load(tmp_path / "vmlinux").linux == names


def test_kallsyms_without_the_right_to_read_it(tmp_path: Path) -> None:
    (tmp_path / "kallsyms").write_text("0000000000000000 T _text\n0000000000000000 D xen_p2m_addr\n")
    with pytest.raises(FormatError, match="no symbols"):
        symbols.load(tmp_path / "kallsyms")
