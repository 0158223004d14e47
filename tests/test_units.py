from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenp2m.errors import UsageError
from xenp2m.units import GIB, KIB, MIB, TIB, format_frames, format_size, parse_size, pfn_down, pfn_up


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("0x1000", 4096),
        ("0x10K", 16 * KIB),
        ("512M", 512 * MIB),
        ("512m", 512 * MIB),
        ("1.5G", 3 * GIB // 2),
        ("4GiB", 4 * GIB),
        ("4 GB", 4 * GIB),
        ("16T", 16 * TIB),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_bare_numbers_take_the_default_suffix() -> None:
    assert parse_size("1048576", default_suffix="K") == GIB
    assert parse_size("1G", default_suffix="K") == GIB


@pytest.mark.parametrize("text", ["", "G", "1X", "-1", "1.3", "1e9", "0xg", "1 2"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (4096, "4 KiB"),
        (636 * KIB, "636 KiB"),
        (3 * GIB // 2, "1.5 GiB"),
        (512 * GIB, "512 GiB"),
        (GIB + 1, "~1 GiB"),
    ],
)
def test_printed_sizes(size: int, text: str) -> None:
    assert format_size(size) == text


@given(st.integers(0, 1 << 60))
def test_a_printed_size_without_mark_is_exact(size: int) -> None:
    text = format_size(size)
    if not text.startswith("~"):
        assert parse_size(text) == size


def test_frames() -> None:
    assert (pfn_down(0xFFF), pfn_down(0x1000), pfn_up(0), pfn_up(1), pfn_up(0x1000)) == (0, 1, 0, 1, 1)
    assert format_frames(512) == "2 MiB"
