"""The lines in which a Xen PV kernel reports its own memory setup (arch/x86/xen/setup.c, p2m.c)."""

from __future__ import annotations

import re

from xenp2m.capture.model import LoggedRange, Observed
from xenp2m.capture.text import Text

_RANGE = re.compile(
    rb"(Freeing|Populating) +([0-9a-f]{1,16})-([0-9a-f]{1,16}) pfn range: (\d{1,15}) pages (?:freed|added)"
)
_IDENTITY = re.compile(rb"1-1 mapping on ([0-9a-f]{1,16})->([0-9a-f]{1,16})")
_RELEASED = re.compile(rb"Released (\d{1,15}) (?:pages of unused memory|page\(s\))")
_SET = re.compile(rb"Set (-?\d{1,15}) page\(s\) to 1-1 mapping")
_REMAPPED = re.compile(rb"Remapped (\d{1,15}) page\(s\)(?:, last_pfn=(\d{1,15}))?")
_NONRAM = re.compile(rb"Remapped (\d{1,15}) non-RAM page\(s\)")
_UNABLE = b"Unable to find available pfn range, not remapping identity pages"
_INITRD = re.compile(
    rb"initrd moved from \[mem 0x([0-9a-f]{1,16})-0x([0-9a-f]{1,16})\]"
    rb" to \[mem 0x([0-9a-f]{1,16})-0x([0-9a-f]{1,16})\]"
)
_AREA = re.compile(rb"p2m virtual area at [^,\n]{1,40}, size is ([0-9a-f]{1,16})")
_LAST_PFN = re.compile(rb"last_pfn = 0x([0-9a-f]{1,16}) max_arch_pfn")
_RAMDISK = re.compile(rb"RAMDISK: (?:\[mem )?(?:0x)?([0-9a-f]{1,16}) ?- ?(?:0x)?([0-9a-f]{1,16})(\])?")


def _number(pattern: re.Pattern[bytes], data: bytes, base: int = 10, which: int = 1) -> int | None:
    match = pattern.search(data)
    return int(match[which], base) if match and match[which] is not None else None


def read_setup(text: Text, start: int, end: int, release: str | None) -> Observed:
    """Read the numbers of one boot, whose one-time lines lie in ``[start, end)``."""
    head = text.data[start:end]
    ranges: dict[bytes, list[LoggedRange]] = {b"Freeing": [], b"Populating": []}
    for match in _RANGE.finditer(head):
        ranges[match[1]].append(LoggedRange(int(match[2], 16), int(match[3], 16), int(match[4])))
    moved = _INITRD.search(head)
    ramdisk = _RAMDISK.search(head)
    return Observed(
        freed=tuple(ranges[b"Freeing"]),
        populated=tuple(ranges[b"Populating"]),
        identity_ranges=tuple((int(m[1], 16), int(m[2], 16)) for m in _IDENTITY.finditer(head)),
        released=_number(_RELEASED, head),
        set_identity=_number(_SET, head),
        remapped=_number(_REMAPPED, head),
        last_pfn=_number(_REMAPPED, head, which=2),
        remapped_nonram=_number(_NONRAM, head),
        unable_to_find=head.count(_UNABLE),
        initrd_moved=(
            (int(moved[1], 16), int(moved[2], 16), int(moved[3], 16), int(moved[4], 16)) if moved else None
        ),
        p2m_area_bytes=_number(_AREA, head, 16),
        e820_last_pfn=_number(_LAST_PFN, head, 16),
        kernel_release=release,
        ramdisk=(int(ramdisk[1], 16), int(ramdisk[2], 16) + bool(ramdisk[3])) if ramdisk else None,
    )
