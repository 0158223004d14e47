"""Invented machines, printed the way kernels, Xen and tools print them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from xenp2m.machine import E820Entry

WORDS = {1: "usable", 2: "reserved", 3: "ACPI data", 4: "ACPI NVS", 5: "unusable", 7: "persistent (type 7)"}
WORDS_7_0 = WORDS | {1: "System RAM", 2: "device reserved", 0xEFFFFFFF: "soft reserved"}
IOMEM_NAMES = {
    1: "System RAM",
    2: "Reserved",
    3: "ACPI Tables",
    4: "ACPI Non-volatile Storage",
    5: "Unusable memory",
    7: "Persistent Memory",
    12: "Persistent Memory (legacy)",
}

LAPTOP = (
    E820Entry(0x0, 0x9D000, 1),
    E820Entry(0x9D000, 0xA0000, 2),
    E820Entry(0x100000, 0x7BE00000, 1),
    E820Entry(0x7BE00000, 0x7BF00000, 4),
    E820Entry(0x7BF00000, 0x7C000000, 3),
    E820Entry(0x7C000000, 0x80000000, 2),
    E820Entry(0x100000000, 0x27E000000, 1),
)


Printer = Callable[[Iterable[E820Entry]], list[str]]


def linux_new(entries: Iterable[E820Entry], who: str = "BIOS-e820") -> list[str]:
    """Kernels from 3.5."""
    return [
        f"{who}: [mem {e.start:#018x}-{e.end - 1:#018x}] {WORDS.get(e.type, f'type {e.type}')}"
        for e in entries
    ]


def linux_7_0(entries: Iterable[E820Entry]) -> list[str]:
    """Kernels from 7.0, with a line for each gap."""
    lines, last = [], 0
    for e in entries:
        if e.start > last:
            lines.append(f"BIOS-e820: [gap {last:#018x}-{e.start - 1:#018x}]")
        word = WORDS_7_0.get(e.type, f"type {e.type}")
        lines.append(f"BIOS-e820: [mem {e.start:#018x}-{e.end - 1:#018x}]  {word}")
        last = e.end
    return lines


def linux_old(entries: Iterable[E820Entry], who: str = "BIOS-e820") -> list[str]:
    """Kernels up to 3.4."""
    lines = []
    for e in entries:
        word = f"({WORDS[e.type]})" if e.type in WORDS else f"type {e.type}"
        lines.append(f" {who}: {e.start:016x} - {e.end:016x} {word}")
    return lines


def xen_new(entries: Iterable[E820Entry], prefix: str = "(XEN) ") -> list[str]:
    """Xen with inclusive ends."""
    lines = [
        f"{prefix} [{e.start:016x}, {e.end - 1:016x}] ({WORDS.get(e.type, f'type {e.type}')})"
        for e in entries
    ]
    return [f"{prefix}Xen-e820 RAM map:", *lines]


def xen_old(entries: Iterable[E820Entry], prefix: str = "(XEN) ") -> list[str]:
    """Xen with exclusive ends."""
    lines = [
        f"{prefix} {e.start:016x} - {e.end:016x} ({WORDS.get(e.type, f'type {e.type}')})" for e in entries
    ]
    return [f"{prefix}EFI RAM map:", *lines]


def iomem(entries: Iterable[E820Entry]) -> list[str]:
    """/proc/iomem of a map without other resources."""
    return [f"{e.start:08x}-{e.end - 1:08x} : {IOMEM_NAMES[e.type]}" for e in entries]


def memmap(entries: Iterable[E820Entry]) -> list[str]:
    """/sys/firmware/memmap as a list."""
    return [f"{i} {e.start:#x} {e.end - 1:#x} {IOMEM_NAMES[e.type]}" for i, e in enumerate(entries)]


def memmap_grep(entries: Iterable[E820Entry]) -> list[str]:
    """/sys/firmware/memmap through grep."""
    lines = []
    for i, e in enumerate(entries):
        base = f"/sys/firmware/memmap/{i}"
        lines += [
            f"{base}/end:{e.end - 1:#x}",
            f"{base}/start:{e.start:#x}",
            f"{base}/type:{IOMEM_NAMES[e.type]}",
        ]
    return lines


def plain(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


PREFIXES: dict[str, Callable[[str], str]] = {
    "plain": lambda line: line,
    "timestamp": lambda line: f"[    0.000000] {line}",
    "timestamp and caller": lambda line: f"[    0.000000][    T0] {line}",
    "level": lambda line: f"<6>[    0.000000] {line}",
    "dmesg -x": lambda line: f"kern  :info  : [    0.000000] {line}",
    "dmesg -T": lambda line: f"[Tue Mar  3 11:20:01 2026] {line}",
    "syslog": lambda line: f"Jun 14 09:10:11 host kernel: {line}",
    "syslog iso": lambda line: f"2026-06-14T09:10:11.123456+02:00 host kernel: [    0.000000] {line}",
    "journal": lambda line: f"Jun 14 09:10:11 host.example kernel: {line}",
    "ci": lambda line: f" 1843 17:54:41.436207  <6>[    0.000000] {line}",
    "colour": lambda line: f"\x1b[32m[    0.000000] \x1b[0m{line}",
}
QUOTES: dict[str, Callable[[str], str]] = {
    "none": lambda line: line,
    "mail": lambda line: f"> {line}",
    "nested mail": lambda line: f">> > {line}",
    "archive page": lambda line: f"&gt; {line}",
    "indented": lambda line: f"    {line}",
}
ENDS = {"unix": "\n", "dos": "\r\n"}
