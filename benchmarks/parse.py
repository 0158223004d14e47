"""Parse speed beside ``grep -c mem`` on the same file.

The log is made at run time: one boot of an invented machine, then hours of messages that say nothing of it.
Run with the size in MB: ``python benchmarks/parse.py 100``.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from xenp2m.capture import read_files

MB = 1_000_000

BOOT = """\
[    0.000000] Linux version 6.1.0-bench (builder@example) (gcc 12.2.0) #1 SMP
[    0.000000] Command line: root=/dev/vda1 quiet
[    0.000000] BIOS-provided physical RAM map:
[    0.000000] BIOS-e820: [mem 0x0000000000000000-0x000000000009ffff] usable
[    0.000000] BIOS-e820: [mem 0x00000000000a0000-0x00000000000fffff] reserved
[    0.000000] BIOS-e820: [mem 0x0000000000100000-0x00000000bfffffff] usable
[    0.000000] BIOS-e820: [mem 0x0000000100000000-0x000000043fffffff] usable
[    0.210000] pci_bus 0000:00: root bus resource [mem 0xc0000000-0xfebfffff window]
[    0.220000] pci 0000:00:02.0: [8086:abcd] type 00 class 0x030000
[    0.220001] pci 0000:00:02.0: reg 0x10: [mem 0xc0000000-0xc0ffffff 64bit]
[    0.220002] pci 0000:00:02.0: reg 0x18: [mem 0x4000000000-0x400fffffff 64bit pref]
"""
WORDS = [
    "link",
    "is",
    "up",
    "Memory",
    "cgroup",
    "out",
    "of",
    "memory:",
    "Killed",
    "process",
    "systemd",
    "Started",
    "session",
    "audit:",
    "usb",
    "device",
    "number",
    "7",
    "eth0",
    "entered",
    "blocking",
    "state",
    "nvme",
    "controller",
    "reset",
    "warning",
    "window",
    "buffer",
    "overlayfs",
    "docker",
    "bridge",
    "port",
    "timeout",
]


def make_log(path: Path, size: int) -> None:
    """Write a log of at least ``size`` bytes."""
    rng = random.Random(1)
    block = "".join(
        f"[{rng.uniform(1, 9e5):12.6f}] dev{rng.randrange(99)}: {' '.join(rng.choices(WORDS, k=9))}\n"
        for _ in range(20_000)
    )
    with path.open("w") as file:
        written = file.write(BOOT)
        while written < size:
            written += file.write(block)


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dmesg.txt"
        make_log(path, megabytes * MB)
        size = path.stat().st_size / MB
        best = min(_timed(path) for _ in range(3))
        started = time.perf_counter()
        subprocess.run(["grep", "-c", "mem", str(path)], check=True, capture_output=True)
        grep = time.perf_counter() - started
    print(
        f"log of {size:.0f} MB: xenp2m {size / best:.0f} MB/s ({best:.2f} s), "
        f"grep -c mem {size / grep:.0f} MB/s ({grep:.2f} s)"
    )


def _timed(path: Path) -> float:
    started = time.perf_counter()
    capture = read_files([path])
    assert len(capture.machine.e820) == 4
    assert len(capture.machine.bars) == 2
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
