from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xenp2m.arch import X86_32, X86_64
from xenp2m.entry import Kind
from xenp2m.p2m.flat import FlatP2m
from xenp2m.p2m.m2p import (
    M2p,
    M2pRun,
    machine_to_phys_nr,
    mfn_to_local_pfn,
    mfn_to_pfn,
    mfn_to_pfn_array,
    mfn_to_pfn_no_overrides,
    pfn_to_mfn,
    phys_to_machine_mapping_valid,
)
from xenp2m.runs import Run, RunMap

NONE = X86_64.invalid

MAP = RunMap(
    X86_64,
    3000,
    Kind.IDENTITY,
    [
        Run(0, 100, Kind.RAM, 1000),
        Run(100, 50, Kind.MISSING, None),
        Run(150, 50, Kind.IDENTITY, None),
        Run(200, 10, Kind.FOREIGN, 1300),
        Run(210, 10, Kind.RAM, None),
        Run(220, 100, Kind.RAM, 1150),
    ],
)
P2M = FlatP2m(MAP)
OLD_XEN_FILL = 0x7777_7777_7777_7777  # unused words where Xen before 4.13 mapped the M2P by 1 GiB pages
M2P = M2p(
    X86_64,
    2000,
    [
        M2pRun(1000, 100, 0),
        M2pRun(1100, 50, OLD_XEN_FILL, counts=False),
        M2pRun(1150, 100, 220),
        M2pRun(1300, 10, 7),
        M2pRun(1050, 5, 3),
        M2pRun(1060, 4, None),
    ],
)
OVERRIDES = {1302: 202, 1055: 99}


@given(st.lists(st.one_of(st.integers(0, 2100), st.integers(0, 2**64 - 1)), min_size=1, max_size=30))
def test_arrays_say_what_single_lookups_say(numbers: list[int]) -> None:
    array = np.array(numbers, np.uint64)
    assert P2M.get_array(array).tolist() == [P2M.get(number) for number in numbers]
    words, readable = M2P.read_array(array)
    single = [M2P.read(number) for number in numbers]
    assert readable.tolist() == [word is not None for word in single]
    assert words.tolist() == [NONE if word is None else word for word in single]
    for overrides in (None, OVERRIDES):
        expected = [mfn_to_pfn(P2M, M2P, number, overrides) for number in numbers]
        assert mfn_to_pfn_array(P2M, M2P, array, overrides).tolist() == expected


@given(st.lists(st.integers(0, 450), min_size=1, max_size=30))
def test_the_flat_p2m_says_what_its_map_says(pfns: list[int]) -> None:
    expected = [MAP.to_words(pfn, pfn + 1)[0] for pfn in pfns]
    assert [P2M.get(pfn) for pfn in pfns] == expected


def test_the_m2p_is_not_trusted() -> None:
    assert mfn_to_pfn(P2M, M2P, 1005) == 5
    assert (M2P.read(1052), mfn_to_pfn(P2M, M2P, 1052)) == (5, NONE)
    assert (M2P.read(1120), mfn_to_pfn(P2M, M2P, 1120)) == (OLD_XEN_FILL, NONE)
    assert M2P.read(1061) is None
    assert mfn_to_pfn_no_overrides(M2P, 1061) == NONE
    assert mfn_to_pfn_no_overrides(M2P, 2000) == NONE


def test_a_frame_that_is_1_to_1_is_its_own_guest_frame_but_not_local() -> None:
    assert mfn_to_pfn(P2M, M2P, 160) == 160
    assert mfn_to_local_pfn(P2M, M2P, 160) == NONE
    assert mfn_to_pfn(P2M, M2P, 1 << 30) == 1 << 30
    assert mfn_to_local_pfn(P2M, M2P, 1005) == 5


def test_an_override_is_found_only_where_the_m2p_fails() -> None:
    assert mfn_to_pfn(P2M, M2P, 1302, OVERRIDES) == 202
    assert mfn_to_pfn(P2M, M2P, 1302) == NONE
    assert mfn_to_pfn(P2M, M2P, 1001, {1001: 8}) == 1


def test_conversion_drops_the_marker_bits_and_keeps_missing() -> None:
    assert [pfn_to_mfn(P2M, pfn) for pfn in (3, 110, 160, 201, 212)] == [1003, NONE, 160, 1301, NONE]
    valid = [phys_to_machine_mapping_valid(P2M, pfn) for pfn in (3, 110, 160, 201, 212, 10**9)]
    assert valid == [True, False, True, True, False, True]


def test_xen_translates_for_an_auto_translated_guest() -> None:
    guest = FlatP2m(MAP, auto_translated=True)
    assert (pfn_to_mfn(guest, 110), phys_to_machine_mapping_valid(guest, 110)) == (110, True)
    assert mfn_to_pfn(guest, M2P, 12345) == mfn_to_local_pfn(guest, M2P, 12345) == 12345
    assert mfn_to_pfn_array(guest, M2P, np.array([7], np.uint64)).tolist() == [7]


def test_a_frame_number_with_a_marker_bit_keeps_it() -> None:
    narrow = FlatP2m(RunMap(X86_32, 16, Kind.IDENTITY, [Run(0, 16, Kind.RAM, 5)]))
    assert narrow.get(0x4000_0000) == 0x4000_0000
    assert pfn_to_mfn(narrow, 0x4000_0000) == 0
    assert narrow.get_array(np.array([0x4000_0000, 3], np.uint64)).tolist() == [0x4000_0000, 8]


def test_how_long_the_table_is() -> None:
    assert machine_to_phys_nr(X86_64) == 1 << 35
    assert machine_to_phys_nr(X86_64, dom0_max_page=0x47F000) == 0x47F000
    assert machine_to_phys_nr(X86_32) == 0x2980000


def test_xen_maps_the_table_where_there_is_ram() -> None:
    host = M2p.of_host(X86_64, 1 << 22, [(0, 0xC0000), (0x100000, 0x140000)], MAP)
    assert host.read(1003) == 3
    assert host.read(0xBFFFF) == NONE
    assert host.read(0xC0000) is None
    assert host.read(0x13FFFF) == NONE
    assert host.read(0x140000) is None
