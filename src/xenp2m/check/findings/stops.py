"""XP9: kernels that stop, or print stack traces, in memory setup."""

from __future__ import annotations

from collections.abc import Iterator

from xenp2m.boot.setup import limit_pages
from xenp2m.check.findings.conflicts import stops_for_conflict
from xenp2m.check.findings.model import Case, Hit, Severity
from xenp2m.check.findings.registry import finding

_EXPLAINED = ("xen_remap_memory: mem=", "xen_del_extra_mem")


@finding(
    "XP901",
    "The kernel does not boot",
    Severity.ERROR,
    why="Memory setup met something that it cannot go on with: no map from the hypervisor, an empty map, or "
    "a frame past what the p2m can hold.",
    kernels="all; an empty map is fatal since 3.18",
    example="dom0 and a hypervisor that answers XENMEM_machine_memory_map with -ENOSYS.",
    remedy="See the function named in the message; a newer kernel or hypervisor may go further.",
    source="arch/x86/xen/setup.c, xen_memory_setup (3.12.9, 6.4.0)",
)
def does_not_boot(case: Case) -> Iterator[Hit]:
    """The kernel stops in memory setup, for a reason that no other rule explains."""
    stopped = case.guest.stopped
    if stopped is None or stopped.startswith(_EXPLAINED) or stops_for_conflict(stopped):
        return
    if len(case.config.e820 or ()) <= case.rules.host_map_entries:
        yield Hit(stopped)


@finding(
    "XP902",
    "Memory setup prints stack traces",
    Severity.WARNING,
    why="Frames are released, populated or made balloon space that are not what setup expects there: they "
    "are 1:1 already, or Xen refused them. The kernel warns and goes on with fewer frames. Before patch 4 it "
    "warns once a frame.",
    kernels="until 4.2; patch 4 (3.16) prints two of the warnings once only",
    example="Balloon space that begins in a page which is also the end of a reserved range.",
    remedy="Harmless where a single frame is named; otherwise use Linux 4.3 or later.",
    source="arch/x86/xen/setup.c, xen_add_extra_mem and xen_do_chunk (3.12.9, 3.18.0)",
)
def stack_traces(case: Case) -> Iterator[Hit]:
    """Memory setup warns with a stack trace."""
    guest = case.guest
    if guest.stopped is not None or not guest.warnings or _too_large(case):
        return
    more = f" ({guest.warning_count} warnings in all)" if guest.warning_count > 1 else ""
    yield Hit("; ".join(guest.warnings) + more)


def _too_large(case: Case) -> bool:
    """Whether the domain is larger than the kernel's limit: the p2m that warnings speak of ends there."""
    return case.config.nr_pages > limit_pages(case.config, case.rules)
