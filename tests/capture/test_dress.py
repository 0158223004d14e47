"""Texts as terminals, mail programs and web pages hand them on: the machine stays the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from capture.writers import LAPTOP, iomem, linux_new, memmap_grep, plain, xen_old
from xenp2m.capture import read_text
from xenp2m.machine import Machine

BAR = "0000:03:00.0"
TEXTS = {
    "kernel log": [
        "[    0.000000] Linux version 6.1.0-test (builder@example) (gcc 12.2.0) #1 SMP",
        "[    0.000000] Command line: root=/dev/sda1 ro mem=6G",
        *[f"[    0.000000] {line}" for line in linux_new(LAPTOP)],
        f"[    0.100000] pci {BAR}: reg 0x18: [mem 0x4000000000-0x400fffffff 64bit pref]",
    ],
    "Xen console": [
        "(XEN) Xen version 4.17.3 (b@example)",
        "(XEN) Command line: dom0_mem=1G",
        *xen_old(LAPTOP),
    ],
    "iomem": [*iomem(LAPTOP), f"  90000000-900fffff : {BAR}"],
    "lspci": [
        "03:00.0 Network: Example NIC",
        "\tRegion 0: Memory at 380000000000 (64-bit, prefetchable) [size=16K]",
        "\tRegion 4: Memory at <unassigned> (64-bit, prefetchable)",
        "\tMemory behind bridge: fb000000-fb0fffff [size=1M] [32-bit]",
    ],
    "memmap": memmap_grep(LAPTOP),
    "FreeBSD": [
        "Physical memory chunk(s):",
        "0x0000000000200000 - 0x00000000bfffffff, 3219128320 bytes (785920 pages)",
        "\tdomain=0, bus=2, slot=31, func=1",
        "\tmap[10]: type Memory, range 64, base 0x4000000000, size 14, enabled",
    ],
    "resource files": [
        f"/sys/bus/pci/devices/{BAR}/resource:0x0000004000000000 0x000000400fffffff 0x000000000014220c"
    ],
}


def ended(end: str) -> Callable[[Sequence[str]], str]:
    return lambda lines: "".join(line + end for line in lines)


def prefixed(prefix: str) -> Callable[[Sequence[str]], str]:
    return lambda lines: plain([prefix + line for line in lines])


DRESSES: dict[str, Callable[[Sequence[str]], str | bytes]] = {
    "DOS": ended("\r\n"),
    "serial console": ended("\n\r"),
    "serial console, twice": ended("\r\r\n"),
    "carriage returns only": ended("\r"),
    "UTF-8 byte order mark": lambda lines: "\ufeff" + plain(lines),
    "UTF-16": lambda lines: ("\ufeff" + plain(lines)).encode("utf-16-le"),
    "UTF-16 the other way": lambda lines: ("\ufeff" + plain(lines)).encode("utf-16-be"),
    "blanks that do not break": lambda lines: plain(lines).replace(" ", "\u00a0").replace("\t", "\u00a0"),
    "HTML": lambda lines: plain(lines).replace("<", "&lt;").replace(">", "&gt;").replace(" ", "&nbsp;"),
    "HTML as it stands": lambda lines: "<html><pre>" + plain(lines).replace("<", "&lt;") + "</pre></html>",
    "HTML line breaks": lambda lines: plain(lines).replace("<", "&lt;").replace("\n", "<br />"),
    "HTML line breaks with line ends": lambda lines: (
        plain(lines).replace("<", "&lt;").replace("\n", "<br>\n")
    ),
    "time of a terminal": prefixed("[2026-02-11 10:00:00.123] "),
    "time of ts": prefixed("10:00:00 "),
    "time of a CI job": prefixed("2026-02-11T10:00:00.1234567Z "),
    "line number and time of LAVA": prefixed(" 1843 17:54:41.436207  "),
    "quoted time": prefixed("> [10:00:00] "),
}


@pytest.mark.parametrize("dress", DRESSES)
@pytest.mark.parametrize("text", TEXTS)
def test_the_machine_does_not_depend_on_the_dress(text: str, dress: str) -> None:
    bare = read_text(plain(TEXTS[text]), "text").machine
    assert bare != Machine()
    assert read_text(DRESSES[dress](TEXTS[text]), "text").machine == bare
