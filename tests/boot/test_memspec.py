"""dom0_mem= as Xen reads it."""

from __future__ import annotations

import pytest

from xenp2m.boot.memspec import NO_MAXIMUM, MemorySpec
from xenp2m.errors import UsageError

G = 1 << 18
HOST = 16 * G


@pytest.mark.parametrize(
    ("text", "pages", "maximum"),
    [
        ("4G", 4 * G, NO_MAXIMUM),
        ("dom0_mem=1048576", G, NO_MAXIMUM),
        ("4G,max:4G", 4 * G, 4 * G),
        ("max:2G", 2 * G, 2 * G),
        ("min:1G,max:8G", 8 * G, 8 * G),
        ("512M,min:1G", G, NO_MAXIMUM),
        ("-1G", 15 * G, NO_MAXIMUM),
        ("25%", 4 * G, NO_MAXIMUM),
        ("1G+25%,max:50%", 5 * G, 8 * G),
        ("64G", 16 * G, NO_MAXIMUM),
        ("1G,2G", 2 * G, NO_MAXIMUM),
    ],
)
def test_resolve(text: str, pages: int, maximum: int) -> None:
    assert MemorySpec.parse(text).resolve(HOST) == (pages, maximum)


def test_default_leaves_xen_a_sixteenth_and_at_most_128_mib() -> None:
    assert MemorySpec().resolve(HOST)[0] == HOST - G // 8
    assert MemorySpec().resolve(1600)[0] == 1500


@pytest.mark.parametrize("text", ["", "lots", "mid:1G", "1G+2G", "100%", "max:"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        MemorySpec.parse(text)
