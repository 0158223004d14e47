"""xenp2m.machine/1: what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from xenp2m.errors import FormatError
from xenp2m.machine import E820Entry, Machine, machine_from_json, machine_to_json

WHOLE = machine_to_json(Machine(e820=(E820Entry(0, 0x1000, 1),)))


@pytest.mark.parametrize(
    "change",
    [
        {"format": "xenp2m.machine/2"},
        {"e820": [[0, 1]]},
        {"e820": [[2, 1, 1]]},
        {"e820": [[0, 1 << 65, 1]]},
        {"e820": [[0, -1, 1]]},
        {"e820_source": "rumour"},
        {"bars": [{"bdf": "nowhere", "index": 0, "start": 0, "size": 1}]},
        {"bars": [{"bdf": "00:02.0"}]},
        {"nr_pages": "many"},
        {"nr_pages": True},
        {"kernel": [1]},
        {"name": 4},
        {"colour": "red"},
    ],
)
def test_what_is_no_machine(change: dict[str, Any]) -> None:
    with pytest.raises(FormatError) as caught:
        machine_from_json(WHOLE | change, where="machine.json")
    assert str(caught.value).startswith("machine.json: ")


def test_unknown_facts_are_left_out() -> None:
    assert set(WHOLE) == {"format", "e820", "e820_source", "bars", "windows"}
