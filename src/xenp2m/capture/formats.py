"""The text formats that can be read: one module each, listed here.

A new format is a module with ``NAME``, ``matches(text)`` (by literals and marker lines, never by trial) and
``read(text, boot) -> Reading``, and one line in ``FORMATS``.  A text may hold several formats (a mail with
/proc/iomem and lspci, a serial log of Xen and kernel): each reader takes its own lines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xenp2m.capture import (
    captured,
    dmesg,
    dmidecode,
    facter,
    facts,
    freebsd,
    iomem,
    lspci,
    meminfo,
    memmap,
    pci_resource,
    xen_console,
)
from xenp2m.capture.model import Reading
from xenp2m.capture.text import Text
from xenp2m.progress import track


@dataclass(frozen=True, slots=True)
class Format:
    """One text format.

    ``bar_rank`` orders the sources of BARs: a lower one knows more of them (which register, what moved).
    An ``exclusive`` format takes the whole text: no other is looked for.
    """

    name: str
    matches: Callable[[Text], bool]
    read: Callable[[Text, int | None], Reading]
    bar_rank: int = 9
    exclusive: bool = False


FORMATS: tuple[Format, ...] = (
    Format(captured.NAME, captured.matches, captured.read, bar_rank=0, exclusive=True),
    Format(facts.NAME, facts.matches, facts.read, bar_rank=0, exclusive=True),
    Format(facter.NAME, facter.matches, facter.read, bar_rank=3, exclusive=True),
    Format(dmidecode.NAME, dmidecode.matches, dmidecode.read),
    Format(xen_console.NAME, xen_console.matches, xen_console.read),
    Format(dmesg.NAME, dmesg.matches, dmesg.read, bar_rank=1),
    Format(iomem.NAME, iomem.matches, iomem.read, bar_rank=4),
    Format(memmap.NAME, memmap.matches, memmap.read),
    Format(meminfo.NAME, meminfo.matches, meminfo.read),
    Format(pci_resource.NAME, pci_resource.matches, pci_resource.read, bar_rank=0),
    Format(lspci.NAME, lspci.matches, lspci.read, bar_rank=2),
    Format(freebsd.NAME, freebsd.matches, freebsd.read, bar_rank=2),
)


def detect(text: Text) -> tuple[Format, ...]:
    """Return the formats that the text holds, by their marker lines."""
    looked = track(f"reading {text.name}", FORMATS, len(FORMATS))
    found = tuple(f for f in looked if f.matches(text))
    return next(((f,) for f in found if f.exclusive), found)
