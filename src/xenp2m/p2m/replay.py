"""The p2m of a predicted guest, built by doing what its memory setup did on the real structure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from xenp2m.boot.guest import Guest, OpKind, P2mOp
from xenp2m.entry import Kind
from xenp2m.p2m.accounting import list_pages, tree_pages
from xenp2m.p2m.footprint import footprint
from xenp2m.p2m.list import LinearList
from xenp2m.p2m.tree import Tree
from xenp2m.rules import Structure
from xenp2m.runs import Run, RunMap

SYMBOLIC_MFN = {64: 1 << 40, 32: 1 << 24}
"""First machine frame of the builder's list when nobody knows the real ones, by word width."""


def replay(guest: Guest, mfn_runs: Iterable[tuple[int, int, int]] | None = None) -> Tree | LinearList:
    """Build the p2m of a guest by doing the changes of its memory setup in order.

    ``mfn_runs`` are the machine frames of the builder's list as (pfn, count, first machine frame), for all
    of its frames; without them they count up from SYMBOLIC_MFN.  Frames populated during setup get machine
    frames past all of these.  A guest that stopped during setup is built as far as it got.
    """
    nr_pages, arch = guest.config.nr_pages, guest.config.arch
    listed = list(mfn_runs) if mfn_runs is not None else [(0, nr_pages, SYMBOLIC_MFN[arch.bits])]
    frames = _Frames(
        RunMap(arch, nr_pages, Kind.MISSING, (Run(pfn, count, Kind.RAM, mfn) for pfn, count, mfn in listed)),
        max(mfn + count for _, count, mfn in listed),
    )
    if guest.rules.structure is Structure.TREE:
        tree = Tree.build(guest.rules, arch, nr_pages, listed)
        for op in guest.ops:
            _on_tree(tree, op, frames)
        if not guest.rules.mid_mfn_in_brk and guest.stopped is None:
            tree.build_frame_list()
        return tree
    linear = LinearList.build(guest.rules, arch, nr_pages, listed)
    _on_list(linear, guest, frames)
    return linear


def page_counts(guest: Guest) -> dict[str, int]:
    """Count the pages of a guest's p2m that are its own: ``mid`` and ``leaf`` pages.

    For a list, a mid is a private page table page and a leaf a private page of the list.
    """
    counted = footprint(guest)
    if counted is not None:
        return counted
    p2m = replay(guest)
    if isinstance(p2m, Tree):
        tree = tree_pages(p2m)
        return {"mid": tree.mid_pages, "leaf": tree.leaf_grafted + tree.leaf_revectored + tree.leaf_pages}
    linear = list_pages(p2m)
    return {"mid": linear.pmd_private, "leaf": linear.leaf_private}


class _Frames:
    """The machine frames that setup enters: the builder's, and ``fresh`` ones past them."""

    def __init__(self, builder: RunMap, fresh: int) -> None:
        self.builder = builder
        self.fresh = fresh

    def entered(self, op: P2mOp) -> Iterator[tuple[int, int, int]]:
        """Yield (start, end, first word) of the entries that an operation makes."""
        if op.kind is not OpKind.MOVE:
            yield op.start, op.end, op.base + (self.fresh if op.kind is OpKind.POPULATE else 0)
            return
        distance = op.start - op.base
        for run in self.builder.within(op.base, op.base + op.end - op.start):
            if run.mfn is not None:
                yield run.pfn + distance, run.end + distance, run.mfn


def _on_tree(tree: Tree, op: P2mOp, frames: _Frames) -> None:
    match op.kind:
        case OpKind.IDENTITY:
            tree.set_phys_range_identity(op.start, op.end)
        case OpKind.RELEASE:
            tree.early_set_range(op.start, op.end, tree.arch.invalid)
        case OpKind.EXTRA:
            tree.max_p2m_pfn = op.end
            _forget(tree, op.start, op.end)
        case OpKind.POPULATE | OpKind.MOVE | OpKind.NVS:
            _enter(tree.early_set_range, op, frames)


def _forget(tree: Tree, start: int, end: int) -> None:
    """Make extra memory missing as xen_add_extra_mem() does, which leaves 1:1 frames alone."""
    for run in tree.to_runs().within(start, end):
        if run.kind in (Kind.RAM, Kind.FOREIGN):
            tree.set_inner_range(run.pfn, run.end, tree.arch.invalid)


def _on_list(linear: LinearList, guest: Guest, frames: _Frames) -> None:
    """Do the changes; the list gets its area when its extra memory is known, before frames move there."""
    for op in guest.ops:
        match op.kind:
            case OpKind.IDENTITY:
                linear.set_phys_range_identity(op.start, op.end)
            case OpKind.RELEASE:
                linear.set_inner_range(op.start, op.end, linear.arch.invalid)
            case OpKind.EXTRA:
                linear.add_extra(op.start, op.end - op.start)
            case _:
                continue
    if guest.last_p2m_pfn is None:
        return
    linear.max_p2m_pfn = guest.last_p2m_pfn
    linear.vmalloc_tree(guest.config.hotplug_limit_gib)
    for op in guest.ops:
        if op.kind in (OpKind.MOVE, OpKind.NVS, OpKind.POPULATE):
            _enter(linear.set_range, op, frames)
    linear.build_frame_list()
    linear.setup_frame_list()


def _enter(set_range: Callable[[int, int, int], int], op: P2mOp, frames: _Frames) -> None:
    for start, end, word in frames.entered(op):
        set_range(start, end, word)
