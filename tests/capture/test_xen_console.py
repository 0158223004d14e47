"""Xen's console: both forms of the map, and how dom0 was built."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

import pytest

from capture.writers import LAPTOP, QUOTES, linux_new, plain, xen_new, xen_old
from xenp2m.capture import Severity, read_text
from xenp2m.errors import UsageError
from xenp2m.machine import E820Entry, MapSource

DOM0 = """\
(XEN) Command line: placeholder dom0_mem=1024M,max:2048M loglvl=all
(XEN) CPU Vendor: AMD, Family 23 (0x17), Model 1 (0x1), Stepping 1 (raw 00800f11)
(XEN) ACPI: Local APIC address 0xfee00000
(XEN) IOAPIC[0]: apic_id 0, version 33, address 0xfec00000, GSI 0-23
(XEN) [VT-D]drhd->address = fed90000 iommu->reg = ffff82c000201000
(XEN) [VT-D] drhd->address = fed91000 iommu->reg = ffff82c000203000
(XEN) *** Building a PV Dom0 ***
(XEN)  Dom0 kernel: 64-bit, PAE, lsb, paddr 0x1000000 -> 0x2a00000
(XEN) PHYSICAL MEMORY ARRANGEMENT:
(XEN)  Dom0 alloc.:   0000000240000000->0000000248000000 (225280 pages to be allocated)
(XEN)  Init. ramdisk: 000000027d000000->000000027dffff00
(XEN) VIRTUAL MEMORY ARRANGEMENT:
(XEN)  Loaded kernel: ffffffff81000000->ffffffff82a00000
(XEN)  Init. ramdisk: ffffffff82a00000->ffffffff83a00000
(XEN)  Phys-Mach map: ffffffff83a00000->ffffffff83c00000
(XEN)  Start info:    ffffffff83c00000->ffffffff83c004b8
(XEN)  Page tables:   ffffffff83c01000->ffffffff83c24000
(XEN)  Boot stack:    ffffffff83c24000->ffffffff83c25000
(XEN)  TOTAL:         ffffffff80000000->ffffffff84000000
"""


@pytest.mark.parametrize("printed", [xen_new, xen_old])
@pytest.mark.parametrize(
    "prefix", ["(XEN) ", "(XEN)", "(XEN) [2026-01-02 03:04:05] ", "(XEN) [    0.000000] ", "", "[    1.5] "]
)
@pytest.mark.parametrize("quote", QUOTES)
def test_map_is_read_in_every_dress(printed: Callable[..., list[str]], prefix: str, quote: str) -> None:
    lines = ["(XEN) Xen version 4.17.3 (b@example)", *printed(LAPTOP, prefix)]
    capture = read_text(plain([QUOTES[quote](line) for line in lines]), "xl-dmesg")
    assert capture.machine.e820 == LAPTOP
    assert capture.machine.e820_source is MapSource.XEN
    assert capture.machine.xen_version == "4.17.3"


def test_dom0_and_cpu() -> None:
    machine = read_text(plain(xen_new(LAPTOP)) + DOM0, "console").machine
    assert machine.nr_pages == 262144
    assert machine.dom0_mem == "1024M,max:2048M"
    assert machine.max_reservation == 524288
    assert machine.bits == 64
    assert (machine.cpu_vendor, machine.cpu_family) == ("AMD", 23)
    assert machine.io_apics == (0xFEC00000,)
    assert machine.iommus == (0xFED90000, 0xFED91000)
    assert machine.local_apic == 0xFEE00000
    assert machine.kernel == (0x1000000, 0x2A00000)
    assert machine.p2m_list == (0x3A00000, 0x3C00000)
    assert machine.page_tables == (0x3C01000, 0x3C24000)


def test_dom0_frames_by_allocation_alone_and_for_32_bit() -> None:
    without = "".join(line + "\n" for line in DOM0.splitlines() if "Phys-Mach" not in line)
    assert read_text(plain(xen_new(LAPTOP)) + without, "console").machine.nr_pages == 32768 + 225280 + 4096
    narrow = DOM0.replace("64-bit, PAE", "32-bit, PAE").replace("ffffffff83c00000\n", "ffffffff83b00000\n")
    assert read_text(plain(xen_new(LAPTOP)) + narrow, "console").machine.nr_pages == 262144


def test_numbers_that_contradict_are_noted() -> None:
    notes = read_text(plain(xen_new(LAPTOP)) + DOM0.replace("225280", "1"), "console").notes
    assert any("36865" in note.text for note in notes)
    total = "(XEN) System RAM: 40000MB (40960000kB)\n"
    assert any("40960000" in note.text for note in read_text(plain(xen_new(LAPTOP)) + total, "console").notes)


def test_xen_and_kernel_in_one_log() -> None:
    final = LAPTOP[:3]
    text = (
        plain(xen_new(LAPTOP))
        + DOM0
        + plain(
            [
                "Linux version 6.1.0 (b@example) (gcc) #1",
                "Released 0 page(s)",
                *linux_new(final, "Xen"),
                "Remapped 5 page(s)",
            ]
        )
    )
    for order in (text, text[text.index("Linux") :] + text[: text.index("Linux")]):
        capture = read_text(order, "serial")
        assert capture.machine.e820 == LAPTOP
        assert capture.dom0_final == final
        assert capture.observed is not None
        assert capture.observed.remapped == 5
        assert capture.machine.kernel_release == "6.1.0"
        assert capture.machine.mem_limit is None


def test_several_xen_boots() -> None:
    text = plain(
        [
            "(XEN) Xen version 4.8.1 (b)",
            *xen_old(LAPTOP[:2]),
            "(XEN) Xen version 4.17.1 (b)",
            *xen_new(LAPTOP),
        ]
    )
    assert read_text(text, "console").machine.e820 == LAPTOP
    first = read_text(text, "console", boot=1).machine
    assert (first.e820, first.xen_version) == (LAPTOP[:2], "4.8.1")
    with pytest.raises(UsageError):
        read_text(text, "console", boot=3)


def test_cut_in_the_map() -> None:
    text = plain(xen_new(LAPTOP))[:-30]
    capture = read_text(text, "console")
    assert capture.machine.e820 == LAPTOP[:-1]
    assert any("cut" in note.text for note in capture.notes)


def test_endless_numbers_are_no_numbers() -> None:
    long = "9f" * 4000
    text = plain(xen_new(LAPTOP)) + DOM0.replace("0000000248000000 (", f"{long} (").replace(
        "ffffffff83c00000\n", f"{long}\n"
    )
    machine = read_text(text, "console").machine
    assert machine.nr_pages is None


def test_the_last_xen_boot_with_a_map_counts() -> None:
    text = plain(
        ["(XEN) Xen version 4.17.2 (b)", *xen_new(LAPTOP), "(XEN) Xen version 4.17.3 (b)", "(XEN) Bo"]
    )
    capture = read_text(text, "serial")
    assert (capture.machine.e820, capture.machine.xen_version) == (LAPTOP, "4.17.2")
    assert any("Xen boot 1 of 2" in note.text for note in capture.notes)


def test_a_guests_word_of_xens_version_is_no_boot() -> None:
    guest = ["(d1) [    0.000000] Hypervisor detected: Xen HVM", "(d1) [    0.000000] Xen version 4.17."]
    text = plain(["(XEN) Xen version 4.17.2 (b)", *xen_new(LAPTOP), *guest])
    assert read_text(text, "console").machine.xen_version == "4.17.2"


def test_maps_that_are_not_xens_own() -> None:
    more = (*LAPTOP, E820Entry(0x280000000, 0x380000000, 1), E820Entry(0x380000000, 0x380001000, 3))
    firmware = ["(XEN) Initial Xen-e820 RAM map:", *xen_old(more)[1:], "(XEN) Truncating memory map"]
    dom0 = ["(XEN) Dom0 memory map:", *xen_new(more)[1:]]
    capture = read_text(plain([*firmware, *xen_new(LAPTOP), *dom0]), "console")
    assert capture.machine.e820 == LAPTOP
    assert not [note for note in capture.notes if note.severity is Severity.WARNING]


def test_xen_entries_that_a_paste_has_put_on_one_line() -> None:
    assert read_text(" ".join(xen_old(LAPTOP)) + "\n", "forum").machine.e820 == LAPTOP


@pytest.mark.parametrize(
    ("said", "dom0_mem", "most"),
    [
        ("(XEN) Command line: dom0_mem=2G dom0_mem=max:1G,max:4G", "2G,max:1G,max:4G", 1 << 20),
        ("(XEN) Command line: placeholder loglvl=all guest_loglvl=all\n> dom0_mem=2G", "2G", None),
        ("Command line: ro quiet\n(XEN) [2026-02-11 10:00:00] Command line: dom0_mem=2G", "2G", None),
        ("Command line: dom0_mem=262144", "262144", None),
        ("(XEN) Command line:", None, None),
    ],
)
def test_dom0_mem(said: str, dom0_mem: str | None, most: int | None) -> None:
    machine = read_text(
        plain([said, *xen_new(LAPTOP, " " if "(XEN)" not in said else "(XEN) ")]), "log"
    ).machine
    assert (machine.dom0_mem, machine.max_reservation) == (dom0_mem, most)


@pytest.mark.parametrize("printed", [xen_new, xen_old])
@pytest.mark.parametrize("width", [50, 60, 72, 76, 80])
@pytest.mark.parametrize("quote", ["", "> ", ">> > "])
def test_a_console_that_a_mail_program_has_broken(
    printed: Callable[..., list[str]], width: int, quote: str
) -> None:
    stamp = "(XEN) [2026-02-11 10:00:00] "
    dom0 = [line.replace("(XEN) ", stamp) for line in DOM0.splitlines()]
    lines = ["(XEN) Xen version 4.17.3 (b@example)", *printed(LAPTOP, stamp), *dom0]
    broken = [quote + part for line in lines for part in textwrap.wrap(line, width, break_on_hyphens=False)]
    assert read_text(plain(broken), "mail").machine == read_text(plain(lines), "mail").machine
