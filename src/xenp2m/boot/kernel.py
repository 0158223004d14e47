"""boot(): plays xen_memory_setup, and what later boot code does with the p2m, by the choices of Rules."""

from __future__ import annotations

from dataclasses import replace

from xenp2m.boot import conflicts, release, remap
from xenp2m.boot.e820 import (
    RAM,
    RESERVED,
    TABLE_ENTRIES,
    Range,
    cut_ram,
    holes,
    sanitise,
    unusable_to_ram,
)
from xenp2m.boot.frames import HOST, IDENTITY, MISSING, Frames
from xenp2m.boot.guest import BootLog, Guest, GuestConfig, OpKind, P2mOp
from xenp2m.boot.maplines import map_lines
from xenp2m.boot.setup import BootStopsError, Setup
from xenp2m.boot.split import split
from xenp2m.errors import InputError, UsageError
from xenp2m.machine import E820Entry
from xenp2m.p2m.list import area_pages
from xenp2m.rules import Conflicts, HoleFrames, Rules, Structure
from xenp2m.units import MIB, PAGE_SHIFT, PAGE_SIZE

ISA_START = 0xA0000
ISA_END = 0x100000
IBFT_START = 0x80000
IBFT_END = 0x100000
DOMU_SLACK = 8 * MIB


def boot(config: GuestConfig, rules: Rules) -> Guest:
    """Play the memory setup of the kernel that ``rules`` describe on the inputs of one boot.

    A kernel that stops gives a Guest with ``stopped`` set.  Raises InputError when the inputs are impossible
    (no frames, more frames than 2^40, addresses past 2^64) and UsageError for a 32-bit guest of a kernel that
    has none.
    """
    _validate(config, rules)
    setup = _start(config, rules)
    later = remap.Later(setup)
    stopped = None
    try:
        _read_map(setup)
        if rules.identity_before_split:
            _holes_first(setup, later)
        else:
            _split_first(setup, later)
        setup.lines += map_lines(rules, "Xen", "BIOS-provided physical RAM map:", setup.kernel_map.entries)
        _apply_mem_limit(setup)
        if rules.structure is Structure.LIST:
            _make_list_area(setup)
            later.carry_out()
            _enter_nvs(setup)
    except BootStopsError as stop:
        stopped = str(stop)
    return _guest(setup, stopped)


def publish(guest: Guest) -> Guest:
    """Play what follows memory setup: the frame list, through which tools read the p2m, is built.

    3.18 builds it only then, from every frame below the end of the balloon space.  Where that is past what
    the tree holds, the kernel stops: xen_build_mfn_list_list() (arch/x86/xen/p2m.c, 3.18.0) asks for the slot
    of a frame that has none.  Kernels before have built it by then, those after leave out what is past it.
    """
    late = guest.rules.structure is Structure.TREE and not guest.rules.mid_mfn_in_brk
    if guest.stopped is None and late and guest.max_p2m_pfn > guest.config.arch.max_p2m_pfn:
        return replace(guest, stopped="p2m_top_index: BUG_ON(pfn >= MAX_P2M_PFN)")
    return guest


def _validate(config: GuestConfig, rules: Rules) -> None:
    if config.arch.bits == 32 and not rules.has_32bit:
        raise UsageError(f"Linux {rules.name} has no 32-bit PV guests", expected="a kernel up to 5.9")
    if not 0 < config.nr_pages <= 1 << 40:
        raise InputError("impossible number of frames", expected="1 to 2^40", found=str(config.nr_pages))
    for entry in config.e820 or ():
        if not (0 <= entry.start < 1 << 64 and 0 <= entry.end <= 1 << 64):
            raise InputError("E820 entry outside of 64 bits", found=f"[{entry.start:#x}, {entry.end:#x})")


def _start(config: GuestConfig, rules: Rules) -> Setup:
    arch = config.arch
    if rules.structure is Structure.TREE:
        end, beyond = arch.max_p2m_pfn, IDENTITY if rules.high_identity else MISSING
        max_p2m_pfn = min(config.nr_pages, arch.max_domain_pages)
    else:
        end, beyond = -(-config.nr_pages // arch.pfns_per_leaf) * arch.pfns_per_leaf, IDENTITY
        max_p2m_pfn = end
    frames = Frames(config.nr_pages, end, beyond)
    setup = Setup(config=config, rules=rules, frames=frames, nr_pages=0, max_p2m_pfn=max_p2m_pfn)
    setup.nr_pages = min(setup.limit_pages(), config.nr_pages)
    return setup


def _read_map(setup: Setup) -> None:
    """Ask for the host map and put it in order."""
    config, rules = setup.config, setup.rules
    entries: list[Range]
    if config.e820 is None:
        if config.is_dom0:
            raise BootStopsError("xen_memory_setup: BUG_ON(xen_initial_domain())")
        entries = [(0, (setup.nr_pages << PAGE_SHIFT) + DOMU_SLACK, RAM)]
    else:
        entries = [(entry.start, entry.end & (1 << 64) - 1, entry.type) for entry in config.e820]
    if len(entries) > rules.host_map_entries:
        raise BootStopsError("xen_memory_setup: BUG_ON(rc)")
    if not entries and rules.empty_map_is_fatal:
        raise BootStopsError("xen_memory_setup: BUG_ON(memmap.nr_entries == 0)")
    if config.is_dom0:
        if rules.unusable_is_ram:
            entries = unusable_to_ram(entries)
        if rules.ibft_reserved and config.ibft:
            entries.append((IBFT_START, IBFT_END, RESERVED))
    limit = len(entries) if rules.sanitise_to_entry_count else rules.host_map_entries
    setup.host = sanitise(entries, limit, persistent_kept_apart=rules.persistent_kept_apart)
    if rules.conflicts is Conflicts.MOVE_NVS:
        conflicts.move_nvs(setup)


def _holes_first(setup: Setup, later: remap.Later) -> None:
    """The order up to 4.2: holes are made 1:1 on the host map, then the map is split."""
    rules = setup.rules
    extra = max(0, setup.max_pages() - setup.nr_pages)
    last = 0
    if rules.holes in (HoleFrames.RELEASE, HoleFrames.REPOPULATE):
        release.release_holes(setup)
        if rules.holes is HoleFrames.REPOPULATE:
            last = release.populate_back(setup)
    else:
        last = _remap_and_count(setup, later)
    extra += setup.released
    ram_pages = setup.nr_pages
    if rules.raise_end_to_last and last > ram_pages:
        ram_pages = min(setup.limit_pages(), last)
    split(setup, ram_pages << PAGE_SHIFT, setup.clamp_extra(extra, ram_pages))
    setup.identity_tail()
    _finish_map(setup)


def _remap_and_count(setup: Setup, later: remap.Later) -> int:
    at_once = setup.rules.holes is HoleFrames.MOVE_BY_LEAF
    identity, remapped, last = remap.remap_holes(
        setup, (lambda *move: remap.move_by_leaf(setup, *move)) if at_once else later.note
    )
    setup.set_identity = identity
    setup.lines.append(f"Set {identity} page(s) to 1-1 mapping")
    if at_once:
        setup.remapped, setup.last_pfn = remapped, last
        setup.lines.append(f"Remapped {remapped} page(s), last_pfn={last}")
    _print_released(setup)
    return last


def _split_first(setup: Setup, later: remap.Later) -> None:
    """The order since 4.3: the map is split with room for what will move, then holes are made 1:1."""
    extra = max(0, setup.max_pages() - setup.nr_pages + _room_for_moved(setup))
    split(setup, setup.nr_pages << PAGE_SHIFT, setup.clamp_extra(extra, setup.nr_pages))
    setup.identity_tail()
    _finish_map(setup)
    if setup.rules.conflicts is Conflicts.FATAL:
        conflicts.check(setup)
    if setup.rules.conflicts is not Conflicts.UNCHECKED:
        conflicts.move_p2m_list_and_initrd(setup)
    remap.remap_holes(setup, later.note)
    _print_released(setup)


def _room_for_moved(setup: Setup) -> int:
    if not setup.rules.room_for_moved:
        return 0
    nr_pages = setup.nr_pages
    return sum(
        min(end, nr_pages) - start
        for start, end in holes(setup.host, setup.arch.word_mask)
        if start < nr_pages
    )


def _print_released(setup: Setup) -> None:
    setup.released_printed = setup.released
    setup.lines.append(f"Released {setup.released} page(s)")


def _finish_map(setup: Setup) -> None:
    kernel_map = setup.kernel_map
    kernel_map.add(ISA_START, ISA_END, RESERVED)
    kernel_map.entries = sanitise(
        kernel_map.entries, TABLE_ENTRIES, persistent_kept_apart=setup.rules.persistent_kept_apart
    )


def _apply_mem_limit(setup: Setup) -> None:
    """mem= comes after memory setup: it takes RAM out of the finished map and changes nothing else."""
    if setup.config.mem_limit is None:
        return
    kernel_map = setup.kernel_map
    kernel_map.entries = cut_ram(kernel_map.entries, setup.config.mem_limit)
    setup.lines += map_lines(setup.rules, "user", "user-defined physical RAM map:", kernel_map.entries)


def _make_list_area(setup: Setup) -> None:
    """xen_vmalloc_p2m_tree: the list grows to its area, 1:1 except for extra memory, which is missing."""
    arch, frames = setup.arch, setup.frames
    setup.last_p2m_pfn = setup.max_p2m_pfn
    setup.max_p2m_pfn = area_pages(arch, setup.max_p2m_pfn, setup.config.hotplug_limit_gib)
    setup.p2m_area = setup.max_p2m_pfn * (arch.bits // 8)
    setup.lines.append(f"p2m virtual area at (____ptrval____), size is {setup.p2m_area:x}")
    frames.resize(setup.max_p2m_pfn, IDENTITY)
    for start, end in setup.extra.regions():
        first, stop = start >> PAGE_SHIFT, -(-end // PAGE_SIZE)
        setup.ops.append(P2mOp(OpKind.EXTRA, first, stop))
        frames.put(first, stop, MISSING)


def _enter_nvs(setup: Setup) -> None:
    if setup.rules.conflicts is not Conflicts.MOVE_NVS:
        return
    for pfn, mfn, pages in setup.nvs_moves:
        setup.require_in_tree(pfn + pages - 1)
        setup.frames.put(pfn, pfn + pages, HOST, mfn - pfn)
        setup.ops.append(P2mOp(OpKind.NVS, pfn, pfn + pages, mfn))
    setup.remapped_nonram = sum(pages for _, _, pages in setup.nvs_moves)
    setup.lines.append(f"Remapped {setup.remapped_nonram} non-RAM page(s)")


def _guest(setup: Setup, stopped: str | None) -> Guest:
    return Guest(
        rules=setup.rules,
        config=setup.config,
        e820=tuple(E820Entry(*entry) for entry in setup.kernel_map.entries),
        extra=setup.extra.regions(),
        p2m=setup.frames.run_map(setup.arch),
        placements=setup.frames.placements(),
        ops=tuple(setup.ops),
        log=BootLog(
            lines=tuple(setup.lines),
            freed=tuple(setup.freed),
            populated=tuple(setup.populated),
            identity_ranges=tuple(setup.identity_ranges),
            released=setup.released_printed,
            set_identity=setup.set_identity,
            remapped=setup.remapped,
            last_pfn=setup.last_pfn,
            unable_to_find=setup.unable_to_find,
            remapped_nonram=setup.remapped_nonram,
            p2m_area=setup.p2m_area,
        ),
        max_p2m_pfn=setup.max_p2m_pfn,
        ballooned=setup.released,
        warnings=tuple(setup.warnings),
        warning_count=setup.warning_count,
        stopped=stopped,
        initrd_moved=setup.initrd_moved,
        p2m_relocated=setup.p2m_relocated,
        ignored_entries=setup.kernel_map.ignored,
        last_p2m_pfn=setup.last_p2m_pfn,
        identity_calls=_joined(setup.identity_calls),
    )


def _joined(ranges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if found and found[-1][1] == start:
            found[-1] = found[-1][0], end
        else:
            found.append((start, end))
    return tuple(found)
