"""nixos-facter's report (hwinfo as JSON): the memory resources of PCI functions, without register numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from xenp2m.capture.document import document
from xenp2m.capture.maplines import checked_range
from xenp2m.capture.model import Note, Reading, Severity
from xenp2m.capture.text import Text
from xenp2m.errors import FormatError, UsageError
from xenp2m.machine import Bar, parse_bdf

NAME = "nixos-facter report"


def matches(text: Text) -> bool:
    """Whether the text is such a report."""
    return text.data.lstrip()[:1] == b"{" and b'"hardware"' in text and b'"sysfs_bus_id"' in text


def read(text: Text, boot: int | None) -> Reading:
    """Read the report; raises FormatError when it is no JSON or a resource cannot be."""
    del boot
    bars: dict[tuple[str, int], Bar] = {}
    for device in _devices(document(text)):
        try:
            bdf = parse_bdf(str(device.get("sysfs_bus_id")))
        except UsageError:
            continue
        resources = device.get("resources")
        for resource in resources if isinstance(resources, list) else ():
            if not isinstance(resource, dict) or resource.get("type") != "mem":
                continue
            start, size = resource.get("base"), resource.get("range")
            if not isinstance(start, int) or not isinstance(size, int):
                raise FormatError("resource without base and range", where=text.name, found=f"function {bdf}")
            if start > 0 and size > 0:
                low, high = checked_range(text, 0, start, start + size)
                bar = Bar(bdf, None, low, high - low, high > 1 << 32, resource.get("prefetch") == "yes")
                bars[bdf, low] = bar
    lack = "a nixos-facter report has PCI resources but no memory map; add dmesg or /proc/iomem"
    return Reading(
        format=NAME, bars=tuple(bars.values()), notes=(Note(Severity.LACK, lack, text.name, "map"),)
    )


def _devices(report: Any) -> Iterator[dict[str, Any]]:
    hardware = report.get("hardware") if isinstance(report, dict) else None
    for group in hardware.values() if isinstance(hardware, dict) else ():
        for device in group if isinstance(group, list) else ():
            if isinstance(device, dict) and device.get("sysfs_bus_id"):
                yield device
