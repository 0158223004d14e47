from __future__ import annotations

import pytest

from view.scenes import GIB, HOLE, own_scene
from xenp2m.errors import UsageError
from xenp2m.view.search import search

SCENE = own_scene()
LAYER = SCENE.layers[0]


def found(text: str, cursor: int = 0, *, back: bool = False, number: int = 0) -> int:
    layer = SCENE.layers[number]
    return search(text, layer, cursor, layer.findings(), back=back).start


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ("0x12345000", 0x12345),
        ("0x12345fff", 0x12345),
        ("3G", 3 * GIB),
        (" 64G ", 64 * GIB),
        ("pfn:0x100", 0x100),
        ("PFN 256", 256),
        ("3b:00.0", 2 * GIB),
        ("0000:3b:00.0/2", 3 * GIB),
        ("3b:00.0/2", 3 * GIB),
        ("XP101", HOLE),
        ("xp1", HOLE),
        ("missing", HOLE),
        ("MISSING", HOLE),
    ],
)
def test_what_can_be_looked_for(text: str, frame: int) -> None:
    assert found(text) == frame


def test_the_next_one_and_the_one_before() -> None:
    assert found("3b:00.0", 2 * GIB) == 3 * GIB
    assert found("3b:00.0", 3 * GIB) == 2 * GIB
    assert found("3b:00.0", 3 * GIB, back=True) == 2 * GIB
    assert found("missing", HOLE) == GIB
    assert found("ram", HOLE, back=True) == 0


def test_machine_frames_where_they_are_known() -> None:
    assert found("mfn:0x1005", number=2) == 5
    with pytest.raises(UsageError, match="no guest frame of dump is known for machine frame 0x1006"):
        found("mfn:0x1006", number=2)
    with pytest.raises(UsageError, match="no guest frame of before"):
        found("mfn:0x1005")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hello", "cannot look for it"),
        ("pfn:hello", "cannot look for it"),
        ("05:00.0", "no BAR of 05:00.0"),
        ("3b:00.0/1", "no BAR of 3b:00.0/1"),
        ("XP999", "no finding XP999"),
        ("XP401", "no finding XP401 that has a place"),
        ("foreign", "no frame below the end of the map is foreign"),
    ],
)
def test_what_cannot(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        found(text)
