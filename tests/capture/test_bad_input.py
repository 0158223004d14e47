"""Damaged, hostile and mistaken input: one clear error or a noted result, and never a long wait."""

from __future__ import annotations

import contextlib

import pytest

from capture.writers import LAPTOP, linux_new, linux_old, plain
from xenp2m.capture import read_text, require_map
from xenp2m.capture import text as text_module
from xenp2m.errors import FormatError, LimitError, MissingFactError
from xenp2m.machine import E820Entry


@pytest.mark.parametrize("text", ["", "\n\n", "   "])
def test_empty(text: str) -> None:
    with pytest.raises(MissingFactError, match="empty"):
        read_text(text, "log.txt")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"\x7fELF\x02\x01", "ELF"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (bytes(range(256)) * 4, "binary"),
    ],
)
def test_binary(data: bytes, found: str) -> None:
    with pytest.raises(FormatError, match=found):
        read_text(data, "core")


def test_unknown_text_says_what_to_add() -> None:
    with pytest.raises(MissingFactError, match="add dmesg"):
        read_text("Dear list,\nnothing boots.\n", "mail")


def test_log_without_a_map() -> None:
    capture = read_text(
        plain(
            ["Linux version 6.1.0 (b) (gcc) #1", "pci 0000:00:02.0: reg 0x10: [mem 0xd0000000-0xd0000fff]"]
        ),
        "log",
    )
    assert len(capture.machine.bars) == 1
    with pytest.raises(MissingFactError, match="found PCI BARs only"):
        require_map(capture)


@pytest.mark.parametrize("cut", range(1, 60))
def test_cut_in_the_map(cut: int) -> None:
    capture = read_text(plain(linux_new(LAPTOP))[:-cut], "log")
    whole = capture.machine.e820 == LAPTOP
    assert whole or capture.machine.e820 == LAPTOP[:-1]
    assert whole or any("cut" in note.text for note in capture.notes)


def test_overlapping_and_unsorted_entries_are_kept() -> None:
    entries = (E820Entry(0x100000, 0x8000000, 1), E820Entry(0, 0xA0000, 1), E820Entry(0x200000, 0x300000, 2))
    assert read_text(plain(linux_new(entries)), "log").machine.e820 == entries


def test_empty_entry_is_kept() -> None:
    lines = ["BIOS-e820: [mem 0x0000000000001000-0x0000000000000fff] reserved", *linux_new(LAPTOP)]
    assert read_text(plain(lines), "log").machine.e820[0] == E820Entry(0x1000, 0x1000, 2)


def test_entry_that_ends_before_it_starts() -> None:
    lines = [*linux_new(LAPTOP), "BIOS-e820: [mem 0x0000000000005000-0x0000000000000fff] reserved"]
    with pytest.raises(FormatError, match=r"log.txt, line 8: .*before it starts"):
        read_text(plain(lines), "log.txt")
    old = [*linux_old(LAPTOP)[:1], " BIOS-e820: 0000000000005000 - 0000000000001000 (usable)"]
    with pytest.raises(FormatError, match="line 2"):
        read_text(plain(old), "log.txt")


def test_addresses_over_64_bits() -> None:
    lines = [*linux_new(LAPTOP), "BIOS-e820: [mem 0x10000000000000000-0x1000000000000ffff] reserved"]
    with pytest.raises(FormatError, match=r"log.txt, line 8: address over 64 bits"):
        read_text(plain(lines), "log.txt")
    bar = "pci 0000:00:02.0: reg 0x10: [mem 0xfffffffffffff0000-0xfffffffffffffffff 64bit]"
    with pytest.raises(FormatError, match="over 64 bits"):
        read_text(plain([*linux_new(LAPTOP), bar]), "log.txt")
    with pytest.raises(FormatError, match="over 64 bits"):
        read_text("00000000-fffffffffffffffff : System RAM\n", "iomem")


def test_whole_address_space_is_allowed() -> None:
    line = "BIOS-e820: [mem 0x0000000000000000-0xffffffffffffffff] reserved"
    assert read_text(plain([line]), "log").machine.e820 == (E820Entry(0, 1 << 64, 2),)


def test_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "MAX_TEXT", 1000)
    with pytest.raises(LimitError, match="too large"):
        read_text("x" * 1001, "log")


def test_endless_map() -> None:
    line = linux_new(LAPTOP)[0]
    with pytest.raises(LimitError, match="too many lines"):
        read_text(plain([line] * 20000), "log")


def test_utf16_and_stray_nuls() -> None:
    assert read_text(plain(linux_new(LAPTOP)).encode("utf-16"), "log").machine.e820 == LAPTOP
    assert read_text(plain(linux_new(LAPTOP)).encode() + b"\0\0\n", "log").machine.e820 == LAPTOP


HOSTILE = {
    "quotes": b">" * 300_000 + b"\nBIOS-e820: \n(XEN)\n : System RAM\nMemory at f (",
    "blanks": b" " * 300_000 + b"x\nBIOS-e820: \n(XEN)\n00000000-00000fff : System RAM\n",
    "xen": b"(XEN) " * 60_000,
    "xen command": b"(XEN) Command line: " * 20_000,
    "cpu": b"Linux version 6.1 (\n" + b"CPU0: " * 60_000,
    "brackets": b"BIOS-e820: [mem 0x0-" * 20_000,
    "map lines": b"BIOS-e820: [mem broken\n" * 10_000,
    "bdf": b"pci 0000:00:00.0: BAR 0 [mem " * 20_000,
    "iomem name": b"00000000-00000fff : System RAM" + b" " * 300_000 + b"x\n",
    "iomem depth": b"".join(b"%08x-%08x : System RAM\n" % (i, 2_000_000 - i) for i in range(30_000)),
    "memmap": b"0 0x0 0xfff " + b"System RAM " * 30_000,
    "freebsd": b"Physical memory chunk(s):\n" + b'Origin="GenuineIntel" ' * 20_000,
    "lspci": b"00:00.0 a: b\n" + b"Memory at 0 (" * 20_000,
    "bridges": b"".join(b"pci %04x:00:00.0: PCI bridge to [bus 01]\n" % i for i in range(20_000)),
    "digits": b"%(d)b 0x0 0xf System RAM\nBIOS-e820: [mem 0x0-0xf] type %(d)b\nReleased %(d)b page(s)\n"
    b"(XEN) System RAM: 1MB (%(d)bkB)\nCommand line: mem=%(d)b\n" % {b"d": b"9" * 5000},
    "json digits": b'{"kind": "bios", "e820": [[0, %b, 1]], "bars": []}' % (b"9" * 5000),
    "json infinity": b'{"kind": "bios", "e820": [[0, Infinity, 1]], "bars": []}',
    "json": b'{"format": "xenp2m.machine/1", "e820": ' + b"[" * 100_000,
}


@pytest.mark.timeout(300)  # what is no hang ends in a second
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_read_to_its_end(name: str) -> None:
    with contextlib.suppress(FormatError, MissingFactError, LimitError):
        read_text(HOSTILE[name], "hostile")
