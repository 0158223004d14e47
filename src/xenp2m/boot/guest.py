"""What goes into a kernel's memory setup, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from xenp2m.arch import X86_64, Arch
from xenp2m.display import Pictured
from xenp2m.machine import E820Entry
from xenp2m.rules import Rules
from xenp2m.runs import RunMap


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestConfig:
    """The inputs of memory setup, as hypervisor and domain builder give them (facts of one boot).

    Sizes and addresses are in bytes, ``nr_pages`` and ``max_reservation`` in frames.
    ``e820`` is the map that the hypercall returns, unsanitised; None when it answers -ENOSYS.
    ``max_reservation`` is what XENMEM_maximum_reservation returns (0xffffffff is Xen's "no maximum").
    ``kernel`` and ``start_info`` are ``(start, end)`` ranges; ``page_tables`` and ``ramdisk`` are
    ``(start, size)``; a range that is not known is None and is not checked.  ``p2m_frames`` is the
    ``(first, count)`` of the builder's list.  ``ibft`` is CONFIG_ISCSI_IBFT_FIND.
    ``maxmem`` is the lowmem size of a 32-bit kernel.  ``populate_limit`` and ``release_limit`` are the
    frames that Xen grants or takes before it refuses (None: no limit).
    ``limit_512gb`` is the kernel's ``xen_512gb_limit``.  ``hotplug_limit_gib`` is
    CONFIG_XEN_MEMORY_HOTPLUG_LIMIT (0: not configured).  ``mem_limit`` is the kernel's ``mem=`` in bytes.
    """

    nr_pages: int
    e820: tuple[E820Entry, ...] | None
    arch: Arch = X86_64
    is_dom0: bool = True
    max_reservation: int = 0xFFFF_FFFF
    kernel: tuple[int, int] | None = None
    start_info: tuple[int, int] | None = None
    page_tables: tuple[int, int] | None = None
    ramdisk: tuple[int, int] | None = None
    p2m_frames: tuple[int, int] | None = None
    ibft: bool = False
    maxmem: int = 0x377F_E000
    limit_512gb: bool = True
    populate_limit: int | None = None
    release_limit: int | None = None
    hotplug_limit_gib: int = 512
    mem_limit: int | None = None


class Origin(Enum):
    """Where a RAM frame's machine frame comes from."""

    BUILDER = "builder"
    """The domain builder's list: ``base`` is the pfn that the frame had there."""
    FRESH = "fresh"
    """Populated during setup: ``base`` counts the fresh frames from 0."""
    HOST = "host"
    """A given machine frame: ``base`` is that frame (moved ACPI NVS; a 1:1 frame that a remap took along)."""


class Placement(NamedTuple):
    """Frames ``[start, end)`` and where their machine frames come from; ``base`` belongs to ``start``."""

    start: int
    end: int
    origin: Origin
    base: int


class OpKind(Enum):
    """A change that memory setup makes to the p2m."""

    RELEASE = "release"
    """Frames given back; their entries become missing (early_set_phys_to_machine)."""
    POPULATE = "populate"
    """Fresh frames entered (early_set_phys_to_machine)."""
    MOVE = "move"
    """Frames of the builder's list entered at other pfns."""
    IDENTITY = "identity"
    """set_phys_range_identity; the range is as the kernel passes it, unclamped."""
    EXTRA = "extra"
    """Balloon space: entries become missing (the inner set)."""
    NVS = "nvs"
    """Given machine frames entered at other pfns: ``Origin.HOST``."""


class P2mOp(NamedTuple):
    """One change of the p2m over the frames ``[start, end)``, in the order in which setup makes them."""

    kind: OpKind
    start: int
    end: int
    base: int = 0
    """MOVE: the builder's pfn of the first frame; POPULATE: its number; NVS: its machine frame."""


class FrameCount(NamedTuple):
    """A range of frames as the kernel prints it, and the count printed beside it."""

    start: int
    end: int
    pages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BootLog:
    """What memory setup logs: the numbers by name, and the lines.

    A number is None when its line is not printed.  ``identity_ranges`` are the debug lines
    "1-1 mapping on a->b", in frames.  ``p2m_area`` is the size in bytes of the list's virtual area.
    ``lines`` are whole, without time stamps and in order; the error lines of entries that do not fit into the
    kernel's map are not among them (``Guest.ignored_entries`` counts these), and an address that nothing can
    predict is printed as the kernel hides it: ``(____ptrval____)``.
    """

    lines: tuple[str, ...] = ()
    freed: tuple[FrameCount, ...] = ()
    populated: tuple[FrameCount, ...] = ()
    identity_ranges: tuple[tuple[int, int], ...] = ()
    released: int | None = None
    set_identity: int | None = None
    remapped: int | None = None
    last_pfn: int | None = None
    unable_to_find: int = 0
    remapped_nonram: int | None = None
    p2m_area: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest(Pictured):
    """A guest after memory setup.

    ``e820`` is the kernel's own final map (cut by ``mem=``, if given) and ``extra`` its balloon regions, both
    in bytes; where the map could not be sanitised, an entry's end may lie below its start.
    ``p2m`` covers ``[0, MAX_P2M_PFN)`` for a tree and the list's area otherwise.  Its RAM runs name no
    machine frames, because only the hypervisor knows them, except frames of ``Origin.HOST``; ``placements``
    say where each RAM frame comes from.  ``ops`` are the changes to the p2m in order, and ``identity_calls``
    the ranges (in frames, as passed) of the identity calls that were accepted, sorted, touching ones joined.
    ``max_p2m_pfn`` is the kernel's xen_max_p2m_pfn; for a list, which then covers its whole area,
    ``last_p2m_pfn`` is the value before.  ``ballooned`` are the frames that the balloon driver counts as
    released.
    ``warnings`` are stack-trace warnings (WARN); a text is given once for a range of frames that all cause
    it, and ``warning_count`` is how many the kernel prints.
    ``initrd_moved`` is ``(start, end, new start, new end)`` in bytes, ``p2m_relocated`` the byte address of
    the moved list, and ``ignored_entries`` counts entries that did not fit into the kernel's map.
    ``stopped`` says where and why the kernel does not boot; then everything else is as far as it got.
    """

    rules: Rules
    config: GuestConfig
    e820: tuple[E820Entry, ...]
    extra: tuple[tuple[int, int], ...]
    p2m: RunMap
    placements: tuple[Placement, ...]
    ops: tuple[P2mOp, ...]
    log: BootLog
    max_p2m_pfn: int
    ballooned: int
    warnings: tuple[str, ...] = ()
    warning_count: int = 0
    stopped: str | None = None
    initrd_moved: tuple[int, int, int, int] | None = None
    p2m_relocated: int | None = None
    ignored_entries: int = 0
    last_p2m_pfn: int | None = None
    identity_calls: tuple[tuple[int, int], ...] = ()
