"""Damaged dumps through the commands: an answer or one clear line.  ``make fuzz`` runs thousands."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.fuzz_dumps import COMMANDS, WrongAnswerError, check_maps, run_case
from writers.hostile import FORMS

CASES = 4 * len(COMMANDS)


@pytest.mark.parametrize("form", FORMS)
def test_damaged_dumps(tmp_path: Path, form: str) -> None:
    statuses = [run_case(form, 20, number, tmp_path / "case") for number in range(CASES)]
    assert set(statuses) <= {0, 1, 2}
    assert 2 in statuses


def test_the_check_itself() -> None:
    domain = {"map": {"runs": [[0, 4, "missing", None], [4, 4, "ram", 7]]}, "ambiguous": [[0, 4, [], ""]]}
    check_maps({"domains": [domain, {"map": None}]})
    for runs in ([[0, 4, "missing", 3]], [[0, 4, "ram", None]], [[0, 4, "identity", None]]):
        with pytest.raises(WrongAnswerError):
            check_maps({"domains": [domain | {"map": {"runs": runs}}]})
