from __future__ import annotations

import struct
import sys

import pytest

from xenp2m.arch import X86_64
from xenp2m.draw.svg import MapRow, Scheme, map_svg
from xenp2m.draw.svg.png import FONTS, to_png
from xenp2m.entry import Kind
from xenp2m.errors import UsageError
from xenp2m.runs import RunMap


def picture(name: str, width: int = 600) -> str:
    row = MapRow(name, RunMap(X86_64, 1 << 20, Kind.MISSING, ()))
    return map_svg([row], title="t", width=width, scheme=Scheme.LIGHT)


def test_a_png_has_the_size_of_its_picture() -> None:
    pytest.importorskip("resvg_py")
    png = to_png(picture("kernel", 1600))
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">I", png[16:20]) == (1600,)


def test_letters_show_without_any_font_of_the_system() -> None:
    """The fonts of the package are enough: what they cover never asks the system."""
    resvg = pytest.importorskip("resvg_py")
    assert to_png(picture("3.15")) != to_png(picture("6.18"))
    alone = resvg.svg_to_bytes(
        svg_string=picture("3.15"),
        skip_system_fonts=True,
        font_files=[str(path) for path in FONTS.glob("*.ttf")],
    )
    none = resvg.svg_to_bytes(svg_string=picture("3.15"), skip_system_fonts=True)
    assert bytes(alone) == to_png(picture("3.15"))
    assert len(bytes(none)) < len(bytes(alone))


def test_their_licence_goes_with_them() -> None:
    assert len(list(FONTS.glob("*.ttf"))) == 4
    assert "Bitstream" in (FONTS / "LICENSE").read_text()


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(UsageError, match=r"pip install 'xenp2m\[png\]'"):
        to_png(picture("3.15"))
