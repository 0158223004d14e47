from __future__ import annotations

from xenp2m.errors import FormatError


def test_an_error_says_where_what_was_expected_and_what_was_found() -> None:
    error = FormatError("bad entry", where="dmesg, line 3", expected="an end", found="'0x'")
    assert str(error) == "dmesg, line 3: bad entry; expected an end, found '0x'"
    assert str(FormatError("bad entry", found="'0x'")) == "bad entry; found '0x'"
