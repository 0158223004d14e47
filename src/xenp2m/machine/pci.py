"""PCI base address registers and bridge windows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from xenp2m.errors import UsageError
from xenp2m.units import pfn_down, pfn_up

_BDF = re.compile(r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])", re.IGNORECASE)


class BarKind(Enum):
    """What a memory resource of a function is for."""

    BAR = "bar"
    """One of the six base address registers."""
    ROM = "rom"
    """The expansion ROM."""
    VF = "vf"
    """An SR-IOV BAR: the space of all virtual functions together."""
    UNKNOWN = "unknown"
    """The source does not say which register it is."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One memory BAR: ``size`` bytes from ``start``.

    ``index`` is 0 to 5 for a BAR, 6 for the ROM, 7 to 12 for SR-IOV BARs, None where the source does not say.
    """

    bdf: str
    index: int | None
    start: int
    size: int
    is_64bit: bool = False
    prefetchable: bool = False

    @property
    def end(self) -> int:
        """The first byte after the BAR."""
        return self.start + self.size

    @property
    def pfn_start(self) -> int:
        """The first frame that the BAR touches."""
        return pfn_down(self.start)

    @property
    def pfn_end(self) -> int:
        """The first frame after those that the BAR touches."""
        return pfn_up(self.end)

    @property
    def kind(self) -> BarKind:
        """What the index stands for."""
        if self.index is None or self.index > 12:
            return BarKind.UNKNOWN
        if self.index < 6:
            return BarKind.BAR
        return BarKind.ROM if self.index == 6 else BarKind.VF

    @property
    def label(self) -> str:
        """The BAR as one writes it: ``0000:3b:00.0/2``; ``/?`` where the index is not known."""
        return f"{self.bdf}/{'?' if self.index is None else self.index}"


@dataclass(frozen=True, slots=True)
class Window:
    """A range ``[start, end)`` in bytes that a bridge forwards; ``bridge`` names it as the source does."""

    bridge: str
    start: int
    end: int


def parse_bdf(text: str) -> str:
    """Return a function's address in full, lower case: ``3b:00.0`` is ``0000:3b:00.0``.

    Raises UsageError when the text is no PCI address.
    """
    match = _BDF.fullmatch(text.strip())
    if match is None:
        raise UsageError("not a PCI address", expected="[domain:]bus:device.function", found=repr(text))
    domain, bus, device, function = match.groups()
    if int(device, 16) > 0x1F:
        raise UsageError("not a PCI address", expected="a device from 00 to 1f", found=repr(text))
    return format_bdf(int(domain or "0", 16), int(bus, 16), int(device, 16), int(function))


def format_bdf(domain: int, bus: int, device: int, function: int) -> str:
    """Print a function's address: ``0000:3b:00.0``."""
    return f"{domain:04x}:{bus:02x}:{device:02x}.{function}"
