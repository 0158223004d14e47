"""Containers: the same pages come out of each, masked where absent, copied only where they must be."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from writers import containers as write
from xenp2m.dump import PageAbsent, open_dump
from xenp2m.dump.memory import read_page
from xenp2m.errors import MissingFactError, UsageError

HELD = [3, 4, 5, 9, 40, 41, 600]


def pages() -> write.Pages:
    rng = np.random.default_rng(7)
    made = {mfn: rng.integers(0, 1 << 63, 512, np.uint64) for mfn in HELD}
    made[9][:] = 0
    made[41][:] = 0x4141
    return made


def kdump_with(method: str) -> bytes:
    return write.kdump(pages(), write.qemu_notes(3), method=method)


FORMS: dict[str, Callable[[], bytes]] = {
    "elf": lambda: write.elf_dump(pages(), write.qemu_notes(3)),
    "vmcore": lambda: write.elf_dump(pages(), write.xen_notes(3, 4), misalign=0),
    "flattened": lambda: write.flatten(write.kdump(pages(), write.qemu_notes(3)), step=777, twice=True),
    **{name: partial(kdump_with, name) for name in write.METHODS},
}


@pytest.mark.parametrize("form", FORMS)
def test_pages(tmp_path: Path, form: str) -> None:
    (tmp_path / "dump").write_bytes(FORMS[form]())
    dump = open_dump(tmp_path / "dump")
    held = pages()
    assert dump.roots == (3,)
    assert dump.memory.ranges().tolist() == [[3, 6], [9, 10], [40, 42], [600, 601]]
    asked = np.array([600, 3, 4, 4, 0, 5, 1 << 50, 9, (1 << 64) - 1, 40, 6, 41], np.uint64)
    read = dump.memory.read_pages(asked)
    assert read.words.shape == (len(asked), 512)
    for mfn, words, present in zip(asked.tolist(), read.words, read.present.tolist(), strict=True):
        assert present == (mfn in held)
        assert (words == (held[mfn] if present else 0)).all()
    with pytest.raises(PageAbsent, match="0x6"):
        read_page(dump.memory, 6)
    with pytest.raises(MissingFactError):
        dump.memory.read_guest_pages(asked)


@given(asked=st.lists(st.integers(0, 700), max_size=30))
@settings(max_examples=30, deadline=None)
def test_any_order(tmp_path_factory: pytest.TempPathFactory, asked: list[int]) -> None:
    path = tmp_path_factory.mktemp("dumps") / "dump"
    held = pages()
    for data in (FORMS["elf"](), FORMS["zlib"]()):
        path.write_bytes(data)
        read = open_dump(path).memory.read_pages(np.array(asked, np.uint64))
        assert read.present.tolist() == [mfn in held for mfn in asked]
        for mfn, words in zip(asked, read.words, strict=True):
            assert (words == held.get(mfn, 0)).all()


def test_consecutive_frames_are_a_view(tmp_path: Path) -> None:
    (tmp_path / "dump").write_bytes(FORMS["elf"]())
    memory = open_dump(tmp_path / "dump").memory
    words = memory.read_pages(np.array([3, 4, 5], np.uint64)).words
    assert not words.flags.owndata
    assert not words.flags.writeable


def test_raw_must_be_named(tmp_path: Path) -> None:
    (tmp_path / "dump").write_bytes(write.raw_image(pages()) + b"tail")
    dump = open_dump(tmp_path / "dump", as_raw=True)
    assert (read_page(dump.memory, 40) == pages()[40]).all()
    assert len(dump.remarks) == 1


def test_only_kdump_comes_in_parts(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(FORMS["elf"]())
    with pytest.raises(UsageError, match="split"):
        open_dump([tmp_path / "a", tmp_path / "b"])
    with pytest.raises(UsageError, match="no dump"):
        open_dump([])


def test_crash_note(tmp_path: Path) -> None:
    (tmp_path / "dump").write_bytes(FORMS["vmcore"]())
    dump = open_dump(tmp_path / "dump")
    assert dump.crash is not None
    assert dump.crash.version == (4, 17)
    assert dump.crash.frame_list_list == 4
