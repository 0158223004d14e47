from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from xenp2m.fleet.index import Done, Numbers
from xenp2m.fleet.schema import WORK


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, (1 << 64) - 1) | st.integers(0, 50), max_size=200))
def test_numbers_are_a_set(values: list[int]) -> None:
    numbers, known = Numbers(), set()
    for value in values:
        assert numbers.add(value) is (value not in known)
        known.add(value)
        assert value in numbers
    assert (1 << 63) + 12345 in numbers or (1 << 63) + 12345 not in known


def test_many_numbers_stay_a_set() -> None:
    numbers = Numbers()
    assert all(numbers.add(value * 0x9E37_79B9_7F4A_7C15 & (1 << 64) - 1) for value in range(150_000))
    assert not any(
        numbers.add(value * 0x9E37_79B9_7F4A_7C15 & (1 << 64) - 1) for value in range(0, 150_000, 7)
    )


def done(*rows: tuple[int, bytes, str]) -> Done:
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, WORK.arrow, strict=True)]
    return Done(pa.Table.from_arrays(arrays, schema=WORK.arrow).to_batches())


def key(letter: str) -> bytes:
    return letter.encode() * 15 + b"\0"


def test_kernels_that_were_done_are_known_by_the_key() -> None:
    work = done((1, key("a"), "3.15 6.1"), (2, key("b"), "3.15"), (2, key("b"), "series"))
    assert work.kernels(key("a")) == {"", "3.15", "6.1"}
    assert work.kernels(key("b")) == {"", "3.15", "series"}
    assert work.kernels(key("c")) == set()


def test_of_a_machine_the_newest_key_counts() -> None:
    work = done((1, key("a"), "3.15"), (2, key("b"), "3.15"), (1, key("c"), "6.1"))
    assert work.kernels(key("a")) == set()
    assert work.kernels(key("c")) == {"", "6.1"}


def test_nothing_done_knows_nothing() -> None:
    assert done().kernels(key("a")) == set()
