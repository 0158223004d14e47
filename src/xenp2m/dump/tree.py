"""The three-level tree, as Xen's tools see it and as the kernel does.

The frame list list (``pfn_to_mfn_frame_list_list``) is a tree of machine frames that every PV kernel
publishes; it covers ``max_pfn`` frames and shows neither the tail above them nor which shared page is which.
The kernel's own tree ``p2m_top`` (Linux up to 3.18, arch/x86/xen/p2m.c) has virtual pointers and covers
everything.  A kernel of that age maps its memory at a fixed address, so pointers and frames convert by
arithmetic and the published tree; no page table is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xenp2m.arch import Arch
from xenp2m.dump import layout
from xenp2m.dump.evidence import Vote, decide, from_frame_list, guest_words
from xenp2m.dump.leaves import Confidence, Leaves, MapBuilder, P2m, SharedLeaves, blank_pages
from xenp2m.dump.m2p import NO_PFN, FrameSet
from xenp2m.dump.memory import Frames, Memory, read_page
from xenp2m.dump.shared_info import SharedInfo
from xenp2m.dump.symbols import Symbols
from xenp2m.entry import NO_MFN, Kind
from xenp2m.errors import MissingFactError
from xenp2m.runs import END_OF_FRAMES, Ambiguous, RunMap

_NO = np.uint64(NO_MFN)
_PAGE_OFFSET_32 = 0xC000_0000
_CHUNK = 4096
_LOOK_AT = 8  # pointers by which a page is recognised before it is verified


def read_tree(memory: Memory, info: SharedInfo, symbols: Symbols | None = None) -> P2m:
    """Read the p2m of a guest that publishes a frame list list.

    The kernel's own tree is used where it can be found, by symbols or by its structure; without it the
    frames past ``max_pfn`` are stated as ambiguous.  Raises MissingFactError when there is no frame list
    list, or the dump does not hold it.
    """
    arch = info.arch
    listed = frame_list(memory, info)
    vote = from_frame_list(memory, info.frame_list_list, info.max_pfn, arch)
    votes = [] if vote is None else [vote]
    first = MapBuilder(memory, arch, SharedLeaves())
    end = listed.end * arch.pfns_per_leaf
    plain = RunMap(arch, end, Kind.MISSING, first.runs(listed))
    kernel = _find_kernel_tree(memory, listed, GuestPointers(plain), symbols)
    candidates = blank_pages(memory, list((kernel.leaves if kernel else listed).uses())[:4096])
    if vote is not None and blank_pages(memory, [vote.frame]):
        candidates.add(vote.frame)
    if kernel is not None:
        votes += kernel.votes
    shared = decide(votes, candidates)
    builder = MapBuilder(memory, arch, shared)
    notes = [] if not info.generation & 1 else [f"generation {info.generation} is odd: the p2m was changing"]
    if kernel is None:
        runs = builder.runs(listed)
        limit = max(end, arch.max_p2m_pfn)
        builder.unknown(end, limit - end, (Kind.IDENTITY, Kind.MISSING), "past the published tree")
        builder.ambiguous.append(
            Ambiguous(limit, END_OF_FRAMES, (Kind.IDENTITY, Kind.MISSING), "past what the tree can hold")
        )
        return P2m(
            RunMap(arch, limit, Kind.MISSING, runs),
            "frame list list (pfn_to_mfn_frame_list_list)",
            tuple(builder.ambiguous),
            shared.evidence,
            shared.confidence,
            (*notes, "the kernel's own p2m was not found: the frame list list does not show all of it"),
        )
    beyond = kernel.goes_on(shared)
    runs = builder.runs(kernel.leaves)
    if beyond is None:
        builder.unknown(
            arch.max_p2m_pfn, END_OF_FRAMES - arch.max_p2m_pfn, (Kind.IDENTITY, Kind.MISSING), "past the tree"
        )
    if kernel.differs:
        notes.append(f"{kernel.differs} leaves differ between the kernel's tree and the frame list list")
    return P2m(
        RunMap(arch, arch.max_p2m_pfn, beyond or Kind.MISSING, runs),
        f"kernel's three-level tree (p2m_top, {kernel.found_by})",
        tuple(builder.ambiguous),
        (kernel.evidence, *shared.evidence, _beyond_text(beyond)),
        shared.confidence,
        (*notes, *builder.notes()),
    )


def _beyond_text(beyond: Kind | None) -> str:
    if beyond is Kind.IDENTITY:
        return "the tree is identity up to its end (Linux 3.16 and later): past it is identity"
    if beyond is None:
        return "what lies past the tree is not known"
    return "the tree is not identity up to its end (Linux before 3.16): past it is missing"


def frame_list(memory: Memory, info: SharedInfo) -> Leaves:
    """Read the tree of machine frames that a guest publishes: one leaf frame for each leaf below max_pfn."""
    arch = info.arch
    if info.frame_list_list is None or info.max_pfn == 0:
        raise MissingFactError("the guest has published no frame list list")
    top = guest_words(read_page(memory, info.frame_list_list), arch)
    count = min(-(-info.max_pfn // arch.pfns_per_leaf), arch.entries_per_page**2)
    mids = top[: -(-count // arch.entries_per_page)]
    pages = memory.read_pages(mids)
    if not pages.present[0]:
        raise MissingFactError(
            "the dump does not hold the frame list", where=f"frame list list {info.frame_list_list:#x}"
        )
    width = arch.entries_per_page
    frames = guest_words(pages.words, arch).reshape(-1, width)
    frames = np.where(pages.present[:, None], frames, _NO).reshape(-1)[:count]
    frames = np.where((frames == np.uint64(arch.invalid)) | (frames == 0), _NO, frames)
    return Leaves(arch, (), np.arange(count), frames)


class GuestPointers:
    """Kernel virtual addresses of a guest's own pages, by arithmetic (Linux up to 3.18)."""

    def __init__(self, known: RunMap) -> None:
        """Take the map of the guest's RAM, as far as it is known."""
        self.arch = known.arch
        self._map = known
        self.ram = FrameSet(known, Kind.RAM)
        self.bases = (
            (layout.PAGE_OFFSETS[0], layout.KERNEL_MAP_START) if self.arch.bits == 64 else (_PAGE_OFFSET_32,)
        )

    def pointers(self, mfn: int) -> Frames:
        """Return the addresses at which the kernel can see a machine frame; none for one not the guest's."""
        (pfn,) = self.ram.pfns(np.array([mfn], np.uint64)).tolist()
        if pfn == NO_PFN:
            return np.empty(0, np.uint64)
        return np.array([base + (pfn << 12) for base in self.bases], np.uint64)

    def frames(self, pointers: Frames) -> Frames:
        """Return the machine frames behind page-aligned pointers; NO_MFN for what is none."""
        pfns = np.full(pointers.shape, _NO)
        for base in self.bases:
            inside = (pointers >= np.uint64(base)) & ((pointers & np.uint64(0xFFF)) == 0)
            pfns[inside] = (pointers[inside] - np.uint64(base)) >> np.uint64(12)
        kinds, mfns = self._map.lookup(np.minimum(pfns, np.uint64(END_OF_FRAMES)))
        return np.where((kinds == Kind.RAM) & (pfns != _NO), mfns, _NO)


@dataclass(frozen=True, slots=True, eq=False)
class KernelTree:
    """The kernel's own tree: all its leaves, and what its symbols say of the shared ones."""

    leaves: Leaves
    votes: list[Vote]
    found_by: str
    evidence: str
    differs: int
    symbol_beyond: Kind | None

    def goes_on(self, shared: SharedLeaves) -> Kind | None:
        """Return what lies past the tree: identity where the tree is so up to its end; None if not known.

        Both follow from patches 2 and 5 of the series; before, a range that reaches the end is refused.
        """
        if self.symbol_beyond is not None:
            return self.symbol_beyond
        last = self.leaves.frame_at(self.leaves.end - 1)
        if last == shared.identity:
            return Kind.IDENTITY
        return None if shared.identity is None and last != shared.missing else Kind.MISSING


def _find_kernel_tree(
    memory: Memory, listed: Leaves, pointers: GuestPointers, symbols: Symbols | None
) -> KernelTree | None:
    names = {} if symbols is None else dict(symbols.linux)
    top = _variable(memory, pointers, names.get("p2m_top"))
    if top is not None:
        tree = _read_kernel_tree(memory, listed, pointers, top)
        if tree is not None:
            leaves, differs = tree
            votes = []
            for name, kind in (("p2m_identity", Kind.IDENTITY), ("p2m_missing", Kind.MISSING)):
                page = _variable(memory, pointers, names.get(name))
                if page is not None and blank_pages(memory, [page]):
                    text = f"the symbol {name} leads to the page {page:#x}"
                    votes.append(Vote(page, kind, text, Confidence.CERTAIN))
            beyond = Kind.IDENTITY if "p2m_mid_identity" in names else Kind.MISSING
            return KernelTree(
                leaves, votes, "by symbol", f"the symbol p2m_top leads to the page {top:#x}", differs, beyond
            )
    for top in _scan_for_top(memory, listed, pointers):
        tree = _read_kernel_tree(memory, listed, pointers, top)
        if tree is not None:
            text = f"the page {top:#x} points to pages that point to the leaves of the frame list list"
            return KernelTree(tree[0], [], "by its structure", text, tree[1], None)
    return None


def _variable(memory: Memory, pointers: GuestPointers, address: int | None) -> int | None:
    """Return the machine frame that a pointer variable of the kernel points to."""
    if address is None:
        return None
    frame = pointers.frames(np.array([address & ~0xFFF], np.uint64))
    if frame[0] == _NO:
        return None
    page = memory.read_pages(frame)
    if not page.present[0]:
        return None
    words = guest_words(page.words, pointers.arch)
    target = pointers.frames(words[[(address & 0xFFF) // (pointers.arch.bits // 8)]])
    return None if target[0] == _NO else int(target[0])


def _scan_for_top(memory: Memory, listed: Leaves, pointers: GuestPointers) -> list[int]:
    """Look through the guest's memory for the page of pointers to the pages of pointers to the leaves."""
    mids = _scan(
        memory, pointers, [pointers.pointers(int(frame)) for frame in listed.frames[:_LOOK_AT].tolist()]
    )
    tops: list[int] = []
    for mid in mids[:64]:
        tops += _scan(memory, pointers, [pointers.pointers(mid)])
    return tops[:64]


def _scan(memory: Memory, pointers: GuestPointers, wanted: list[Frames]) -> list[int]:
    """Return the guest's machine frames whose first words are among the wanted pointers, one set a word."""
    if not wanted or any(len(each) == 0 for each in wanted):
        return []
    found: list[int] = []
    for start, end in pointers.ram.ranges().tolist():
        for at in range(start, end, _CHUNK):
            mfns = np.arange(at, min(at + _CHUNK, end), dtype=np.uint64)
            pages = memory.read_pages(mfns)
            words = pages.words
            rows = pages.present.copy()
            first = words if pointers.arch.bits == 64 else words.view(np.dtype("<u4"))
            for column, each in enumerate(wanted):
                rows &= np.isin(first[:, column], each)
                if not bool(rows.any()):
                    break
            found += mfns[rows].tolist()
    return found


def _read_kernel_tree(
    memory: Memory, listed: Leaves, pointers: GuestPointers, top: int
) -> tuple[Leaves, int] | None:
    """Read all leaves below a top page; None when it is none.  Also count leaves unlike the frame list's."""
    arch: Arch = pointers.arch
    width = arch.entries_per_page
    page = memory.read_pages(np.array([top], np.uint64))
    mids = pointers.frames(guest_words(page.words, arch))
    if not page.present[0] or bool((mids == _NO).any()):
        return None
    unique, places = np.unique(mids, return_inverse=True)
    pages = memory.read_pages(unique)
    rows = pointers.frames(guest_words(pages.words, arch)).reshape(-1, width)
    usable = pages.present
    if not usable[places[0]] or int((rows[places[0]] == _NO).sum()):
        return None
    rows[~usable] = _NO
    leaves = Leaves.of_rows(arch, (rows[place] for place in places.tolist()))
    count = len(listed.index)
    differing = rows[places[: -(-count // width)]].reshape(-1)[:count] != listed.frames
    first_differ = int(differing[:width].sum())
    return None if 2 * first_differ > min(count, width) else (leaves, int(differing.sum()))
