"""How much memory dom0 gets: Xen's ``dom0_mem=`` (xen/arch/x86/dom0_build.c, docs/misc/xen-command-line)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from xenp2m.errors import UsageError
from xenp2m.units import MIB, PAGE_SHIFT, PAGE_SIZE, parse_size

NO_MAXIMUM = 0xFFFF_FFFF
"""What XENMEM_maximum_reservation returns where there is no maximum (UINT_MAX)."""

_AMOUNT = re.compile(r"(-?)(?:([0-9a-zA-Z.]+?)\+)?(?:([0-9]{1,2})%|([0-9a-zA-Z.]+))")


@dataclass(frozen=True, slots=True)
class Amount:
    """A size of dom0_mem: ``pages`` frames plus ``percent`` of what is available, or all but that."""

    pages: int = 0
    percent: int = 0
    all_but: bool = False

    def resolve(self, available: int) -> int:
        """Return the frames that it means when ``available`` frames are free."""
        pages = self.pages + self.percent * available // 100
        return max(0, available - pages) if self.all_but else pages


@dataclass(frozen=True, slots=True)
class MemorySpec:
    """A ``dom0_mem=`` option: the initial size and the limits, None where it does not say."""

    size: Amount | None = None
    minimum: Amount | None = None
    maximum: Amount | None = None
    text: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``4G``, ``-512M``, ``1G+10%``, ``min:1G,max:8G``; bare numbers count in KiB.

        Raises UsageError for anything else.  Of an item that is given twice, the last one counts.
        """
        found: dict[str, Amount] = {}
        for item in text.removeprefix("dom0_mem=").split(","):
            name, colon, amount = item.strip().rpartition(":")
            if name not in (("min", "max") if colon else ("",)):
                raise UsageError("unknown item of dom0_mem", expected="min: or max:", found=repr(item))
            found[name] = _amount(amount)
        return cls(found.get(""), found.get("min"), found.get("max"), text)

    def resolve(self, available: int) -> tuple[int, int]:
        """Return the frames that dom0 starts with, and its maximum (NO_MAXIMUM without one).

        ``available`` are the frames that Xen has left.  Without a size, dom0 gets all but a sixteenth of
        them, of which Xen keeps at most 128 MiB.
        """
        pages = self.size.resolve(available) if self.size else 0
        if not pages:
            pages = available - min(available // 16, 128 * MIB // PAGE_SIZE)
        if self.minimum:
            pages = max(pages, self.minimum.resolve(available))
        most = min(self.maximum.resolve(available), NO_MAXIMUM) if self.maximum else NO_MAXIMUM
        return min(pages, most, available), most


def _amount(text: str) -> Amount:
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise UsageError("not a size of dom0_mem", expected="4G, -512M, 25% or 1G+10%", found=repr(text))
    minus, base, percent, size = match.groups()
    if base and size:
        raise UsageError("not a size of dom0_mem", expected="a percentage after the +", found=repr(text))
    given = base or size
    pages = parse_size(given, default_suffix="K") >> PAGE_SHIFT if given else 0
    return Amount(pages, int(percent or 0), bool(minus))
