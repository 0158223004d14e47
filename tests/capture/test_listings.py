"""Listings of a running system: /proc/iomem, /sys/firmware/memmap, PCI resource files, lspci."""

from __future__ import annotations

import pytest

from capture.writers import ENDS, LAPTOP, QUOTES, Printer, memmap, memmap_grep, plain
from xenp2m.capture import Severity, read_text, require_map
from xenp2m.errors import MissingFactError
from xenp2m.machine import Bar, E820Entry, MapSource, Window

IOMEM = """\
00000000-00000fff : Reserved
00001000-0009cfff : System RAM
0009d000-000fffff : Reserved
  000a0000-000bffff : PCI Bus 0000:00
  000f0000-000fffff : System ROM
00100000-7bdfffff : System RAM
  02000000-02ffffff : Kernel code
80000000-dfffffff : PCI Bus 0000:00
  80000000-8fffffff : 0000:00:02.0
  90000000-901fffff : PCI Bus 0000:03
    90000000-900fffff : 0000:03:00.0
      90000000-900fffff : nic
fec00000-fec00fff : PNP0003:00
fee00000-fee00fff : Local APIC
  fee00000-fee00fff : Reserved
100000000-27dffffff : System RAM
380000000000-38ffffffffff : PCI Bus 0000:00
  380000000000-3800ffffffff : 0000:05:00.0
"""
IOMEM_MAP = (
    E820Entry(0, 0x1000, 2),
    E820Entry(0x1000, 0x9D000, 1),
    E820Entry(0x9D000, 0x100000, 2),
    E820Entry(0x100000, 0x7BE00000, 1),
    E820Entry(0x100000000, 0x27E000000, 1),
)


@pytest.mark.parametrize("quote", QUOTES)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("flat", [False, True])
def test_iomem(quote: str, end: str, flat: bool) -> None:
    lines = [line.strip() if flat else line for line in IOMEM.splitlines()]
    machine = read_text("".join(QUOTES[quote](line) + ENDS[end] for line in lines), "iomem").machine
    assert machine.e820 == IOMEM_MAP
    assert machine.e820_source is MapSource.IOMEM
    assert machine.bars == (
        Bar("0000:00:02.0", None, 0x80000000, 0x10000000),
        Bar("0000:03:00.0", None, 0x90000000, 0x100000),
        Bar("0000:05:00.0", None, 0x380000000000, 0x100000000),
    )
    assert Window("0000:03", 0x90000000, 0x90200000) in machine.windows


def test_iomem_says_which_ranges_it_left_out() -> None:
    assert any("1 map ranges lie inside" in note.text for note in read_text(IOMEM, "iomem").notes)


def test_iomem_read_without_privilege() -> None:
    zero = "".join(f"00000000-00000000 : {line.split(' : ')[1]}\n" for line in IOMEM.splitlines())
    capture = read_text(zero, "iomem")
    assert capture.machine.e820 == ()
    assert capture.machine.bars == ()
    with pytest.raises(MissingFactError, match="read it as root"):
        require_map(capture)


def test_two_iomem_listings_in_one_mail() -> None:
    text = IOMEM + "\n" * 10 + "and the other machine:\n" + IOMEM.replace("27dffffff", "37dffffff")
    capture = read_text(text, "mail")
    assert capture.machine.e820[-1].end == 0x37E000000
    assert any("2 different /proc/iomem listings; number 2" in note.text for note in capture.notes)


@pytest.mark.parametrize(
    ("last", "lost"),
    [("27dffffff : System RAM", 0), ("27dffffff : Syst", 1), ("27dffffff : ", 1), ("27d", 1), ("", 1)],
)
def test_iomem_that_was_cut(last: str, lost: int) -> None:
    capture = read_text(IOMEM[: IOMEM.index("27dffffff")] + last, "iomem")
    assert capture.machine.e820 == IOMEM_MAP[: len(IOMEM_MAP) - lost]
    assert any("cut" in note.text for note in capture.notes) == bool(lost)


@pytest.mark.parametrize("printed", [memmap, memmap_grep])
def test_firmware_memmap(printed: Printer) -> None:
    machine = read_text(plain(printed(LAPTOP)), "memmap").machine
    assert machine.e820 == LAPTOP
    assert machine.e820_source is MapSource.FIRMWARE


@pytest.mark.parametrize("printed", [memmap, memmap_grep])
def test_two_firmware_memmaps_are_not_mixed(printed: Printer) -> None:
    other = (E820Entry(0, 0x8000, 1), E820Entry(0x100000, 0x200000, 1))
    for first, second in ((LAPTOP, other), (other, LAPTOP)):
        capture = read_text(plain([*printed(first), *printed(second)]), "mail")
        assert capture.machine.e820 == LAPTOP
        assert any("2 different /sys/firmware/memmap listings" in note.text for note in capture.notes)
    assert not read_text(plain([*printed(LAPTOP), *printed(LAPTOP)]), "mail").notes


def test_firmware_memmap_of_types_that_linux_does_not_know() -> None:
    row = "0 0x0 0xfff Unknown E820 type"
    assert read_text(plain([row, "1 0x1000 0x1fff System RAM"]), "memmap").machine.e820[0].type == 2


RESOURCES = """\
device 0000:00:02.0 vendor 0x1af4 device 0x1110 class 0x050000
0x00000000febfe000 0x00000000febfe0ff 0x0000000000040200
0x000000000000c000 0x000000000000c0ff 0x0000000000040101
0x0000000200000000 0x0000000200ffffff 0x000000000014220c
0x0000000000000000 0x0000000000000000 0x0000000000000000
0x0000000000000000 0x0000000000000000 0x0000000000000000
0x0000000000000000 0x0000000000000000 0x0000000000000000
0x00000000000c0000 0x00000000000dffff 0x0000000000000212
0x0000000300000000 0x00000003000fffff 0x0000000000140204
device 0000:00:1c.0 vendor 0x8086 device 0x1111 class 0x060400
0x00000000fe000000 0x00000000fe000fff 0x0000000000040200
0x0000000000000000 0x0000000000000000 0x0000000000000000
0x0000000000000000 0x0000000000000000 0x0000000000000000
0x0000000000000000 0x0000000000000000 0x0000000000000000
0x0000000000000000 0x0000000000000000 0x0000000000000000
0x0000000000000000 0x0000000000000000 0x0000000000000000
0x0000000000000000 0x0000000000000000 0x0000000000000000
0x0000000000001000 0x0000000000001fff 0x0000000000000101
0x00000000fd000000 0x00000000fdffffff 0x0000000000000200
"""


def test_pci_resource_files() -> None:
    machine = read_text(RESOURCES, "pci").machine
    assert machine.bars == (
        Bar("0000:00:02.0", 0, 0xFEBFE000, 0x100),
        Bar("0000:00:02.0", 2, 0x200000000, 0x1000000, True, True),
        Bar("0000:00:02.0", 7, 0x300000000, 0x100000, True, False),
        Bar("0000:00:1c.0", 0, 0xFE000000, 0x1000),
    )
    assert machine.windows == (Window("0000:00:1c.0", 0xFD000000, 0xFE000000),)


def test_pci_resource_files_through_grep() -> None:
    rows = RESOURCES.splitlines()[1:9]
    text = plain([f"/sys/bus/pci/devices/0000:00:02.0/resource:{row}" for row in rows])
    bars = read_text(plain(RESOURCES.splitlines()[:9]), "pci").machine.bars
    assert read_text(text, "pci").machine.bars == bars
    assert read_text(text.replace("/sys/bus/pci/devices/", ""), "pci").machine.bars == bars


LSPCI = """\
00:00.0 Host bridge [0600]: Example Host Bridge [8086:0001] (rev 07)
\tLatency: 0
00: 86 80 40 2a 06 01 90 20 07 00 00 06 00 00 00 00
10: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00

00:02.0 VGA compatible controller [0300]: Example Graphics [8086:0002] (prog-if 00 [VGA controller])
\tRegion 0: Memory at f4400000 (64-bit, non-prefetchable) [size=4M]
\tRegion 2: Memory at 4000000000 (64-bit, prefetchable) [size=256M]
\tRegion 4: I/O ports at 1800 [size=8]
\tRegion 5: Memory at <unassigned> (32-bit, non-prefetchable) [size=4K]
\tExpansion ROM at 000c0000 [virtual] [disabled] [size=128K]
\tCapabilities: [320] Single Root I/O Virtualization (SR-IOV)
\t\tInitial VFs: 7, Total VFs: 7, Number of VFs: 0, Function Dependency Link: 00
\t\tRegion 0: Memory at 0000004010000000 (64-bit, non-prefetchable)
\tCapabilities: [ac] MSI: Enable- Count=1/1 Maskable- 64bit-

00:1c.0 PCI bridge [0604]: Example Root Port [8086:0003] (prog-if 00 [Normal decode])
\tMemory behind bridge: fb000000-fb0fffff [size=1M] [32-bit]
\tPrefetchable memory behind bridge: 00000000fff00000-00000000000fffff [disabled]

10000:e1:00.0 Non-Volatile memory controller: Example SSD
\tRegion 0: Memory at fb000000 (64-bit, non-prefetchable) [disabled] [size=16K]
\tRegion 4: Memory at 4017001000 (64-bit, non-prefetchable) [virtual] [size=4K]
\tExpansion ROM at fb010000 [disabled] [size=64K]
"""


@pytest.mark.parametrize("quote", QUOTES)
def test_lspci(quote: str) -> None:
    capture = read_text(plain([QUOTES[quote](line) for line in LSPCI.splitlines()]), "lspci")
    assert capture.machine.bars == (
        Bar("0000:00:02.0", 0, 0xF4400000, 0x400000, True, False),
        Bar("0000:00:02.0", 2, 0x4000000000, 0x10000000, True, True),
        Bar("10000:e1:00.0", 0, 0xFB000000, 0x4000, True, False),
        Bar("10000:e1:00.0", 4, 0x4017001000, 0x1000, True, False),
        Bar("10000:e1:00.0", 6, 0xFB010000, 0x10000),
    )
    assert capture.machine.windows == (Window("0000:00:1c.0", 0xFB000000, 0xFB100000),)
    assert any("without a size" in note.text for note in capture.notes)
    lacks = [note for note in capture.notes if note.severity is Severity.LACK]
    assert "no memory map" in lacks[0].text
    with pytest.raises(MissingFactError, match="PCI BARs only"):
        require_map(capture)


@pytest.mark.parametrize("blank", [" [size", " non"])
def test_lspci_wrapped_by_mail(blank: str) -> None:
    region = "Region 0: Memory at 380000000000 (64-bit, non-prefetchable) [size=16K]"
    head, tail = region.split(blank)
    text = f"> 03:00.0 Network: Example NIC\n> \t{head}\n> {blank.strip()}{tail}\n"
    assert read_text(text, "mail").machine.bars == (Bar("0000:03:00.0", 0, 0x380000000000, 0x4000, True),)


def test_lspci_brief_form_names_no_registers() -> None:
    text = "0000:03:00.0 Network: Example NIC\n\tMemory at 92000000 (64-bit, prefetchable) [size=32K]\n"
    assert read_text(text, "lspci").machine.bars == (
        Bar("0000:03:00.0", None, 0x92000000, 0x8000, True, True),
    )


def test_lspci_twice_in_one_mail() -> None:
    header = "03:00.0 Network: Example NIC\n"
    brief = header + "\tMemory at 92000000 (64-bit, prefetchable) [size=32K]\n"
    full = header + "\tRegion 0: Memory at 92000000 (64-bit, prefetchable) [size=32K]\n"
    bar = Bar("0000:03:00.0", 0, 0x92000000, 0x8000, True, True)
    for text in (brief + full, full + brief, full + full):
        capture = read_text(text, "mail")
        assert capture.machine.bars == (bar,)
        assert not [note for note in capture.notes if note.severity is Severity.WARNING]
    moved = read_text(full.replace("92000000", "38000000000") + full, "mail")
    assert moved.machine.bars == (bar,)
    assert any("1 registers stand at two places" in note.text for note in moved.notes)
