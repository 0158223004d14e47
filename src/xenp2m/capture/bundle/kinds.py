"""What lies where in the bundles that people hold: one row a kind, and how a bundle's members are chosen."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import NamedTuple

from xenp2m.errors import UsageError


class Part(Enum):
    """What a member is; of several members of one part the first is read that has all it can give."""

    MACHINE = "machine"
    XEN = "Xen's console"
    LOG = "kernel log"
    IOMEM = "/proc/iomem"
    MEMMAP = "firmware's map"
    PCI = "PCI functions"
    MEMINFO = "/proc/meminfo"
    BALLOON = "the balloon driver's figures"
    EARLIER = "log of an earlier boot"

    @property
    def gives(self) -> frozenset[str]:
        """The facts that a member of this part holds when it is whole, named as notes name them."""
        return _GIVES.get(self, frozenset({"map"}))


_GIVES = {Part.LOG: frozenset({"map", "bars"}), Part.PCI: frozenset({"bars"})}


@dataclass(frozen=True)
class Kind:
    """One kind of bundle: paths below its root, of each part the best first; ``*`` is no ``/``."""

    name: str
    members: tuple[tuple[Part, str], ...]

    @cached_property
    def patterns(self) -> tuple[tuple[Part, re.Pattern[str]], ...]:
        """The paths as expressions with the groups ``root`` and ``old`` (a mark of an earlier boot)."""
        return tuple((part, _pattern(path)) for part, path in self.members)


_OLD = r"(?P<old>\.\d{1,3}|\.old|\.prev|-\d{8})?"
_PACKED = re.compile(r"\.(?:gz|bz2|xz|zst)$")


def _glob(path: str) -> str:
    return re.escape(path).replace(r"\*", "[^/]*")


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(rf"(?P<root>(?:.*/)?){_glob(path)}{_OLD}", re.DOTALL)


_SYSTEM = (
    (Part.XEN, "var/log/xen/hypervisor.log"),
    (Part.XEN, "var/log/xen/console/hypervisor.log"),
    (Part.LOG, "var/log/dmesg"),
    (Part.LOG, "var/log/boot.msg"),
    (Part.LOG, "var/log/kern.log"),
    (Part.LOG, "var/log/messages"),
    (Part.LOG, "var/log/syslog"),
    (Part.IOMEM, "proc/iomem"),
    (Part.MEMINFO, "proc/meminfo"),
)

PLAIN = "folder of texts"
KINDS = (
    Kind("copy of /proc and /var/log", _SYSTEM),
    Kind(
        "sos report",
        (
            (Part.XEN, "sos_commands/xen/xl_dmesg"),
            (Part.XEN, "sos_commands/xen/xm_dmesg"),
            (Part.LOG, "sos_commands/kernel/dmesg"),
            (Part.LOG, "sos_commands/general/dmesg"),
            (Part.LOG, "sos_commands/kernel/dmesg_*"),
            (Part.LOG, "sos_commands/logs/journalctl_--no-pager_--boot"),
            (Part.LOG, "sos_commands/logs/journalctl_--no-pager_--catalog_--boot"),
            (Part.EARLIER, "sos_commands/logs/journalctl_*--boot_-*"),
            (Part.PCI, "sos_commands/pci/lspci_-nnvv"),
            (Part.PCI, "sos_commands/pci/lspci_-*v*"),
            (Part.PCI, "sos_commands/pci/lspci"),
            (Part.PCI, "sos_commands/hardware/lspci*"),
            *_SYSTEM,
        ),
    ),
    Kind(
        "xen-bugtool status report",
        (
            (Part.XEN, "xl-dmesg.out"),
            (Part.XEN, "xen-dmesg.out"),
            (Part.LOG, "dmesg.out"),
            (Part.PCI, "lspci-vv*.out"),
            (Part.PCI, "lspci-*v*.out"),
            (Part.IOMEM, "iomem.out"),
            *_SYSTEM,
        ),
    ),
    Kind(
        "hw-probe report",
        (
            (Part.LOG, "hw.info/logs/dmesg"),
            (Part.LOG, "hw.info/logs/boot.log"),
            (Part.IOMEM, "hw.info/logs/iomem"),
            (Part.PCI, "hw.info/logs/lspci"),
            (Part.PCI, "hw.info/logs/lspci_all"),
            (Part.MEMINFO, "hw.info/logs/meminfo"),
        ),
    ),
    Kind(
        "supportconfig",
        (
            (Part.XEN, "xen.txt"),
            (Part.LOG, "boot.txt"),
            (Part.LOG, "messages.txt"),
            (Part.PCI, "hardware.txt"),
        ),
    ),
    Kind(
        PLAIN,
        (
            (Part.MACHINE, "capture.json"),
            (Part.MACHINE, "machine.json"),
            (Part.XEN, "xen-console.txt"),
            (Part.XEN, "hypervisor.log"),
            (Part.XEN, "xl-dmesg.txt"),
            (Part.LOG, "dmesg.txt"),
            (Part.LOG, "dmesg.log"),
            (Part.LOG, "dmesg"),
            (Part.IOMEM, "iomem.txt"),
            (Part.IOMEM, "iomem"),
            (Part.MEMMAP, "memmap.txt"),
            (Part.PCI, "pci.txt"),
            (Part.PCI, "lspci.txt"),
            (Part.PCI, "lspci"),
            (Part.MEMINFO, "meminfo.txt"),
            (Part.MEMINFO, "meminfo"),
            (Part.BALLOON, "balloon.txt"),
        ),
    ),
    Kind(
        "Qubes HCL report",
        (
            (Part.XEN, "xl-dmesg"),
            (Part.LOG, "dmesg"),
            (Part.LOG, "journalctl"),
            (Part.PCI, "lspci"),
            (Part.IOMEM, "iomem"),
        ),
    ),
)
"""Every kind of bundle; a new one is a row.  Of kinds that fit equally well the first counts."""

_LIKELY = re.compile(
    "(?:"
    + "|".join(sorted({_glob(path.rpartition("/")[2]) for kind in KINDS for _, path in kind.members}))
    + ")"
    + _OLD
)


class SeveralMachinesError(UsageError):
    """A bundle holds reports of several machines where one is asked for."""


class Hit(NamedTuple):
    """One reading of a member's path: as the ``rank``-th member of a kind whose root is ``root``."""

    path: str
    kind: Kind
    root: str
    part: Part
    rank: int


@dataclass(frozen=True)
class Choice:
    """The members to read, by part and best first, and what of the same machine or another is left."""

    kind: str
    members: tuple[tuple[str, ...], ...]
    gives: tuple[frozenset[str], ...]
    earlier: tuple[str, ...]
    others: tuple[str, ...]


def unpacked_name(path: str) -> str:
    """Return a member's path without the ending of a single compressed file."""
    return _PACKED.sub("", path)


def classify(path: str) -> tuple[Hit, ...]:
    """Return what a member may be, in each kind of bundle; nothing for a path that no kind knows."""
    if not _LIKELY.fullmatch(path.rpartition("/")[2]):
        return ()
    hits = []
    for kind in KINDS:
        for rank, (part, pattern) in enumerate(kind.patterns):
            match = pattern.fullmatch(path)
            if match:
                found = Part.EARLIER if match["old"] else part
                hits.append(Hit(path, kind, match["root"], found, rank))
                break
    return tuple(hits)


def is_wanted(path: str) -> bool:
    """Whether a member may be one that is read."""
    return any(hit.part is not Part.EARLIER for hit in classify(path))


def choose(hits: Iterable[Hit], name: str) -> Choice | None:
    """Choose the bundle nearest to the top, of several the one whose kind knows most members.

    Members at the same depth in different folders belong together when they are of different parts.  Returns
    None when there is nothing but logs of earlier boots.  Raises SeveralMachinesError.
    """
    groups: dict[tuple[str, str], list[Hit]] = {}
    for hit in hits:
        groups.setdefault((hit.root, hit.kind.name), []).append(hit)
    current = {key: group for key, group in groups.items() if _parts(group)}
    if not current:
        return None
    order = [kind.name for kind in KINDS]
    ranked = sorted(
        current, key=lambda key: (_depth(key[0]), -len(current[key]), order.index(key[1]), key[0])
    )
    first = ranked[0]
    taken = list(groups[first])
    roots = {first[0]}
    for key in ranked[1:]:
        root, _ = key
        if _depth(root) > _depth(first[0]):
            break
        if root in roots:
            continue
        if _parts(taken) & _parts(groups[key]):
            _refuse(name, first[0], root)
        taken += groups[key]
        roots.add(root)
    taken.sort(key=lambda hit: (hit.rank, hit.path))
    known = {hit.path for hit in taken}
    others = sorted(
        {
            f"{kind} in {root.rstrip('/')}"
            for root, kind in ranked
            if not known.intersection(hit.path for hit in groups[root, kind])
        }
    )
    by_part = {part: tuple(hit.path for hit in taken if hit.part is part) for part in Part}
    earlier = by_part.pop(Part.EARLIER)
    used = {part: paths for part, paths in by_part.items() if paths}
    gives = tuple(part.gives for part in used)
    return Choice(first[1], tuple(used.values()), gives, earlier, tuple(others))


def reports(hits: Iterable[Hit]) -> dict[str, list[Hit]]:
    """Return the hits of each machine where ``choose`` finds several, by the folder of its report."""
    found = list(hits)
    roots = {hit.root for hit in found if hit.part is not Part.EARLIER}
    outer = {root for root in roots if not any(root != other and root.startswith(other) for other in roots)}
    groups: dict[str, list[Hit]] = {root: [] for root in sorted(outer)}
    for hit in found:
        for root in _above(hit.path):
            if root in groups:
                groups[root].append(hit)
                break
    return groups


def _above(path: str) -> Iterator[str]:
    """Yield the folders that a path lies in, as roots are written, from the top down."""
    yield ""
    yield from (path[: match.end()] for match in re.finditer("/", path))


def _depth(root: str) -> int:
    return root.count("/")


def _parts(group: Sequence[Hit]) -> set[Part]:
    return {hit.part for hit in group} - {Part.EARLIER}


def _refuse(name: str, first: str, other: str) -> None:
    raise SeveralMachinesError(
        "reports of several machines in it",
        where=name,
        expected="one machine; name its folder or archive",
        found=f"{first.rstrip('/') or 'the top folder'} and {other.rstrip('/') or 'the top folder'}",
    )
