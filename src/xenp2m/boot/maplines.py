"""The E820 lines of a boot log (arch/x86/kernel/e820.c of Linux 3.2, 3.12 and 4.19)."""

from __future__ import annotations

from collections.abc import Iterable

from xenp2m.boot.e820 import ADDRESS_MASK, Range
from xenp2m.machine import type_name
from xenp2m.rules import Rules


def map_lines(rules: Rules, who: str, title: str, entries: Iterable[Range]) -> list[str]:
    """Return the header and one line an entry; ``who`` is "Xen" or "user"."""
    lines = [f"e820: {title}" if rules.log_e820_prefix else title]
    if rules.log_old_ranges:
        lines += [f" {who}: {start:016x} - {end:016x} ({type_name(kind)})" for start, end, kind in entries]
    else:
        lines += [
            f"{who}: [mem {start:#018x}-{(end - 1) & ADDRESS_MASK:#018x}] {type_name(kind)}"
            for start, end, kind in entries
        ]
    return lines
