"""Linux boot logs: maps, boots, facts and the Xen PV kernel's own numbers."""

from __future__ import annotations

import textwrap

import pytest

from capture.writers import ENDS, LAPTOP, PREFIXES, QUOTES, Printer, linux_7_0, linux_new, linux_old, plain
from xenp2m.capture import LoggedRange, Severity, read_text
from xenp2m.errors import UsageError
from xenp2m.machine import E820Entry, MapSource

BANNER = "Linux version 6.1.0-test (builder@example) (gcc 12.2.0) #1 SMP"


@pytest.mark.parametrize("printed", [linux_new, linux_old, linux_7_0])
@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("quote", QUOTES)
@pytest.mark.parametrize("end", ENDS)
def test_map_is_read_in_every_dress(printed: Printer, prefix: str, quote: str, end: str) -> None:
    lines = [
        BANNER,
        "BIOS-provided physical RAM map:",
        *printed(LAPTOP),
        "NX (Execute Disable) protection: active",
    ]
    text = "".join(QUOTES[quote](PREFIXES[prefix](line)) + ENDS[end] for line in lines)
    capture = read_text(text, "log")
    assert capture.machine.e820 == LAPTOP
    assert capture.machine.e820_source is MapSource.FIRMWARE
    assert capture.machine.kernel_release == "6.1.0-test"


def test_types_by_word_and_number() -> None:
    lines = [
        "BIOS-e820: [mem 0x0000000000000000-0x0000000000000fff] type 16",
        "BIOS-e820: [mem 0x0000000000001000-0x0000000000001fff] persistent (type 12)",
        "BIOS-e820: [mem 0x0000000000002000-0x0000000000002fff] persistent RAM (type 7)",
        "BIOS-e820: [mem 0x0000000000003000-0x0000000000003fff] soft reserved",
        "BIOS-e820: [mem 0x0000000000004000-0x0000000000004fff] unusable",
        "BIOS-e820: [mem 0x0000000000005000-0x0000000000005fff] type 20",
    ]
    assert [e.type for e in read_text(plain(lines), "log").machine.e820] == [16, 12, 7, 0xEFFFFFFF, 5, 20]


def test_edits_by_the_kernel_are_not_the_firmware_map() -> None:
    small = [E820Entry(0, 0x1000, 1)]
    lines = [
        *linux_new(LAPTOP),
        "e820: update [mem 0x00000000-0x00000fff] usable ==> reserved",
        "e820: remove [mem 0x000a0000-0x000fffff] usable",
        "e820 update range: 0000000000000000 - 0000000000001000 (usable) ==> (reserved)",
        "extended physical RAM map:",
        *linux_new(small, "reserve setup_data"),
        "user-defined physical RAM map:",
        *linux_new(small, "user"),
        "modified physical RAM map:",
        *linux_old(small, "modified"),
        "e820: reserve RAM buffer [mem 0x0009d000-0x0009ffff]",
    ]
    assert read_text(plain(lines), "log").machine.e820 == LAPTOP


def test_wrapped_entries_are_joined() -> None:
    lines = [f"> [    0.000000] {line}" for line in linux_new(LAPTOP)]
    wrapped = [part for line in lines for part in (line[: line.index("]", 20) + 1], line.rsplit("] ", 1)[1])]
    assert read_text(plain(wrapped), "mail").machine.e820 == LAPTOP
    quoted = [part if i % 2 == 0 else f"> {part}" for i, part in enumerate(wrapped)]
    assert read_text(plain(quoted), "mail").machine.e820 == LAPTOP


@pytest.mark.parametrize("printed", [linux_new, linux_old, linux_7_0])
@pytest.mark.parametrize("prefix", ["[    0.000000] ", "Jun 14 09:10:11 host kernel: [    0.000000] "])
@pytest.mark.parametrize("width", [72, 76, 80])
def test_a_log_that_a_mail_program_has_broken(printed: Printer, prefix: str, width: int) -> None:
    lines = [prefix + line for line in [BANNER, *printed(LAPTOP)]]
    broken = [f"> {part}" for line in lines for part in textwrap.wrap(line, width, break_on_hyphens=False)]
    machine = read_text(plain(broken), "mail").machine
    assert machine.e820 == LAPTOP
    assert machine.kernel_release == "6.1.0-test"


def test_excerpts_quoted_again_do_not_change_the_map() -> None:
    lines = linux_new(LAPTOP)
    text = plain(
        [f"> {line}" for line in lines] + ["I wonder about"] + [f"> > {line}" for line in lines[2:4]]
    )
    capture = read_text(text, "mail")
    assert capture.machine.e820 == LAPTOP
    assert not [note for note in capture.notes if note.severity is Severity.WARNING]


def test_an_indented_quotation_is_no_part_of_the_map_after_it() -> None:
    lines = linux_new(LAPTOP)
    text = plain([f"    >>> {line}" for line in lines] + [f"    >> {line}" for line in lines[:3]])
    assert read_text(text, "mail").machine.e820 == LAPTOP


def test_left_out_lines_are_noticed() -> None:
    lines = linux_new(LAPTOP)
    capture = read_text(plain([*lines[:3], "[...]", *lines[4:]]), "mail")
    assert len(capture.machine.e820) == len(LAPTOP) - 1
    assert any("left out" in note.text for note in capture.notes)
    cut = read_text(plain([*lines[:3], "last_pfn = 0x27e000 max_arch_pfn = 0x400000000"]), "log")
    assert any("0x27e000" in note.text for note in cut.notes)


def test_two_different_maps_are_reported() -> None:
    other = [E820Entry(0, 0x8000, 1), E820Entry(0x100000, 0x200000, 1)]
    capture = read_text(
        plain([*linux_new(LAPTOP), "BIOS-provided physical RAM map:", *linux_new(other)]), "log"
    )
    assert capture.machine.e820 == LAPTOP
    assert any("differ" in note.text for note in capture.notes)


def test_several_boots() -> None:
    first = (E820Entry(0, 0x9F000, 1), E820Entry(0x100000, 0x10000000, 1))
    text = plain([BANNER, *linux_new(first), BANNER.replace("6.1.0", "6.2.0"), *linux_new(LAPTOP)])
    assert read_text(text, "log").machine.e820 == LAPTOP
    assert read_text(text, "log", boot=1).machine.e820 == first
    assert read_text(text, "log", boot=2).machine.kernel_release == "6.2.0-test"
    for number in (0, 3):
        with pytest.raises(UsageError, match="1 to 2"):
            read_text(text, "log", boot=number)


def test_last_boot_without_a_map_is_passed_over() -> None:
    text = plain([BANNER, *linux_new(LAPTOP), BANNER.replace("6.1.0", "6.2.0"), "nothing to see"])
    capture = read_text(text, "log")
    assert capture.machine.e820 == LAPTOP
    assert any("boot 1 of 2" in note.text for note in capture.notes)


def test_start_of_log_lost_before_a_later_boot() -> None:
    first = (E820Entry(0, 0x9F000, 1), E820Entry(0x100000, 0x10000000, 1))
    text = plain([*linux_new(first), BANNER, *linux_new(LAPTOP)])
    assert read_text(text, "log", boot=1).machine.e820 == first
    assert read_text(text, "log", boot=2).machine.e820 == LAPTOP


def test_facts_of_the_log() -> None:
    lines = [
        BANNER,
        "Command line: root=/dev/sda1 mem=2048M",
        *linux_new(LAPTOP),
        "last_pfn = 0x27e000 max_arch_pfn = 0x400000000",
        "ACPI: Local APIC address 0xfee00000",
        "IOAPIC[0]: apic_id 2, version 32, address 0xfec00000, GSI 0-23",
        "IOAPIC[1]: apic_id 3, version 32, address 0xfec10000, GSI 24-55",
        "smpboot: CPU0: AMD EPYC Something (family: 0x17, model: 0x31, stepping: 0x0)",
    ]
    machine = read_text(plain(lines), "log").machine
    assert machine.mem_limit == 2048 << 20
    assert machine.bits == 64
    assert machine.io_apics == (0xFEC00000, 0xFEC10000)
    assert machine.local_apic == 0xFEE00000
    assert (machine.cpu_vendor, machine.cpu_family) == ("AMD", 0x17)


def test_32_bit_kernel_by_its_last_possible_frame() -> None:
    text = plain([BANNER, *linux_new(LAPTOP), "last_pfn = 0x27e000 max_arch_pfn = 0x1000000"])
    assert read_text(text, "log").machine.bits == 32


def test_xen_pv_kernel_before_the_series() -> None:
    lines = [
        "Linux version 3.14.1 (b@example) (gcc) #1 SMP",
        "Freeing 9d-100 pfn range: 99 pages freed",
        "1-1 mapping on 9d->100",
        "Released 99 pages of unused memory",
        "Set 99 page(s) to 1-1 mapping",
        "Populating 20000-20063 pfn range: 99 pages added",
        "e820: BIOS-provided physical RAM map:",
        *linux_new(LAPTOP, "Xen"),
        "e820: last_pfn = 0x27e000 max_arch_pfn = 0x400000000",
        "RAMDISK: [mem 0x02000000-0x02ffffff]",
        "Booting paravirtualized kernel on Xen",
        "Xen version: 4.4.1 (preserve-AD)",
    ]
    capture = read_text(plain(lines), "log")
    assert capture.machine.e820_source is MapSource.DOM0_FINAL
    assert capture.dom0_final == capture.machine.e820 == LAPTOP
    assert capture.machine.xen_version == "4.4.1"
    seen = capture.observed
    assert seen is not None
    assert seen.freed == (LoggedRange(0x9D, 0x100, 99),)
    assert seen.populated == (LoggedRange(0x20000, 0x20063, 99),)
    assert seen.identity_ranges == ((0x9D, 0x100),)
    assert (seen.released, seen.set_identity, seen.remapped) == (99, 99, None)
    assert seen.e820_last_pfn == 0x27E000
    assert seen.ramdisk == (0x2000000, 0x3000000)


def test_xen_pv_kernel_with_remapping() -> None:
    lines = [
        "Linux version 6.12.1 (b@example) (gcc) #1 SMP",
        "initrd moved from [mem 0x08000000-0x09000000] to [mem 0x7a000000-0x7b000000]",
        "Released 3 page(s)",
        *linux_new(LAPTOP, "Xen"),
        "Hypervisor detected: Xen PV",
        "p2m virtual area at (____ptrval____), size is 40000000",
        "Remapped 345 page(s)",
        "Remapped 18 non-RAM page(s)",
    ]
    seen = read_text(plain(lines), "log").observed
    assert seen is not None
    assert (seen.released, seen.remapped, seen.remapped_nonram) == (3, 345, 18)
    assert seen.p2m_area_bytes == 0x40000000
    assert seen.initrd_moved == (0x8000000, 0x9000000, 0x7A000000, 0x7B000000)
    middle = read_text(
        plain(
            ["Set 12 page(s) to 1-1 mapping", "Remapped 12 page(s), last_pfn=2048", *linux_new(LAPTOP, "Xen")]
        ),
        "log",
    )
    assert middle.observed is not None
    assert (middle.observed.remapped, middle.observed.last_pfn) == (12, 2048)


@pytest.mark.parametrize("kind", ["", "Xen HVM", "Xen PVH"])
def test_a_log_of_no_pv_kernel_observes_nothing(kind: str) -> None:
    guest = [f"Hypervisor detected: {kind}", f"Booting paravirtualized kernel on {kind}"] if kind else []
    capture = read_text(plain([BANNER, *linux_new(LAPTOP), *guest]), "log")
    assert capture.observed is None
    assert capture.machine.e820_source is MapSource.FIRMWARE


@pytest.mark.parametrize(
    ("command", "limit"),
    [
        ("Command line: ro mem=4096MB quiet", 4 << 30),
        ("Kernel command line: ro memory=5 xmem=7G mem=2048m", 2 << 30),
        ("Command line: mem=nopentium mem=0x80000000 memmap=1G!4G", 2 << 30),
        ("Command line: mem=2G mem=0 mem=4G", 2 << 30),
        ("Command line: root=/dev/mapper/a-long-name-of-a-volume ro\n> mem=3G quiet", 3 << 30),
        ('{"MESSAGE":"Command line: ro mem=1G","PRIORITY":"6"}', 1 << 30),
        ("Command line: ro\n(XEN) [2026-02-11 10:00:00] Command line: mem=8G dom0_mem=2G", None),
    ],
)
def test_the_kernels_memory_limit(command: str, limit: int | None) -> None:
    assert read_text(plain([BANNER, command, *linux_new(LAPTOP)]), "log").machine.mem_limit == limit


def test_entries_that_a_paste_has_put_on_one_line() -> None:
    lines = [BANNER, " ".join(f"[    0.000000] {line}" for line in linux_new(LAPTOP))]
    assert read_text(plain(lines), "forum").machine.e820 == LAPTOP


@pytest.mark.parametrize(
    ("said", "vendor"),
    [
        ("12th Gen Intel(R) Core(TM) i7-12700", "Intel"),
        ("Genuine Intel(R) CPU 0000 @ 2.20GHz", "Intel"),
        ("AMD Eng Sample: 100-000000053-04_32/20_N", "AMD"),
        ("Hygon C86 7185 32-core Processor", "Hygon"),
        ("QEMU Virtual CPU version 2.5+", None),
    ],
)
def test_the_vendor_of_the_processor(said: str, vendor: str | None) -> None:
    line = f"smpboot: CPU0: {said} (family: 0x6, model: 0x97, stepping: 0x2)"
    machine = read_text(plain([BANNER, line]), "log").machine
    assert (machine.cpu_vendor, machine.cpu_family) == (vendor, 6)


@pytest.mark.parametrize(
    ("said", "family"), [("family: 0x17", 0x17), ("fam: 06", 6), ("fam: 0f", 15), ("fam: 15", 0x15)]
)
def test_the_family_of_the_processor_is_hexadecimal_in_every_wording(said: str, family: int) -> None:
    line = f"CPU0: AMD Athlon(tm) 64 Processor ({said}, model: 0c, stepping: 00)"
    assert read_text(plain(["Linux version 3.10.0 (b) (gcc) #1", line]), "log").machine.cpu_family == family
