"""What each kernel does, as values: Rules, the known kernels and the nine patches of the 2014 series.

Everything that differs between kernels is a named choice here, and nothing else in the program compares
versions.  A kernel is the one before it with some choices changed (KERNELS); a patch of the series is a
change of choices on top of 3.15 (SERIES).

Where a release bound could not be read in a tree but is known from documentation or logs only, the comment
says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import lru_cache
from typing import Any

from xenp2m.errors import UsageError


class Structure(Enum):
    """The shape of the p2m."""

    TREE = auto()
    """Three levels of pages with shared missing and identity pages (up to 3.18)."""
    LIST = auto()
    """One virtually contiguous list whose page tables share pages (3.19 and later)."""


class HoleFrames(Enum):
    """What becomes of the machine frames that Xen put under E820 holes."""

    RELEASE = auto()
    """Given back to Xen; the balloon driver may get others later (2.6.39 to 3.4)."""
    REPOPULATE = auto()
    """Given back, and as many fresh frames are asked for above (3.5 to 3.17)."""
    MOVE_BY_LEAF = auto()
    """Moved to free pfns at once, whole p2m leaves first (3.18)."""
    MOVE_LATER = auto()
    """Noted, and moved when the p2m is in its final place (3.19 and later)."""


class DiscardedRam(Enum):
    """What the kernel's own E820 says of host RAM that the domain may never use."""

    UNUSABLE = auto()
    """Kept as type 5; its frames are missing in the p2m."""
    DROPPED = auto()
    """Not in the map; its frames are 1:1 like any hole."""


class Conflicts(Enum):
    """What is checked when the kernel image, page tables, initrd or p2m list lie where the map has no RAM."""

    UNCHECKED = auto()
    FATAL = auto()
    """The p2m list and the initrd are moved, anything else stops the boot."""
    MOVE_NVS = auto()
    """As FATAL, but ACPI NVS entries are first moved out of the way."""


class LastPfn(Enum):
    """How the linear list keeps the number that it publishes as arch.max_pfn."""

    ABSENT = auto()
    EXACT = auto()
    """The highest frame ever allocated for."""
    ROUNDED = auto()
    """The end of the highest leaf ever allocated for."""


class SoftwareBits(Enum):
    """What the bits of a PTE that hardware ignores mean (asm/pgtable_types.h)."""

    NUMA_IS_PROTNONE = auto()
    """Bit 9 is SPECIAL and SPLITTING; NUMA hints use the bit of PROTNONE (up to 3.15)."""
    NUMA_IS_SPECIAL = auto()
    """Bit 9 is SPECIAL and NUMA, bit 10 SPLITTING in large entries (3.16 to 3.18)."""
    PLAIN = auto()
    """Bit 9 is SPECIAL, bit 10 free, bit 11 SOFT_DIRTY."""
    UFFD = auto()
    """As PLAIN, and bit 10 is UFFD_WP, bit 58 DEVMAP, bits 59 to 62 the protection key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The choices of one kernel.

    ``name`` is what was asked for, ``since`` the first release with these rules and ``generation`` a short
    name of its memory setup.  The other fields are choices; each says what is true when it is set.
    """

    name: str
    since: tuple[int, ...]
    generation: str

    # Memory setup (arch/x86/xen/setup.c)
    has_32bit: bool = True
    """32-bit kernels can be PV guests (up to 5.9)."""
    host_map_entries: int = 128
    """Entries of the buffer for the host map; a larger map stops the boot."""
    holes: HoleFrames = HoleFrames.RELEASE
    unusable_is_ram: bool = False
    """In dom0, type 5 of the host map is treated as RAM."""
    sanitise_to_entry_count: bool = True
    """The sanitised host map may not have more entries than before, so overlaps drop its top."""
    persistent_kept_apart: bool = False
    """Sanitising does not merge touching entries of types 12 and 0xefffffff."""
    domain_limit: bool = True
    """A domain has at most CONFIG_XEN_MAX_DOMAIN_MEMORY (500 GiB, 64 GiB on 32-bit)."""
    reservation_is_int: bool = True
    """XENMEM_maximum_reservation is kept in an ``int``: 2^31 and more count as no maximum."""
    identity_before_split: bool = True
    """Holes are made 1:1 while the map is still the host's, and the map is split afterwards."""
    extra_in_frames: bool = False
    """Extra memory is counted in whole frames inside each range, not in bytes."""
    room_for_moved: bool = False
    """Room for the frames that move is added to the domain's maximum."""
    raise_end_to_last: bool = True
    """The end of the domain's RAM is raised to the last frame that was populated or moved to."""
    remap_target_may_end_at_last: bool = False
    """A RAM entry that ends exactly where the next target would be is taken, and gives no room (3.18)."""
    discarded_ram: DiscardedRam = DiscardedRam.UNUSABLE
    conflicts: Conflicts = Conflicts.UNCHECKED
    ibft_reserved: bool = False
    """dom0 reserves [0x80000, 0x100000) for the iSCSI boot firmware table, where the kernel looks for one."""
    empty_map_is_fatal: bool = False
    log_always: bool = True
    """The Released and Set lines are printed even when they say 0."""
    log_old_ranges: bool = False
    """E820 lines are "start - end (type)", not "[mem start-end] type"."""
    log_e820_prefix: bool = True
    """E820 headers start with "e820: "."""
    log_identity_ranges: bool = True
    """Each identity call prints a debug line "1-1 mapping on a->b"."""
    warn_bad_mfn_once: bool = False
    """Bad frames in the extra memory are warned about once a boot (patch 4)."""

    # The p2m (arch/x86/xen/p2m.c)
    structure: Structure = Structure.TREE
    clamp_identity_range: bool = False
    """An identity range that ends past the p2m is cut to it, not refused (patch 2)."""
    compact_mid: bool = False
    """A shared mid page stands for a whole 1:1 mid, and ranges are split at their ends only (patch 3)."""
    skip_identity: bool = False
    """The identity call skips mids and leaves that are already shared 1:1 pages (patch 3, as of v5)."""
    identity_tail: bool = False
    """Memory setup makes the frames past the end of the E820 1:1 (patch 5; v1 of the series did not)."""
    high_identity: bool = False
    """Frames past the end of the p2m are looked up as 1:1 (patch 5)."""
    mid_mfn_in_brk: bool = True
    """The frame list's mid pages are taken in step with the tree's own (up to 3.17)."""
    m2p_override: bool = True
    """Granted frames mapped by user space are found through the override table."""
    list_generation: bool = False
    """The list publishes its address and counts its changes (arch.p2m_generation)."""
    list_last_pfn: LastPfn = LastPfn.ABSENT
    list_store_past_end_is_bug: bool = True
    """Storing a frame past the end of the list stops the kernel; later kernels refuse."""
    foreign_undo_failed_map: bool = False
    """A foreign mapping whose entry cannot be stored is undone at once and marked as failed."""

    # Page table entries (arch/x86/xen/mmu.c, asm/pgtable_types.h)
    pte_iomap: bool = True
    """PTE conversion takes an entry with _PAGE_IOMAP as a machine address (gone with patch 8)."""
    iomap_flag: bool = True
    """Bit 10 is _PAGE_IOMAP, and ioremap and PCI mmap set it (gone with patch 9)."""
    foreign_remap_iomap: bool = True
    """Toolstack mappings of foreign frames are built with _PAGE_IOMAP (gone with patch 6)."""
    spurious_only_protection: bool = False
    """Only protection faults may be spurious, so M2P holes do not oops (patch 7)."""
    pte_frame_end: int = 46
    """First bit above the frame in a PTE of a 64-bit kernel."""
    pae_frame_end: int = 44
    """First bit above the frame in a PTE of a 32-bit PAE kernel."""
    software_bits: SoftwareBits = SoftwareBits.NUMA_IS_PROTNONE
    nonlinear_file: bool = True
    """A non-present entry with bit 6 is _PAGE_FILE, a page of a nonlinear file mapping."""
    keeps_cache_bits: bool = False
    """PWT and PCD survive in PTEs made from a pfn."""
    inverts_non_present: bool = False
    """Non-present entries hold inverted frames, and swap entries inverted offsets (L1TF)."""


@dataclass(frozen=True, slots=True)
class Patch:
    """One patch of the series: its number, its subject, the upstream commit and what it changes in Rules."""

    number: int
    subject: str
    commit: str
    merged: str
    effect: str
    changes: tuple[tuple[str, Any], ...]


_A0 = Rules(name="3.2", since=(3, 2), generation="A0", log_old_ranges=True, log_e820_prefix=False)
_A = replace(
    _A0,
    name="3.5",
    since=(3, 5),  # the first version is documented nowhere that could be read
    generation="A",
    holes=HoleFrames.REPOPULATE,
    unusable_is_ram=True,
    log_always=False,
    log_old_ranges=False,
    log_e820_prefix=True,
)
_B316 = replace(
    _A,
    name="3.16",
    since=(3, 16),
    generation="B316",
    clamp_identity_range=True,
    compact_mid=True,
    skip_identity=True,
    identity_tail=True,
    high_identity=True,
    warn_bad_mfn_once=True,
    foreign_remap_iomap=False,
    software_bits=SoftwareBits.NUMA_IS_SPECIAL,
)
_B317 = replace(_B316, name="3.17", since=(3, 17), log_identity_ranges=False)
_B318 = replace(
    _B317,
    name="3.18",
    since=(3, 18),
    generation="B318",
    holes=HoleFrames.MOVE_BY_LEAF,
    remap_target_may_end_at_last=True,
    empty_map_is_fatal=True,
    log_always=True,
    mid_mfn_in_brk=False,
    pte_iomap=False,
    iomap_flag=False,
    spurious_only_protection=True,
)
_B319 = replace(
    _B318,
    name="3.19",
    since=(3, 19),
    generation="B319",
    holes=HoleFrames.MOVE_LATER,
    remap_target_may_end_at_last=False,
    raise_end_to_last=False,
    structure=Structure.LIST,
    keeps_cache_bits=True,  # PAT support for PV guests; the release is from documentation
    software_bits=SoftwareBits.PLAIN,
)
_C64 = replace(
    _B319,
    name="4.3",
    since=(4, 3),  # from documentation; the first text read is 4.12 or later
    generation="C64",
    host_map_entries=320,  # 128 + 3 * MAX_NUMNODES, read in 4.12
    sanitise_to_entry_count=False,
    persistent_kept_apart=True,
    domain_limit=False,
    reservation_is_int=False,
    identity_before_split=False,
    extra_in_frames=True,
    room_for_moved=True,
    discarded_ram=DiscardedRam.DROPPED,
    conflicts=Conflicts.FATAL,
    m2p_override=False,
    list_generation=True,
    list_last_pfn=LastPfn.EXACT,
    nonlinear_file=False,  # gone between 3.18 and 4.4
)
_C414 = replace(_C64, name="4.14", since=(4, 14), pte_frame_end=52)  # between 4.4 and 6.4; not traced further
_C416 = replace(_C414, name="4.16", since=(4, 16), generation="C416", discarded_ram=DiscardedRam.UNUSABLE)
_C419 = replace(
    _C416,
    name="4.19",
    since=(4, 19),
    log_e820_prefix=False,  # 4.12 logs have the prefix and 4.19 logs do not
    inverts_non_present=True,
    pae_frame_end=52,  # came with the inversion, which needs the room (3.18.140 has it too)
)
_C420 = replace(
    _C419,
    name="4.19.86",
    since=(4, 19, 86),  # seen gone here and in 5.0; 4.19.5 still has it
    generation="C64",
    discarded_ram=DiscardedRam.DROPPED,
)
_C510 = replace(_C420, name="5.10", since=(5, 10), has_32bit=False)  # from documentation
_C61 = replace(
    _C510,
    name="6.1",
    since=(6, 1),
    list_last_pfn=LastPfn.ROUNDED,
    list_store_past_end_is_bug=False,
    foreign_undo_failed_map=True,
    software_bits=SoftwareBits.UFFD,  # between 4.4 and 6.4; not traced further
)
_C65 = replace(_C61, name="6.5", since=(6, 5), ibft_reserved=True)
_C612 = replace(_C65, name="6.12", since=(6, 12), generation="C612", conflicts=Conflicts.MOVE_NVS)

KERNELS: tuple[Rules, ...] = (
    _A0,
    _A,
    _B316,
    _B317,
    _B318,
    _B319,
    _C64,
    _C414,
    _C416,
    _C419,
    _C420,
    _C510,
    _C61,
    _C65,
    _C612,
)
"""Every rule set, oldest first; a kernel takes the last one that is not newer than itself."""

SERIES: tuple[Patch, ...] = (
    Patch(
        1,
        "rename early_p2m_alloc() and early_p2m_alloc_middle()",
        "fcca2e3119f3",
        "3.16",
        "no change of behaviour",
        (),
    ),
    Patch(
        2,
        "fix set_phys_range_identity() if pfn_e > MAX_P2M_PFN",
        "a9b5bff66b2a",
        "3.16",
        "an identity range that ends past the p2m is cut to it instead of being ignored",
        (("clamp_identity_range", True),),
    ),
    Patch(
        3,
        "compactly store large identity ranges in the p2m",
        "3cb83e46d032",
        "3.16",
        "whole 1:1 mids share one page, and the identity call skips what is already 1:1",
        (("compact_mid", True), ("skip_identity", True)),
    ),
    Patch(
        4,
        "only warn once if bad MFNs are found during setup",
        "2dcc9a3de1d7",
        "3.16",
        "two warnings are printed once a boot instead of once a frame",
        (("warn_bad_mfn_once", True),),
    ),
    Patch(
        5,
        "set regions above the end of RAM as 1:1",
        "25b884a83d48",
        "3.16",
        "frames past the E820 map and past the p2m are 1:1",
        (("identity_tail", True), ("high_identity", True)),
    ),
    Patch(
        6,
        "do not use _PAGE_IOMAP in xen_remap_domain_mfn_range()",
        "f59c5145dc6a",
        "3.16",
        "toolstack mappings of foreign frames are built from machine frames, without the flag",
        (("foreign_remap_iomap", False),),
    ),
    Patch(
        7,
        "skip check for spurious faults for non-present faults",
        "31668511424110",
        "3.18",
        "a fault on an M2P hole reaches its fixup instead of an oops",
        (("spurious_only_protection", True),),
    ),
    Patch(
        8,
        "do not use _PAGE_IOMAP PTE flag for I/O mappings",
        "7f2f88224517",
        "3.18",
        "the p2m alone decides how a PTE is converted",
        (("pte_iomap", False),),
    ),
    Patch(
        9,
        "remove the Xen-specific _PAGE_IOMAP PTE flag",
        "f955371ca9d3",
        "3.18",
        "bit 10 is an ordinary software bit and no mapper sets it",
        (("iomap_flag", False),),
    ),
)
"""PATCHv6 0/9 of April 2014, in order; ``merged`` is the first release that has the patch."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One posting of the series: what changed in it, in the words of its changelog, and how it differs.

    ``changes`` are relative to the whole series as merged; ``not_modelled`` says what of the posting is known
    to have been wrong but not how, so that it cannot be played.
    """

    version: int
    changed: str
    changes: tuple[tuple[str, Any], ...]
    not_modelled: str = ""


_BEFORE_V6 = (("spurious_only_protection", False),)
_BEFORE_V5 = (*_BEFORE_V6, ("skip_identity", False))
_BEFORE_V3 = (*_BEFORE_V5, ("foreign_remap_iomap", True))
_BEFORE_V2 = (*_BEFORE_V3, ("compact_mid", False), ("identity_tail", False))

REVISIONS: tuple[Revision, ...] = (
    Revision(1, "the first posting", _BEFORE_V2),
    Revision(
        2,
        "end of RAM to 512 GiB is really set as 1:1; p2m_mid_identity stores large 1:1 regions",
        _BEFORE_V3,
        "the end of the E820 was not yet the right one",
    ),
    Revision(
        3,
        "the right end of the E820; xen_remap_domain_mfn_range() fixed (not posted)",
        _BEFORE_V5,
        "p2m_mid_identity was not yet initialised rightly",
    ),
    Revision(4, "p2m_mid_identity initialised rightly", _BEFORE_V5),
    Revision(5, "set_phys_range_identity() skips mids and leaves that are 1:1 already", _BEFORE_V6),
    Revision(6, "spurious_fault() does not oops after a fault on an M2P access", ()),
)
"""The postings of the series, from the changelog of its sixth."""

_VERSION = re.compile(r"v?(\d{1,3})\.(\d{1,3})(?:\.(\d{1,4}))?(?:[.\-+~].*|[a-z].*)?", re.ASCII)


@lru_cache
def rules_for(kernel: str) -> Rules:
    """Return the rules of a kernel name.

    Names are versions ("3.15", "v4.4", "6.1.0-56-amd64": the newest rule set that is not newer), "series"
    (3.15 with all nine patches) and "series:1-5" or "series:1,3,5-7" (3.15 with those patches only).
    Raises UsageError for any other name, for a version before 3.2 and for patch 9 without patch 8.
    """
    name = kernel.strip()
    if name == "series":
        return with_patches(range(1, len(SERIES) + 1), name)
    if name.startswith("series:"):
        return with_patches(_patch_numbers(name), name)
    match = _VERSION.fullmatch(name)
    if match is None:
        raise UsageError(
            "unknown kernel",
            expected='a version such as 3.15 or 6.1, "series", or "series:1-5"',
            found=repr(kernel),
        )
    version = int(match[1]), int(match[2]), int(match[3] or 0)
    known = [rules for rules in KERNELS if rules.since <= version]
    if not known:
        raise UsageError("kernel too old to be modelled", expected="3.2 or later", found=repr(kernel))
    return replace(known[-1], name=name.removeprefix("v"))


def with_patches(numbers: range | tuple[int, ...], name: str = "") -> Rules:
    """Return 3.15 with only the given patches of the series (numbers 1 to 9)."""
    if 9 in numbers and 8 not in numbers:
        raise UsageError("patch 9 removes the flag that the code before patch 8 uses", found=name)
    rules = _A
    for patch in SERIES:
        if patch.number in numbers:
            rules = replace(rules, **dict(patch.changes))
    return replace(rules, name=name or "series:" + ",".join(map(str, numbers)), since=(3, 15))


def _patch_numbers(name: str) -> tuple[int, ...]:
    numbers: set[int] = set()
    for part in name.removeprefix("series:").split(","):
        match = re.fullmatch(r"([1-9])(?:-([1-9]))?", part.strip())
        if match is None:
            raise UsageError(
                "unknown patches", expected='numbers from 1 to 9, as in "series:1-5"', found=repr(name)
            )
        numbers.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    if not numbers:
        raise UsageError("no patches named", expected='"series:1-5"', found=repr(name))
    return tuple(sorted(numbers))
