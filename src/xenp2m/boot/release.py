"""Holes before the split: released, populated elsewhere (2.6.39 to 3.17) or moved at once (3.18).

Source: arch/x86/xen/setup.c of Linux 3.4.5, 3.12.9 and 3.18.
"""

from __future__ import annotations

from xenp2m.boot.e820 import holes, ram_frames
from xenp2m.boot.setup import Setup


def release_holes(setup: Setup) -> None:
    """Release the frames under holes, make the holes 1:1, and print the two totals."""
    identity = 0
    for start, end in holes(setup.host, setup.arch.word_mask):
        if start < setup.nr_pages:
            setup.release_logged(start, min(end, setup.nr_pages))
        identity += setup.identity(start, end)
    if setup.released or setup.rules.log_always:
        setup.released_printed = setup.released
        setup.lines.append(f"Released {setup.released} pages of unused memory")
    if identity or setup.rules.log_always:
        setup.set_identity = identity
        setup.lines.append(f"Set {identity} page(s) to 1-1 mapping")


def populate_back(setup: Setup) -> int:
    """Ask for as many frames as were released, in RAM past the domain's; return the end of the last range.

    The room of a RAM entry is an unsigned number in the kernel: an entry smaller than a page has room without
    end.  0 stands for "nothing asked for".
    """
    credit = setup.released
    last = 0
    for start, end in ram_frames(setup.host, setup.arch.word_mask):
        if credit <= 0:
            break
        if end <= setup.nr_pages:
            continue
        target = max(start, setup.nr_pages)
        room = min(credit, (end - target) & setup.arch.word_mask)
        count = setup.populate(target, target + room)
        setup.released -= count
        last = target + count
        if count < room:
            break
        credit -= count
    return last
