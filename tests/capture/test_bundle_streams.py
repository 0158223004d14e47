"""Compressed streams read in pieces give what was packed, whatever the sizes."""

from __future__ import annotations

import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture import archives
from xenp2m.capture.bundle.limits import CHUNK, Budget
from xenp2m.capture.bundle.streams import CutError, Part, Reader, Unpacked, compression


class Trickle:
    """A source that gives fewer bytes than it is asked for."""

    def __init__(self, data: bytes, most: int) -> None:
        self._file = io.BytesIO(data)
        self._most = most

    def read(self, size: int, /) -> bytes:
        return self._file.read(min(size, self._most))


def unpacked(packed: bytes, most: int = 1 << 20) -> Reader:
    method = compression(packed)
    assert method is not None
    budget = Budget("x", packed=len(packed) + 1)
    return Reader(Unpacked(Reader(Trickle(packed, most), "x"), method, budget), "x")


def sample(size: int, seed: int, share: int) -> bytes:
    """Bytes of which ``share`` in ten do not compress."""
    rng = random.Random(seed)
    return b"".join(
        rng.randbytes(100) if rng.randrange(10) < share else b"x" * 100 for _ in range(size // 100)
    )


def drain(reader: Reader, into: list[bytes]) -> None:
    while piece := reader.read(1000):
        into.append(piece)


@given(
    st.sampled_from(sorted(archives.COMPRESSORS)),
    st.sampled_from([0, 1000, CHUNK - 36, CHUNK, 5 * CHUNK]),
    st.integers(0, 10),
    st.integers(1, 3),
    st.sampled_from([1, 7, 512, 4096, 1 << 20]),
)
def test_what_was_packed_comes_out(pack: str, size: int, share: int, streams: int, most: int) -> None:
    parts = [sample(size, number, share) for number in range(streams)]
    packed = b"".join(map(archives.COMPRESSORS[pack], parts))
    reader = unpacked(packed, max(most, len(packed) // 2000))
    assert reader.peek(10) == b"".join(parts)[:10]
    assert reader.upto(1 << 30) == b"".join(parts)
    assert reader.read(1) == b""


@pytest.mark.parametrize("pack", archives.COMPRESSORS)
@pytest.mark.parametrize("share", [0, 5, 10])
def test_what_stands_before_a_cut_comes_out(pack: str, share: int) -> None:
    data = sample(5 * CHUNK, 1, share)
    packed = archives.COMPRESSORS[pack](data)
    for keep in (len(packed) - 1, len(packed) // 2, 30):
        reader = unpacked(packed[:keep])
        pieces: list[bytes] = []
        with pytest.raises(CutError):
            drain(reader, pieces)
        assert data.startswith(b"".join(pieces))


@pytest.mark.parametrize("pack", archives.COMPRESSORS)
def test_padding_after_the_end_is_nothing(pack: str) -> None:
    packed = archives.COMPRESSORS[pack](b"text")
    assert unpacked(packed + bytes(5000)).upto(100) == b"text"


def test_a_part_ends_where_it_should() -> None:
    reader = Reader(io.BytesIO(b"abcdef"), "x")
    part = Part(reader, 3)
    assert (part.read(10), part.read(10), reader.read(10)) == (b"abc", b"", b"def")
    with pytest.raises(CutError):
        Part(reader, 1).read(1)
