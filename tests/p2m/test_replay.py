from __future__ import annotations

import pytest

from xenp2m.boot import GuestConfig, boot
from xenp2m.entry import Kind
from xenp2m.machine import E820Entry
from xenp2m.p2m.replay import page_counts, replay
from xenp2m.p2m.tree import Tree
from xenp2m.rules import rules_for

MIB = 1 << 20
HOST = (
    E820Entry(0, 640 << 10, 1),
    E820Entry(1 * MIB, 3000 * MIB, 1),
    E820Entry(3000 * MIB, 3100 * MIB, 2),
    E820Entry(4096 * MIB, 9000 * MIB, 1),
)
KERNELS = (
    "3.2",
    "3.15",
    "series:1-2",
    "series:1-3",
    "series",
    "3.16",
    "3.18",
    "3.19",
    "4.4",
    "4.16",
    "6.1",
    "6.12",
)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("pages", [256 << 8, 4096 << 8])
def test_the_replayed_p2m_is_the_predicted_one(kernel: str, pages: int) -> None:
    guest = boot(GuestConfig(nr_pages=pages, e820=HOST, max_reservation=6000 << 8), rules_for(kernel))
    p2m = replay(guest)
    assert p2m.to_runs().without_mfns() == guest.p2m
    assert p2m.warnings == []


def test_moved_frames_keep_their_machine_frames() -> None:
    guest = boot(GuestConfig(nr_pages=4096 << 8, e820=HOST), rules_for("6.1"))
    p2m = replay(guest, [(0, 1000, 7), (1000, (4096 << 8) - 1000, 10**7)])
    moved = [place for place in guest.placements if place.start >= 4096 << 8]
    assert moved
    for place in moved:
        assert p2m.get(place.start) == 10**7 + place.base - 1000 or place.base < 1000


def test_fresh_frames_lie_past_the_builders() -> None:
    guest = boot(GuestConfig(nr_pages=4096 << 8, e820=HOST), rules_for("3.15"))
    p2m = replay(guest, [(0, 4096 << 8, 1 << 24)])
    fresh = [run for run in p2m.to_runs() if run.kind is Kind.RAM and run.pfn >= 4096 << 8]
    assert [run.mfn for run in fresh] == [(1 << 24) + (4096 << 8)]


def test_a_guest_of_500_gib_replays_in_little_memory() -> None:
    host = (E820Entry(0, 3 << 30, 1), E820Entry(4 << 30, 600 << 30, 1))
    guest = boot(GuestConfig(nr_pages=500 << 18, e820=host), rules_for("3.18"))
    tree = replay(guest)
    assert isinstance(tree, Tree)
    assert tree.to_runs().without_mfns() == guest.p2m
    assert page_counts(guest) == {"mid": 501, "leaf": 256000}


def test_page_counts_of_a_list() -> None:
    guest = boot(GuestConfig(nr_pages=1 << 18, e820=HOST, max_reservation=1 << 18), rules_for("6.1"))
    # The legacy hole lies below 1 MiB, so its leaf is private; its frames moved to one leaf past the end.
    assert page_counts(guest) == {"mid": 2, "leaf": 513}
