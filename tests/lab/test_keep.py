"""Captures are written whole, and the result last."""

from __future__ import annotations

from pathlib import Path

import pytest

from xenp2m.errors import Xenp2mError
from xenp2m.lab import keep as module
from xenp2m.lab.keep import RESULT_FILE, keep
from xenp2m.lab.result import Result
from xenp2m.lab.shape import Shape

RESULT = Result(Shape(name="x", memory=1 << 30))


def test_folders_replace_older_ones(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "old.txt").touch()
    keep(tmp_path, RESULT, {"x": {"dmesg.txt": "log\n"}, "x.u": {"dmesg.txt": "its log\n"}})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x", "x.u"]
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == ["dmesg.txt", RESULT_FILE]
    assert (tmp_path / "x.u" / "dmesg.txt").read_text() == "its log\n"


def test_where_a_result_is_its_captures_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = module.write_files

    def fails(folder: Path, files: dict[str, str]) -> None:
        if "dmesg.txt" in files and RESULT_FILE not in files:
            raise Xenp2mError("disk full")
        written(folder, files)

    monkeypatch.setattr(module, "write_files", fails)
    with pytest.raises(Xenp2mError, match="disk full"):
        keep(tmp_path, RESULT, {"x": {"dmesg.txt": "log\n"}, "x.u": {"dmesg.txt": "its log\n"}})
    assert list(tmp_path.iterdir()) == []
