"""Property tests: what is printed is read back; damage gives this program's errors only."""

from __future__ import annotations

import random
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from capture import test_listings, test_other_texts, test_xen_console, writers
from xenp2m.capture import read_text
from xenp2m.errors import Xenp2mError
from xenp2m.machine import Bar, E820Entry, Machine, MapSource, machine_from_json, machine_to_json

PRINTERS = {
    "3.5": writers.linux_new,
    "2.6": writers.linux_old,
    "7.0": writers.linux_7_0,
    "dom0": lambda entries: writers.linux_new(entries, "Xen"),
    "old dom0": lambda entries: writers.linux_old(entries, "Xen"),
    "xen 4.17": writers.xen_new,
    "xen 4.1": writers.xen_old,
    "iomem": writers.iomem,
    "memmap": writers.memmap,
    "memmap through grep": writers.memmap_grep,
}
DRESSED = {"3.5", "2.6", "7.0", "dom0", "old dom0"}


@st.composite
def maps(draw: st.DrawFn, top: int = 1 << 46) -> tuple[E820Entry, ...]:
    """Sorted maps with gaps, of types that every format can print."""
    edges = sorted(draw(st.sets(st.integers(1, top >> 10), min_size=2, max_size=24)))
    types = draw(st.lists(st.sampled_from([1, 1, 2, 3, 4, 5, 7]), min_size=12, max_size=12))
    pairs = zip(edges[::2], edges[1::2], strict=False)
    return tuple(
        E820Entry(low << 10, high << 10, kind) for (low, high), kind in zip(pairs, types, strict=False)
    )


@given(
    maps(),
    st.sampled_from(sorted(PRINTERS)),
    st.sampled_from(sorted(writers.PREFIXES)),
    st.sampled_from(sorted(writers.QUOTES)),
    st.sampled_from(sorted(writers.ENDS)),
)
def test_a_map_reads_back(
    entries: tuple[E820Entry, ...], printer: str, prefix: str, quote: str, end: str
) -> None:
    lines = PRINTERS[printer](entries)
    if printer in DRESSED:
        lines = [writers.PREFIXES[prefix](line) for line in lines]
    text = "".join(writers.QUOTES[quote](line) + writers.ENDS[end] for line in lines)
    assert read_text(text, "text").machine.e820 == entries


@given(
    st.lists(
        st.tuples(st.integers(1, 1 << 44), st.integers(1, 1 << 38), st.integers(1, 20)),
        min_size=1,
        max_size=20,
    )
)
def test_unsorted_maps_keep_their_order(rows: list[tuple[int, int, int]]) -> None:
    entries = tuple(E820Entry(start, start + size, kind) for start, size, kind in rows)
    assert read_text(writers.plain(writers.linux_new(entries)), "log").machine.e820 == entries


@st.composite
def bars(draw: st.DrawFn) -> tuple[Bar, ...]:
    found = {}
    for _ in range(draw(st.integers(1, 8))):
        shift = draw(st.integers(12, 38))
        start = draw(st.integers(1, (1 << 52 >> shift) - 1)) << shift
        bdf = f"0000:{draw(st.integers(0, 255)):02x}:{draw(st.integers(0, 31)):02x}.{draw(st.integers(0, 7))}"
        bar = Bar(bdf, draw(st.integers(0, 5)), start, 1 << shift, start >= 1 << 32, draw(st.booleans()))
        found[bdf, bar.index] = bar
    return tuple(found[key] for key in sorted(found, key=str))


def print_bars(found: tuple[Bar, ...], form: str) -> list[str]:
    lines = []
    for bar in found:
        flags = f"{' 64bit' if bar.is_64bit else ''}{' pref' if bar.prefetchable else ''}"
        place = f"[mem {bar.start:#010x}-{bar.end - 1:#010x}{flags}]"
        width = "64-bit" if bar.is_64bit else "32-bit"
        kind = "prefetchable" if bar.prefetchable else "non-prefetchable"
        assert bar.index is not None
        lines += {
            "reg 0x": [f"pci {bar.bdf}: reg {0x10 + 4 * bar.index:#x}: {place}"],
            "reg": [f"pci {bar.bdf}: reg {0x10 + 4 * bar.index:x}: {place}"],
            "BAR": [f"pci {bar.bdf}: BAR {bar.index} {place}"],
            "assigned": [f"pci {bar.bdf}: BAR {bar.index}: assigned {place}"],
            "lspci": [
                f"{bar.bdf} Example controller: Example",
                f"\tRegion {bar.index}: Memory at {bar.start:x} ({width}, {kind}) [size={bar.size >> 10}K]",
            ],
        }[form]
    return lines


@given(
    bars(),
    st.sampled_from(["reg 0x", "reg", "BAR", "assigned", "lspci"]),
    st.sampled_from(sorted(writers.QUOTES)),
)
def test_bars_read_back(found: tuple[Bar, ...], form: str, quote: str) -> None:
    text = writers.plain([writers.QUOTES[quote](line) for line in print_bars(found, form)])
    assert set(read_text(text, "text").machine.bars) == set(found)


@given(maps(), bars(), st.sampled_from(MapSource), st.none() | st.integers(0, 1 << 40), st.text(max_size=8))
def test_machines_round_trip(
    entries: tuple[E820Entry, ...], found: tuple[Bar, ...], source: MapSource, pages: int | None, name: str
) -> None:
    machine = Machine(
        e820=entries, e820_source=source, bars=found, nr_pages=pages, name=name, io_apics=(0xFEC00000,)
    )
    assert machine_from_json(machine_to_json(machine)) == machine


SAMPLES = [
    writers.plain(writers.linux_new(writers.LAPTOP))
    + "pci 0000:00:02.0: reg 0x10: [mem 0xd0000000-0xd0000fff]\n",
    writers.plain(writers.xen_old(writers.LAPTOP)) + test_xen_console.DOM0,
    test_listings.IOMEM,
    test_listings.RESOURCES,
    test_listings.LSPCI,
    test_other_texts.FREEBSD,
    writers.plain(writers.memmap_grep(writers.LAPTOP)),
    test_other_texts.facter({"type": "mem", "base": 1 << 20, "range": 1 << 20}),
]


def only_known_errors(data: bytes) -> None:
    with suppress(Xenp2mError):
        read_text(data, "damaged")


@given(st.binary(max_size=400))
def test_random_bytes(data: bytes) -> None:
    only_known_errors(data)


@given(st.sampled_from(SAMPLES), st.integers(0, 1 << 30), st.integers(0, 40))
def test_damaged_samples(sample: str, seed: int, flips: int) -> None:
    rng = random.Random(seed)
    data = bytearray(sample.encode())
    for _ in range(flips):
        data[rng.randrange(len(data))] = rng.choice(b'0123456789abcdefx-[]():., \n>{}"\xff')
    only_known_errors(bytes(data[: rng.randrange(1, len(data) + 1)]))
    only_known_errors(bytes(data))
