"""The running kernel of a Linux PV guest, through /proc/kcore and /proc/kallsyms.

A process with the right to reads the kernel's own virtual memory, and so its p2m; from the p2m it knows where
the guest's machine frames are in that memory, so that page tables can be walked as in a dump.  Xen's memory
is not in it: the M2P is mapped for the guest's kernel only.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xenp2m.dump import layout
from xenp2m.dump.inspection import Domain, Inspection
from xenp2m.dump.kcore import Kcore
from xenp2m.dump.leaves import Confidence, P2m
from xenp2m.dump.linear import read_linear
from xenp2m.dump.m2p import NO_PFN, FrameSet
from xenp2m.dump.memory import Frames, Pages, absent, merged
from xenp2m.dump.shared_info import SharedInfo
from xenp2m.dump.symbols import Symbols, load
from xenp2m.entry import Kind
from xenp2m.errors import FormatError, MissingFactError
from xenp2m.p2m.lookup import word_runs
from xenp2m.runs import Run, RunMap
from xenp2m.units import PAGE_SHIFT, PAGE_SIZE

_CHUNK = 1 << 22  # bytes of the list that are read at a time
_PAGE_OFFSET_32 = 0xC000_0000
_TABLE_NAMES = ("init_top_pgt", "init_level4_pgt", "swapper_pg_dir")
_NO_M2P = "the M2P is mapped for the guest's kernel only: user space cannot read it"
_MOVING = "the kernel is running: what is read in turn need not be of one moment"


class LiveMemory:
    """The guest's own machine frames, read where the kernel maps all its memory."""

    def __init__(self, kcore: Kcore, base: int, known: RunMap) -> None:
        """Take the address at which the kernel maps guest frame 0, and the map of its RAM."""
        self._kcore = kcore
        self._base = base
        self._map = known
        self._ram = FrameSet(known, Kind.RAM)

    @property
    def held(self) -> int:
        """Machine frames present, at most."""
        return self._ram.count

    def ranges(self) -> Frames:
        """Return the machine frames present."""
        return merged(self._ram.ranges())

    def read_pages(self, mfns: Frames) -> Pages:
        """Read pages by machine frame."""
        return self._read(self._ram.pfns(mfns))

    def read_guest_pages(self, pfns: Frames) -> Pages:
        """Read pages by guest frame."""
        kinds, _ = self._map.lookup(pfns)
        return self._read(np.where(kinds == Kind.RAM, pfns, np.uint64(NO_PFN)))

    def _read(self, pfns: Frames) -> Pages:
        result = absent(len(pfns))
        wanted = np.flatnonzero(pfns != np.uint64(NO_PFN))
        breaks = np.flatnonzero(np.diff(pfns[wanted]) != 1) + 1
        for rows in np.split(wanted, breaks):
            if len(rows) == 0:
                continue
            data = self._kcore.read(self._base + (int(pfns[rows[0]]) << PAGE_SHIFT), len(rows) << PAGE_SHIFT)
            if data is None:
                continue
            result.words[rows] = np.frombuffer(data, "<u8").reshape(len(rows), -1)
            result.present[rows] = True
        return result


def inspect_live(root: Path | str = "/", known: Symbols | None = None) -> Inspection:
    """Read the p2m of the running kernel.

    ``root`` is the folder that holds ``proc`` and ``sys``; ``known`` are symbols that replace
    /proc/kallsyms.  Raises MissingFactError outside a PV guest, without root's rights, and for a kernel
    whose symbols are not visible.
    """
    base = Path(root)
    _must_be_pv(base)
    names = dict((known or _kallsyms(base / "proc/kallsyms")).linux)
    kernel = _Kernel(Kcore.open(base / "proc/kcore"), names)
    p2m, memory, roots, info = kernel.read_list() if "xen_p2m_addr" in names else kernel.read_tree()
    domain = Domain(
        0 if _is_dom0(base) else None,
        kernel.arch,
        "the running kernel, by its symbols",
        Confidence.CERTAIN,
        p2m,
        info,
        p2m.map.counts()[Kind.RAM],
        roots,
    )
    return Inspection(
        "live kernel", "live kernel (/proc/kcore)", (domain,), memory, None, None, (_NO_M2P, _MOVING)
    )


def _must_be_pv(root: Path) -> None:
    kind = _text(root / "sys/hypervisor/type")
    if kind != "xen":
        raise MissingFactError(
            "not a Xen guest",
            where=str(root / "sys/hypervisor/type"),
            expected="xen",
            found=kind or "no such file",
        )
    guest = _text(root / "sys/hypervisor/guest_type")
    if guest not in ("", "PV"):
        raise MissingFactError(
            "not a PV guest", where=str(root / "sys/hypervisor/guest_type"), expected="PV", found=guest
        )


def _is_dom0(root: Path) -> bool:
    """Say whether this is dom0: Xen's handle of it is all zeros, and xenfs says it where it is mounted."""
    handle = _text(root / "sys/hypervisor/uuid")
    return set(handle) == {"0", "-"} or "control_d" in _text(root / "proc/xen/capabilities")


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _kallsyms(path: Path) -> Symbols:
    try:
        return load(path)
    except FormatError as error:
        raise MissingFactError(
            "the addresses of the kernel's symbols are hidden (needs root)", where=str(path)
        ) from error


class _Kernel:
    """The kernel's variables, and the two shapes of its p2m."""

    def __init__(self, kcore: Kcore, names: dict[str, int]) -> None:
        self.kcore = kcore
        self.names = names
        self.arch = kcore.arch

    def _value(self, name: str) -> int:
        """Return the value of a variable."""
        if name not in self.names:
            raise MissingFactError(
                "a symbol is missing",
                where="kallsyms",
                expected=f"{name} (a kernel with CONFIG_KALLSYMS_ALL)",
            )
        value = self.kcore.word(self.names[name])
        if value is None:
            raise MissingFactError(
                "cannot read a variable of the kernel", where=self.kcore.name, expected=name
            )
        return value

    def _optional(self, name: str) -> int | None:
        return self.kcore.word(self.names[name]) if name in self.names else None

    def _direct_map(self) -> int:
        """Return the address at which the kernel maps all its memory."""
        if self.arch.bits == 32:
            return _PAGE_OFFSET_32
        offset = self._optional("page_offset_base")
        if offset:
            return offset
        return next((each for each in reversed(layout.PAGE_OFFSETS) if self.kcore.offers(each)), 0)

    def _pfn(self, address: int) -> int:
        """Return the guest frame behind an address of the kernel's image or of its memory."""
        if self.arch.bits == 64 and address >= layout.KERNEL_MAP_START:
            return (address - layout.KERNEL_MAP_START + (self._optional("phys_base") or 0)) >> PAGE_SHIFT
        return (address - self._direct_map()) >> PAGE_SHIFT

    def read_list(self) -> tuple[P2m, LiveMemory, tuple[int, ...], SharedInfo]:
        """Read the linear list: first as words, for the guest's RAM, then by its page tables."""
        address = self._value("xen_p2m_addr")
        if address == 0:
            raise MissingFactError("not a PV guest", where=self.kcore.name, found="an empty xen_p2m_addr")
        size = min(self._value("xen_p2m_size"), layout.MOST_PFNS)
        used = min(self._optional("max_pfn") or size, size)
        ram = self._ram(address, used)
        memory = LiveMemory(self.kcore, self._direct_map(), ram)
        root = self._root(ram)
        if root is None:
            raise MissingFactError(
                "the kernel's page table is not found", where="kallsyms", expected=_TABLE_NAMES[0]
            )
        info = SharedInfo(self.arch, None, used, None, root, address, 0)
        p2m = read_linear(memory, info, Symbols(self.names))
        return p2m, memory, (root,), info

    def _ram(self, address: int, count: int) -> RunMap:
        """Read the words of the list; what is not RAM is left out, for words alone do not tell it."""
        width = self.arch.bits // 8
        step = _CHUNK // width
        runs: list[Run] = []
        for at in range(0, count, step):
            words = self.kcore.words(address + at * width, min(step, count - at))
            if words is None:
                words = self._by_page(address + at * width, min(step, count - at))
            # where nothing is mapped the file reads as zeros, and no guest has machine frame 0
            words = np.where(words == 0, np.uint64(self.arch.invalid), words)
            runs += [run for run in word_runs(words, at, self.arch) if run.kind is Kind.RAM]
        return RunMap(self.arch, count, Kind.MISSING, runs)

    def _by_page(self, address: int, count: int) -> Frames:
        """Read words a page at a time; those that the kernel does not offer are all ones."""
        width = self.arch.bits // 8
        per = PAGE_SIZE // width
        words = np.full(count, np.uint64(self.arch.invalid))
        for at in range(0, count, per):
            found = self.kcore.words(address + at * width, min(per, count - at))
            if found is not None:
                words[at : at + len(found)] = found
        return words

    def read_tree(self) -> tuple[P2m, LiveMemory, tuple[int, ...], SharedInfo | None]:
        """Read the three-level tree by its pointers, which tell the shared pages apart."""
        top = self._value("p2m_top")
        if top == 0:
            raise MissingFactError("not a PV guest", where=self.kcore.name, found="an empty p2m_top")
        shared = {self._value("p2m_missing"): Kind.MISSING, self._value("p2m_identity"): Kind.IDENTITY}
        whole = {"p2m_mid_missing": Kind.MISSING, "p2m_mid_identity": Kind.IDENTITY}
        mids = {self._value(name): kind for name, kind in whole.items() if name in self.names}
        runs: list[Run] = []
        per = self.arch.pfns_per_leaf
        for slot, mid in enumerate(self._page(top).tolist()):
            first = slot * self.arch.pfns_per_mid
            if mid in mids:
                runs.append(Run(first, self.arch.pfns_per_mid, mids[mid], None))
                continue
            for index, leaf in enumerate(self._page(mid).tolist()):
                pfn = first + index * per
                if leaf in shared:
                    runs.append(Run(pfn, per, shared[leaf], None))
                else:
                    runs += word_runs(self._page(leaf), pfn, self.arch)
        beyond = Kind.IDENTITY if "p2m_mid_identity" in self.names else Kind.MISSING
        known = RunMap(self.arch, self.arch.max_p2m_pfn, beyond, runs)
        p2m = P2m(known, "kernel's three-level tree (p2m_top, by symbol)")
        memory = LiveMemory(self.kcore, self._direct_map(), known)
        root = self._root(known)
        return p2m, memory, () if root is None else (root,), None

    def _root(self, known: RunMap) -> int | None:
        """Return the machine frame of the kernel's own top-level page table."""
        table = next((self.names[name] for name in _TABLE_NAMES if name in self.names), None)
        if table is None:
            return None
        kind, root = known.entry(self._pfn(table))
        return root if kind is Kind.RAM else None

    def _page(self, address: int) -> NDArray[np.uint64]:
        words = self.kcore.words(address, self.arch.entries_per_page)
        if words is None:
            raise MissingFactError("the kernel does not offer a page of its p2m", where=f"{address:#x}")
        return words
