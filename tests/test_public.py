from __future__ import annotations

import subprocess
import sys

import pytest

import xenp2m
from xenp2m.rules import Rules


@pytest.mark.parametrize("name", xenp2m.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    found = getattr(xenp2m, name)
    assert found is not None
    if isinstance(found, type) or callable(found):
        assert found.__doc__


def test_no_other_name_is() -> None:
    assert sorted(xenp2m.__all__) == sorted(xenp2m._HOME_OF)
    with pytest.raises(AttributeError, match="no attribute 'preditc'"):
        _ = xenp2m.preditc


def test_importing_the_package_costs_nothing() -> None:
    code = "import sys, xenp2m; print('numpy' in sys.modules, 'click' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def test_functions_are_not_shadowed_by_modules() -> None:
    from xenp2m import prediction

    assert xenp2m.predict is prediction.predict
    assert isinstance(xenp2m.rules_for("series"), Rules)
