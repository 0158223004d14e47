"""A few cases of every subject, so that the fuzzer itself is known to work and to cover every format."""

from __future__ import annotations

import pytest

from fuzz import fuzz_texts, samples
from xenp2m.capture import read_text

SUBJECTS = [subject.name for subject in (*samples.texts(), *samples.packed())]


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_few_mutations(name: str) -> None:
    tally = fuzz_texts.run_cases((name, 20261, 30))
    assert tally.cases == 30
    assert tally.faults == []


def test_every_sample_reads_before_it_is_mutated() -> None:
    for subject in samples.texts():
        for sample in subject.samples:
            read_text(sample, subject.name)
