"""XP7: the prediction beside what the capture's own kernel logged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from xenp2m.check.findings.model import Case, Hit, Severity
from xenp2m.check.findings.registry import finding
from xenp2m.errors import UsageError
from xenp2m.machine import MapSource, type_name
from xenp2m.prediction import WhatIf
from xenp2m.rules import rules_for

_SINGLE = {
    "released": "released pages",
    "set_identity": "pages set to 1-1 mapping",
    "remapped": "remapped pages",
    "remapped_nonram": "remapped non-RAM pages",
    "last_pfn": "last_pfn after remapping",
}
_RANGES = {"freed": "freed ranges", "populated": "populated ranges"}


def _comparable(case: Case) -> bool:
    """Whether the capture shows the boot that was predicted: its own kernel, nothing changed or estimated."""
    machine = case.prediction.machine
    if (
        case.capture.observed is None
        or replace(case.what_if, guest=None) != WhatIf()
        or machine.kernel_release is None
    ):
        return False
    if machine.nr_pages is None or machine.e820_source is MapSource.DOM0_FINAL:
        return False
    try:
        own = rules_for(machine.kernel_release)
    except UsageError:
        return False
    return replace(own, name="") == replace(case.rules, name="") and case.guest.stopped is None


@finding(
    "XP701",
    "The capture's own log contradicts the prediction",
    Severity.WARNING,
    why="The kernel that wrote the log counted other frames than these rules give. It carries changes that "
    "its version does not tell, or the map in the capture is not the one that it was given: other "
    "predictions for it may be wrong too.",
    kernels="the kernel of the capture",
    example="A distribution's 4.14 that logs 'Released 0 page(s)' where 96 are predicted.",
    remedy="Add Xen's console log of the same boot; if the numbers still differ, report the kernel.",
    source="arch/x86/xen/setup.c, xen_memory_setup: its lines in the log",
)
def numbers_differ(case: Case) -> Iterator[Hit]:
    """A number that the kernel logged of its memory setup differs from the predicted one."""
    seen, predicted = case.capture.observed, case.guest.log
    if seen is None or not _comparable(case):
        return
    for name, label in _SINGLE.items():
        logged, expected = getattr(seen, name), getattr(predicted, name)
        if logged is not None and logged != expected:
            text = f"{label}: the log says {logged}, the rules of {case.rules.name} give "
            yield Hit(text + ("no such line" if expected is None else f"{expected}"))
    for name, label in _RANGES.items():
        logged_ranges = [tuple(item) for item in getattr(seen, name)]
        expected_ranges = [tuple(item) for item in getattr(predicted, name)]
        if logged_ranges and logged_ranges != expected_ranges:
            yield Hit(f"{label}: the log has {_listed(logged_ranges)}, predicted {_listed(expected_ranges)}")


def _listed(ranges: list[tuple[int, ...]]) -> str:
    shown = ", ".join(f"[{start:#x}, {end:#x}) {pages}" for start, end, pages in ranges[:3])
    more = f" and {len(ranges) - 3} more" if len(ranges) > 3 else ""
    return (shown + more) or "none"


@finding(
    "XP702",
    "The kernel's final map differs from the prediction",
    Severity.WARNING,
    why="Either the map that the kernel was given is not the one in the capture (Xen keeps more ranges to "
    "itself than the log shows), or the kernel does not follow these rules.",
    kernels="the kernel of the capture",
    example="An IOMMU's registers are reserved in dom0's map and no line of the capture tells of them.",
    remedy="Compare the range with Xen's console log; add that log to the capture.",
    source="arch/x86/xen/setup.c, xen_memory_setup: the map that it prints",
)
def map_differs(case: Case) -> Iterator[Hit]:
    """The map that the kernel printed after memory setup has other entries than the predicted one."""
    if case.capture.dom0_final is None or case.config.mem_limit is not None or not _comparable(case):
        return
    logged, predicted = set(case.capture.dom0_final), set(case.guest.e820)
    for entry in sorted(logged - predicted):
        yield Hit.at_range(entry.start, entry.end, f"{type_name(entry.type)} in the log only")
    for entry in sorted(predicted - logged):
        yield Hit.at_range(entry.start, entry.end, f"{type_name(entry.type)} in the prediction only")


@finding(
    "XP703",
    "The capture's own kernel is not modelled",
    Severity.INFO,
    why="Its rules are not known, so the answer is for another kernel.",
    kernels="before 3.2",
    example="A boot log of 2.6.32.",
    remedy="Name the kernel that is meant with --kernel.",
    source="-",
    per_kernel=False,
)
def kernel_not_modelled(case: Case) -> Iterator[Hit]:
    """The capture names a kernel release that has no rules."""
    release = case.prediction.machine.kernel_release
    if release is None:
        return
    try:
        rules_for(release)
    except UsageError:
        yield Hit(f"Linux {release} has no rules; --kernel says which to judge by")
