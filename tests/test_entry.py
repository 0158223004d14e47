from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from strategies import arches
from xenp2m.arch import X86_64, Arch
from xenp2m.entry import NO_MFN, Entry, Kind, decode, decode_array, encode, encode_array


def test_invalid_is_missing_though_it_has_both_marker_bits() -> None:
    assert decode(X86_64.invalid, X86_64) == Entry(Kind.MISSING, None)


def test_a_missing_entry_never_becomes_an_address() -> None:
    assert encode(Kind.MISSING, 5, X86_64) == X86_64.invalid
    assert encode(Kind.RAM, None, X86_64) == X86_64.invalid


@given(arches, st.sampled_from([Kind.RAM, Kind.IDENTITY, Kind.FOREIGN]), st.integers(0, (1 << 30) - 2))
def test_round_trip(arch: Arch, kind: Kind, mfn: int) -> None:
    assert decode(encode(kind, mfn, arch), arch) == Entry(kind, mfn)


@given(arches, st.lists(st.integers(0, (1 << 64) - 1)))
def test_arrays_agree_with_single_words(arch: Arch, raw: list[int]) -> None:
    words = np.array([word & arch.word_mask for word in raw], np.uint64)
    kinds, mfns = decode_array(words, arch)
    for word, kind, mfn in zip(words.tolist(), kinds.tolist(), mfns.tolist(), strict=True):
        assert decode(word, arch) == (Kind(kind), None if mfn == NO_MFN else mfn)
    again = encode_array(kinds, mfns, arch)
    for kind, mfn, word in zip(kinds.tolist(), mfns.tolist(), again.tolist(), strict=True):
        assert encode(Kind(kind), None if mfn == NO_MFN else mfn, arch) == word
