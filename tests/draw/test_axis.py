from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xenp2m.draw.axis import Axis
from xenp2m.units import GIB, TIB


@given(st.integers(0, 1 << 56), st.integers(0, 300))
def test_columns_cover_all_addresses_once(highest: int, width: int) -> None:
    axis = Axis.to(highest, width)
    assert axis.edges[0] == 0
    assert axis.edges[-1] > highest
    assert all(a < b for a, b in zip(axis.edges, axis.edges[1:], strict=False))
    assert axis.width == max(width, 8)


def test_an_address_lies_in_its_column() -> None:
    axis = Axis.to(TIB, 100)
    for address in (0, 1, GIB - 1, GIB, 5 * GIB, TIB):
        column = axis.column(address)
        assert axis.edges[column] <= address < axis.edges[column + 1]
    assert axis.column(1 << 60) == axis.width - 1


def test_labels_stand_at_their_addresses() -> None:
    axis = Axis.to(TIB, 100)
    ruler = axis.ruler()
    assert ruler.startswith("0")
    assert abs(ruler.index("4G") - axis.column(4 * GIB)) <= 1
    assert "1T" in ruler
