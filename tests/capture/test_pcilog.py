"""PCI lines of boot logs, in the wording of every kernel."""

from __future__ import annotations

import pytest

from capture.writers import LAPTOP, linux_new, plain
from xenp2m.capture import Capture, read_text
from xenp2m.machine import Bar, BarKind, Window

MAP = linux_new(LAPTOP)


def bars_of(*lines: str) -> Capture:
    return read_text(plain([*MAP, *lines]), "log")


@pytest.mark.parametrize(
    "line",
    [
        "pci 0000:03:00.0: reg 0x18: [mem 0x4000000000-0x400fffffff 64bit pref]",
        "pci 0000:03:00.0: reg 18: [mem 0x4000000000-0x400fffffff 64bit pref]",
        "pci 0000:03:00.0: reg 18 64bit mmio pref: [0x4000000000-0x400fffffff]",
        "PCI: 0000:03:00.0 reg 18 64bit mmio pref: [4000000000, 400fffffff]",
        "pci 0000:03:00.0: BAR 2 [mem 0x4000000000-0x400fffffff 64bit pref]",
        "pci 0000:03:00.0: BAR 2: assigned [mem 0x4000000000-0x400fffffff 64bit pref]",
        "pci 0000:03:00.0: BAR 2 [mem 0x4000000000-0x400fffffff 64bit pref]: assigned",
        "pci 0000:03:00.0: BAR 2: reassigned [mem 0x4000000000-0x400fffffff 64bit pref]",
        "somegpu 0000:03:00.0: BAR 2: assigned [mem 0x4000000000-0x400fffffff 64bit pref]",
    ],
)
def test_one_bar_in_every_wording(line: str) -> None:
    assert bars_of(line).machine.bars == (Bar("0000:03:00.0", 2, 0x4000000000, 0x10000000, True, True),)


def test_32_bit_rom_and_io() -> None:
    machine = bars_of(
        "pci 0000:00:02.0: reg 0x10: [mem 0xf7800000-0xf7bfffff]",
        "pci 0000:00:02.0: reg 0x20: [io  0xf000-0xf03f]",
        "pci 0000:00:03.0: reg 0x30: [mem 0xf7c00000-0xf7c3ffff pref]",
        "pci 0000:00:04.0: ROM [mem 0xf7d00000-0xf7d3ffff pref]: assigned",
    ).machine
    assert [(bar.label, bar.kind) for bar in machine.bars] == [
        ("0000:00:02.0/0", BarKind.BAR),
        ("0000:00:03.0/6", BarKind.ROM),
        ("0000:00:04.0/6", BarKind.ROM),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "pci 0000:00:15.0: reg 0x10: [mem 0x00000000-0x00000fff 64bit]",
        "pci 0000:00:15.0: BAR 0: failed to assign [mem size 0x00001000]",
        "pci 0000:00:15.0: BAR 0 [mem size 0x00001000]: can't assign; no space",
        "pci 0000:00:15.0: can't claim BAR 0 [mem 0xfff00000-0xffffffff pref]: no compatible bridge window",
        "pci 0000:00:15.0: BAR 0: address space collision on of device [0xfeb00000-0xfeb7ffff]",
        "pci 0000:00:15.0: reg 0x10: [mem 0x00000000-0xffffffff disabled]",
        "pci 0000:00:15.0: BAR 0: [mem 0xd0000000-0xdfffffff] conflicts with Reserved [mem 0xc0000000-0xf]",
    ],
)
def test_bars_without_a_place(line: str) -> None:
    capture = bars_of(line)
    assert capture.machine.bars == ()
    assert any("no address" in note.text for note in capture.notes)


@pytest.mark.parametrize(
    "line",
    [
        "pci 0000:05:00.0: BAR 0: can't allocate resource",
        "pci 0000:05:00.0: BAR 0: can't assign mem pref (size 0x10000000)",
    ],
)
def test_a_bar_that_loses_its_place_without_being_told_again(line: str) -> None:
    capture = bars_of("pci 0000:05:00.0: reg 10: [mem 0xd0000000-0xdfffffff 64bit pref]", line)
    assert capture.machine.bars == ()
    assert any("no address: 0000:05:00.0/0" in note.text for note in capture.notes)


def test_the_last_placement_holds() -> None:
    capture = bars_of(
        "pci 0000:05:00.0: reg 0x10: [mem 0xd0000000-0xdfffffff 64bit pref]",
        "pci 0000:05:00.0: reg 0x14: [mem 0xe0000000-0xe0000fff]",
        "gpu 0000:05:00.0: BAR 0: releasing [mem 0xd0000000-0xdfffffff 64bit pref]",
        "gpu 0000:05:00.0: BAR 0: assigned [mem 0x6000000000-0x63ffffffff 64bit pref]",
        "gpu 0000:05:00.0: BAR 1 [mem 0xe0000000-0xe0000fff]: old value restored",
        "pnp 00:04: disabling [mem 0xc0000000-0xcfffffff] since it overlaps 0000:05:00.0 BAR 1 [mem 0x0-0xf]",
    )
    assert [(bar.index, bar.start, bar.size) for bar in capture.machine.bars] == [
        (0, 0x6000000000, 0x400000000),
        (1, 0xE0000000, 0x1000),
    ]
    assert any("moved 1 BARs" in note.text for note in capture.notes)


def test_virtual_functions_count_with_their_whole_space() -> None:
    machine = bars_of(
        "pci 0000:3b:00.0: reg 0x184: [mem 0x38bffd800000-0x38bffd81ffff 64bit pref]",
        "pci 0000:3b:00.0: VF(n) BAR0 space: [mem 0x38bffd800000-0x38bffdffffff 64bit pref] (for 64 VFs)",
        "pci 0000:3b:00.0: reg 0x190: [mem 0x38bffe340000-0x38bffe343fff 64bit pref]",
        "pci 0000:3b:00.0: VF(n) BAR3 space: [mem 0x38bffe340000-0x38bffe43ffff 64bit pref] (for 64 VFs)",
        "pci 0000:3c:00.0: VF BAR 0 [mem 0x39bffd800000-0x39bffd81ffff 64bit pref]",
        "pci 0000:3c:00.0: VF BAR 0 [mem 0x39bffd800000-0x39bffdffffff 64bit pref]: contains BAR 0 for 9 VFs",
    ).machine
    assert [(bar.label, bar.size, bar.kind) for bar in machine.bars] == [
        ("0000:3b:00.0/7", 0x800000, BarKind.VF),
        ("0000:3b:00.0/10", 0x100000, BarKind.VF),
        ("0000:3c:00.0/7", 0x800000, BarKind.VF),
    ]


def test_virtual_functions_of_kernels_that_print_one_share() -> None:
    capture = bars_of(
        "pci 0000:3b:00.0: reg 184: [mem 0xd8000000-0xd801ffff 64bit]",
        "pci 0000:3b:00.0: reg 190: [mem 0xd9000000-0xd9003fff 64bit]",
    )
    assert [bar.index for bar in capture.machine.bars] == [7, 10]
    assert any("one virtual function" in note.text for note in capture.notes)


def test_a_placement_does_not_depend_on_the_line_after_it() -> None:
    machine = bars_of(
        "pci 0000:00:1c.0: bridge window [mem 0x4017000000-0x40171fffff 64bit pref]: assigned",
        "pci 0000:00:1c.4: bridge window [mem size 0x00200000 64bit pref]: can't assign; no space",
        "pci 0000:03:00.0: BAR 0 [mem 0x4000000000-0x400fffffff 64bit pref]: assigned",
        "pci 0000:03:00.0: BAR 2 [mem size 0x10000000 64bit pref]: can't assign; no space",
        "pci 0000:04:00.0: ROM [mem 0x80100000-0x8010ffff pref]: assigned",
        "pci 0000:05:00.0: BAR 0 [mem 0xfe200000-0xfe20ffff]: can't claim; no compatible bridge window",
    ).machine
    assert [bar.label for bar in machine.bars] == ["0000:03:00.0/0", "0000:04:00.0/6"]
    assert machine.windows == (Window("0000:00:1c.0", 0x4017000000, 0x4017200000),)


def test_windows_are_kept_apart() -> None:
    machine = bars_of(
        "pci_bus 0000:00: root bus resource [mem 0x80000000-0xdfffffff window]",
        "pci_bus 0000:00: root bus resource [io  0x0000-0x0cf7 window]",
        "pci 0000:00:1c.0: [8086:1111] type 01 class 0x060400",
        "pci 0000:00:1c.0: PCI bridge to [bus 02]",
        "pci 0000:00:1c.0:   bridge window [mem 0x90000000-0x900fffff]",
        "pci 0000:00:1c.0:   bridge window [mem 0xfff00000-0x000fffff pref] (disabled)",
        "pci 0000:00:1c.0:   bridge window [mem 0x80000000-0xdfffffff] (subtractive decode)",
        "pci 0000:00:1c.0: BAR 8: assigned [mem 0xa0000000-0xa01fffff]",
        "pci 0000:00:1c.4: BAR 14: assigned [mem 0xa0200000-0xa03fffff]",
        "pci 0000:00:1c.0: PCI bridge to [bus 02]",
        "pci 0000:00:1c.0:   bridge window [mem 0xa0000000-0xa01fffff]",
        "pci_bus 0000:00: resource 4 [mem 0x80000000-0xdfffffff window]",
    ).machine
    assert machine.bars == ()
    assert set(machine.windows) == {
        Window("0000:00", 0x80000000, 0xE0000000),
        Window("0000:00:1c.0", 0xA0000000, 0xA0200000),
        Window("0000:00:1c.4", 0xA0200000, 0xA0400000),
    }


def test_windows_of_old_kernels() -> None:
    machine = bars_of(
        "pci 0000:00:01.0:   MEM window: 0xfcd00000-0xfcefffff",
        "pci 0000:00:01.0:   PREFETCH window: 0x000000b0000000-0x000000bfffffff",
        "pci 0000:00:01.0:   IO window: 0xb000-0xbfff",
    ).machine
    assert {(w.start, w.end) for w in machine.windows} == {(0xFCD00000, 0xFCF00000), (0xB0000000, 0xC0000000)}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("pci 0000:03:00.0: reg 0x18: [mem", "0x4000000000-0x400fffffff 64bit pref]"),
        ("pci 0000:03:00.0: reg 0x18:", "[mem 0x4000000000-0x400fffffff 64bit pref]"),
        ("pci 0000:03:00.0: BAR 2: assigned", "[mem 0x4000000000-0x400fffffff 64bit pref]"),
        (
            "pci 0000:03:00.0: VF(n) BAR2 space: [mem 0x4000000000-0x400fffffff",
            "64bit pref] (contains BAR2 for 8 VFs)",
        ),
    ],
)
@pytest.mark.parametrize("again", ["> ", ""])
def test_wrapped_bar_line(first: str, second: str, again: str) -> None:
    text = plain([*MAP, f"> {first}", again + second])
    assert [bar.start for bar in read_text(text, "mail").machine.bars] == [0x4000000000]


def test_wrapped_window_line() -> None:
    machine = bars_of("> pci_bus 0000:00: root bus resource [mem", "> 0x80000000-0xdfffffff window]").machine
    assert machine.windows == (Window("0000:00", 0x80000000, 0xE0000000),)
