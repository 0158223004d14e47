"""What a running kernel counts of its memory."""

from __future__ import annotations

import pytest

from cli.program import CAPTURES
from xenp2m.capture import MemoryFigures, read_files, read_text, require_map
from xenp2m.errors import MissingFactError

BALLOON = """\
/sys/devices/system/xen_memory/xen_memory0/target: 419430400
/sys/devices/system/xen_memory/xen_memory0/info/low_kb: 376316
/sys/devices/system/xen_memory/xen_memory0/info/high_kb: 0
/sys/devices/system/xen_memory/xen_memory0/info/current_kb: 409600
/sys/devices/system/xen_memory/xen_memory0/target_kb: 409600
"""
MEMINFO = """\
MemTotal:         280556 kB
MemFree:          250064 kB
DirectMap4k:      786304 kB
DirectMap2M:        2048 kB
"""
MEMORY_LINE = "[    1.9] Memory: 203720K/785912K available (14343K kernel code, 2338K rwdata)\n"
XEN_LOG = "[    0.0] Linux version 6.1.0 (a@b)\n[    0.0] Booting kernel on Xen\n" + MEMORY_LINE


def figures(text: str) -> MemoryFigures | None:
    return read_text(text, "text").memory


def test_the_balloon_drivers_files() -> None:
    expected = MemoryFigures(current_kb=409600, target_kb=409600, low_kb=376316, high_kb=0)
    assert figures(BALLOON) == expected
    quoted = "".join(f"> {line}\r\n" for line in BALLOON.splitlines())
    assert figures(quoted) == expected


def test_what_grep_prints_without_a_blank_and_with_relative_names() -> None:
    text = "xen_memory/xen_memory0/info/current_kb:409600\nxen_memory/xen_memory0/target_kb:8\n"
    assert figures(text) == MemoryFigures(current_kb=409600, target_kb=8)


def test_meminfo_adds_up_the_direct_map() -> None:
    assert figures(MEMINFO) == MemoryFigures(mem_total_kb=280556, direct_map_kb=788352)


def test_the_boot_logs_memory_line() -> None:
    assert figures(XEN_LOG) == MemoryFigures(present_kb=785912)


def test_two_memory_lines_that_differ_are_of_two_boots_and_not_used() -> None:
    assert figures(XEN_LOG + MEMORY_LINE.replace("785912K", "1K")) is None
    assert figures(XEN_LOG + MEMORY_LINE) == MemoryFigures(present_kb=785912)


def test_a_log_without_xen_has_no_figures() -> None:
    bare = "[    0.0] Linux version 6.1.0 (a@b)\n" + MEMORY_LINE
    assert figures(bare) is None


def test_figures_alone_are_no_machine() -> None:
    with pytest.raises(MissingFactError, match="memory figures"):
        require_map(read_text(MEMINFO + BALLOON, "text"))


def test_a_recorded_folder_gives_all_of_them() -> None:
    capture = read_files([CAPTURES / "balloon"])
    assert capture.memory == MemoryFigures(
        current_kb=409600,
        target_kb=409600,
        low_kb=376316,
        high_kb=0,
        mem_total_kb=280556,
        direct_map_kb=786304,
        present_kb=785912,
    )


@pytest.mark.parametrize(
    "damaged", ["MemTotal: many kB\n", "MemTotal:\n", "xen_memory0/info/current_kb: -1\n"]
)
def test_damaged_figures_are_left_out(damaged: str) -> None:
    assert figures(XEN_LOG + damaged) == MemoryFigures(present_kb=785912)
