from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xenp2m.draw.axis import Axis, Scale
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


@given(st.integers(0, 1 << 56), st.floats(0.001, 0.5))
def test_a_scale_orders_places_as_addresses(highest: int, low: float) -> None:
    scale = Scale.to(highest, low)
    assert (scale.place(0), scale.place(scale.end)) == (0.0, 1.0)
    assert scale.place(highest) <= 1.0
    addresses = [0, 4096, GIB // 64, GIB, highest, scale.end]
    for a, b in zip(sorted(addresses), sorted(addresses)[1:], strict=False):
        assert scale.place(a) <= scale.place(b)


@given(st.integers(1 << 24, 1 << 50))
def test_a_place_leads_back_to_its_address(address: int) -> None:
    scale = Scale.to(1 << 50, 0.04)
    found = scale.address(scale.place(address))
    assert abs(found - address) <= address * 1e-9 + 1


def test_ticks_are_powers_of_two_as_many_as_wanted() -> None:
    scale = Scale.to(TIB - 1, 0.04)
    assert scale.ticks(100)[:3] == [(0, "0"), (1 << 25, "32M"), (1 << 26, "64M")]
    assert [text for _, text in scale.ticks(4)] == ["0", "256M", "4G", "64G", "1T"]
