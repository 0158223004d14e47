from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenp2m.arch import X86_32, X86_64
from xenp2m.boot import Guest, GuestConfig, boot
from xenp2m.machine import E820Entry
from xenp2m.p2m.accounting import list_pages, tree_pages
from xenp2m.p2m.footprint import footprint
from xenp2m.p2m.replay import page_counts, replay
from xenp2m.p2m.tree import Tree
from xenp2m.rules import rules_for

MIB = 1 << 20
KERNELS = ("3.2", "3.15", "series:2,5", "series:1-4", "series", "3.18", "3.19", "4.4", "4.16", "6.1", "6.12")


def built(guest: Guest) -> dict[str, int]:
    """Count in the structure itself."""
    p2m = replay(guest)
    if isinstance(p2m, Tree):
        tree = tree_pages(p2m)
        return {"mid": tree.mid_pages, "leaf": tree.leaf_grafted + tree.leaf_revectored + tree.leaf_pages}
    linear = list_pages(p2m)
    return {"mid": linear.pmd_private, "leaf": linear.leaf_private}


@st.composite
def hosts(draw: st.DrawFn) -> tuple[E820Entry, ...]:
    """A map of RAM, reserved ranges and holes, with edges on and off the pages and the leaves."""
    at, entries = 0, []
    for _ in range(draw(st.integers(1, 7))):
        unit = draw(st.sampled_from([512, 4096, MIB, 2 * MIB, 512 * MIB]))
        size = draw(st.integers(1, 12)) * unit
        kind = draw(st.sampled_from([0, 1, 1, 2, 4]))
        if kind:
            entries.append(E820Entry(at, at + size, kind))
        at += size
    return (*entries, E820Entry(at, at + draw(st.integers(1, 64)) * MIB, 1))


@pytest.mark.parametrize("kernel", KERNELS)
@settings(max_examples=60, deadline=None)
@given(data=st.data(), host=hosts())
def test_ranges_count_the_pages_of_the_structure(
    kernel: str, data: st.DataObject, host: tuple[E820Entry, ...]
) -> None:
    rules = rules_for(kernel)
    pages = data.draw(st.one_of(st.integers(1, 4000), st.integers(1, 6000).map(lambda mib: mib << 8)))
    more = data.draw(st.sampled_from([0, 1, 700, 1 << 16, 1 << 19]))
    arch = data.draw(st.sampled_from([X86_64, X86_32])) if rules.has_32bit else X86_64
    is_dom0 = data.draw(st.booleans())
    guest = boot(
        GuestConfig(nr_pages=pages, e820=host, arch=arch, is_dom0=is_dom0, max_reservation=pages + more),
        rules,
    )
    counted = footprint(guest)
    if counted is not None and (isinstance(replay(guest), Tree) or guest.last_p2m_pfn is not None):
        assert counted == built(guest)


@pytest.mark.parametrize("kernel", KERNELS)
def test_an_ordinary_machine_is_counted_from_ranges(kernel: str) -> None:
    host = (
        E820Entry(0, 640 << 10, 1),
        E820Entry(MIB, 3000 * MIB, 1),
        E820Entry(3000 * MIB, 3100 * MIB, 2),
        E820Entry(4096 * MIB, 9000 * MIB, 1),
    )
    guest = boot(GuestConfig(nr_pages=4096 << 8, e820=host), rules_for(kernel))
    assert footprint(guest) == built(guest)


def test_a_kernel_that_stops_before_its_list_has_an_area_keeps_the_builders() -> None:
    host = (E820Entry(0, 640 << 10, 1), E820Entry(MIB, 100 * MIB, 1), E820Entry(100 * MIB, 300 * MIB, 2))
    guest = boot(GuestConfig(nr_pages=70000, e820=host, kernel=(150 * MIB, 160 * MIB)), rules_for("6.1"))
    assert guest.stopped is not None
    assert page_counts(guest) == {"mid": 0, "leaf": 137}
