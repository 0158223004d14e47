"""What opening a file yields."""

from __future__ import annotations

from dataclasses import dataclass, field

from xenp2m.arch import Arch
from xenp2m.dump.memory import Frames, Memory


@dataclass(frozen=True, slots=True)
class CrashInfo:
    """Xen's crash note (xen/common/kexec.c): its version, and the root of dom0's frame list list.

    ``frame_list_list`` is a machine frame, or None where the note is of the form without it.
    """

    version: tuple[int, int]
    frame_list_list: int | None


@dataclass(frozen=True, slots=True, eq=False)
class CoreInfo:
    """What an ``xl dump-core`` file says of its one guest.

    ``pfns`` and ``mfns`` (uint64, one element a page of the file) are the guest's frames and their machine
    frames as the toolstack listed them; ``mfns`` is None for an HVM guest.  ``cr3`` holds the kernel page
    table frame of each virtual CPU.  ``shared_info`` is the page's 4096 bytes, None if it was not mapped.
    """

    arch: Arch
    hvm: bool
    pfns: Frames
    mfns: Frames | None
    cr3: tuple[int, ...]
    shared_info: bytes | None
    xen_version: str


@dataclass(frozen=True, slots=True, eq=False)
class Dump:
    """An opened dump.

    ``container`` names the format; ``memory`` reads it; ``roots`` are page table frames that the file
    notes; ``core`` is set for a single guest, ``crash`` where Xen left its note; ``remarks`` are
    inconsistencies that did not keep the dump from being read.
    """

    name: str
    container: str
    memory: Memory
    roots: tuple[int, ...] = ()
    core: CoreInfo | None = None
    crash: CrashInfo | None = None
    remarks: tuple[str, ...] = field(default=())
