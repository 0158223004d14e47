from __future__ import annotations

import subprocess
import sys

import pytest

from xenp2m.draw.console import to_ascii
from xenp2m.draw.palette import LOOKS

ASK = "from xenp2m.draw.console import locale_is_plain; print(locale_is_plain())"


@pytest.mark.parametrize(
    ("env", "plain"),
    [
        ({"LANG": "C"}, True),
        ({"LC_ALL": "POSIX", "LANG": "C.UTF-8"}, True),
        ({"LANG": "C.UTF-8"}, False),
        ({}, False),
        ({"LANG": "C", "PYTHONIOENCODING": "utf-8"}, False),
        ({"LANG": "C", "PYTHONUTF8": "1"}, False),
    ],
)
def test_the_c_locale_is_plain_where_it_is_asked_for(env: dict[str, str], plain: bool) -> None:
    done = subprocess.run([sys.executable, "-c", ASK], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == f"{plain}\n"


def test_signs_have_ascii_of_the_same_length() -> None:
    text = "✓ 12 × ~4 GiB · … → ≠ ▲ é"
    assert to_ascii(text) == "v 12 x ~4 GiB - ~ > ! ^ ?"
    assert len(to_ascii("".join(look.block for look in LOOKS.values()))) == len(LOOKS)
