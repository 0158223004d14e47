"""Damaged and hostile dumps: one clear error or a stated partial result; no traceback, hang or blow-up."""

from __future__ import annotations

import random
import resource
import struct
from pathlib import Path

import numpy as np
import pytest
import zstandard

from writers import containers as write
from writers.guest import Shape
from writers.host import write_host
from writers.hostile import FORMS, guest, mutated, original
from xenp2m.dump import Classifier, PageTables, WalkReport, inspect, list_mappings, open_dump, symbols
from xenp2m.dump.memory import ExtentMemory, Image
from xenp2m.errors import FormatError, InputError, LimitError, MissingFactError

MUTATIONS = 200
MEGABYTES = 400
pytestmark = pytest.mark.timeout(300)  # what is no hang ends in seconds, on a busy machine too


def look_at_everything(path: Path) -> None:
    dump = open_dump(path)
    found = inspect(dump)
    found.to_json()
    for domain in found.domains:
        for root in domain.roots[:2]:
            tables = PageTables(dump.memory, root, domain.arch)
            tables.translate(0x1000)
            if domain.p2m is not None:
                for count, _ in enumerate(list_mappings(tables, Classifier(domain.p2m.map))):
                    if count > 10_000:
                        break
    if found.m2p is not None:
        found.m2p.lookup(np.arange(0, 2048, dtype=np.uint64))


@pytest.mark.parametrize("form", FORMS)
def test_mutations(tmp_path: Path, form: str) -> None:
    rng = random.Random(form)
    path = tmp_path / "dump"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    messages: list[str] = []
    for _ in range(MUTATIONS):
        path.write_bytes(mutated(original(form), rng))
        try:
            look_at_everything(path)
        except InputError as error:
            messages.append(str(error))
    assert 0 < len(messages) < MUTATIONS
    assert not any("\n" in message for message in messages)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEGABYTES << 10


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "dump"
    path.write_bytes(data)
    return path


def patched(data: bytes, layout: str, offset: int, *values: int) -> bytes:
    out = bytearray(data)
    struct.pack_into(layout, out, offset, *values)
    return bytes(out)


def test_empty_and_unknown(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="empty"):
        open_dump(written(tmp_path, b""))
    with pytest.raises(FormatError, match="not a known dump"):
        open_dump(written(tmp_path, b"MZ" * 4096))
    with pytest.raises(MissingFactError, match="cannot read"):
        open_dump(tmp_path / "absent")
    with pytest.raises(FormatError, match="not a dump"):
        open_dump(written(tmp_path, patched(original("elf list"), "<H", 16, 2)))


def test_overlapping_segments(tmp_path: Path) -> None:
    data = original("elf list")
    (first,) = struct.unpack_from("<Q", data, 64 + 56 + 24)
    data = patched(data, "<Q", 64 + 2 * 56 + 24, first)
    with pytest.raises(FormatError, match="overlap"):
        open_dump(written(tmp_path, data))


def test_segment_outside_the_file(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"outside the file.*expected.*found"):
        open_dump(written(tmp_path, patched(original("elf list"), "<QQ", 64 + 56 + 32, 1 << 40, 1 << 40)))


def test_absurd_note(tmp_path: Path) -> None:
    data = original("elf list")
    (notes,) = struct.unpack_from("<Q", data, 64 + 8)
    with pytest.raises(FormatError, match=r"note is larger.*offset|offset.*note is larger"):
        open_dump(written(tmp_path, patched(data, "<II", notes, 5, 0xFFFF_FFF0)))


def test_too_many_headers(tmp_path: Path) -> None:
    head = bytearray(original("core list")[:64])
    struct.pack_into("<Q", head, 40, 64)
    struct.pack_into("<H", head, 60, 0)
    section = struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, 1 << 40, 0, 0, 0, 0)
    with pytest.raises(LimitError, match="too many section headers"):
        open_dump(written(tmp_path, bytes(head) + section))


def test_kdump_that_claims_too_much(tmp_path: Path) -> None:
    data = original("kdump zlib")
    with pytest.raises(FormatError, match="bitmap"):
        open_dump(written(tmp_path, patched(data, "<I", 436, 1 << 30)))
    with pytest.raises(LimitError, match="claims too much"):
        open_dump(written(tmp_path, patched(data, "<Q", 4096 + 96, 1 << 60)))
    with pytest.raises(FormatError, match="block size"):
        open_dump(written(tmp_path, patched(data, "<i", 428, 1 << 30)))


def test_flattened_without_an_end(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="record"):
        open_dump(written(tmp_path, original("kdump flattened")[:-16]))


def test_compressed_data_that_ends_early(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="ends early"):
        open_dump(written(tmp_path, original("zstd core")[:-40]))


def test_zstd_page_that_unpacks_to_more(tmp_path: Path) -> None:
    made = write_host([guest(Shape.LIST)])
    write.METHODS["bomb"] = (0x20, lambda _: zstandard.ZstdCompressor().compress(bytes(1 << 20)))
    try:
        data = write.kdump(made.pages, write.qemu_notes(made.root), method="bomb")
    finally:
        del write.METHODS["bomb"]
    with pytest.raises(FormatError, match="damaged zstd page"):
        inspect(open_dump(written(tmp_path, data)))


def test_a_sparse_terabyte_is_not_read_through(tmp_path: Path) -> None:
    path = tmp_path / "dump"
    data = original("elf list")
    with path.open("wb") as stream:
        stream.write(patched(data, "<H", 56, struct.unpack_from("<H", data, 56)[0]))
        stream.truncate(1 << 40)
    # the last segment is made to claim the rest of the file
    count = struct.unpack_from("<H", data, 56)[0]
    at = 64 + 56 * (count - 1)
    (offset,) = struct.unpack_from("<Q", data, at + 8)
    with path.open("r+b") as stream:
        stream.seek(at + 32)
        stream.write(struct.pack("<QQ", (1 << 40) - offset, (1 << 40) - offset))
    found = inspect(open_dump(path))
    assert found.domains[0].p2m is not None
    assert found.domains[0].p2m.map == guest(Shape.LIST).map


def memory_of(tmp_path: Path, pages: dict[int, list[int]]) -> ExtentMemory:
    count = max(pages) + 1
    words = np.zeros((count, 512), np.uint64)
    for mfn, entries in pages.items():
        words[mfn, : len(entries)] = entries
    path = tmp_path / "pages"
    path.write_bytes(words.tobytes())
    return ExtentMemory(Image(path), np.array([[0, count, 0]], np.int64))


def test_loops_in_page_tables(tmp_path: Path) -> None:
    memory = memory_of(tmp_path, {1: [0x1067] * 512})
    report = WalkReport()
    assert len(PageTables(memory, 1).leaves(report=report).va) == 0
    assert report.loops > 0
    memory = memory_of(tmp_path, {1: [0x2067] * 512, 2: [0x3067] * 512, 3: [0x2067] * 512})
    report = WalkReport()
    assert len(PageTables(memory, 1).leaves(report=report).va) == 0
    assert report.loops > 0


def test_tables_that_fan_out_without_end(tmp_path: Path) -> None:
    memory = memory_of(tmp_path, {1: [0x2067] * 512, 2: [0x3067] * 512, 3: [0x4067] * 512, 4: []})
    report = WalkReport()
    count = sum(len(block.va) for block in PageTables(memory, 1).blocks(report=report))
    assert count == 0
    assert report.truncated


def test_symbols_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "System.map"
    for content in (b"", b"hello\n", b"0000000000000000 T _text\n", b"\x7fELF", bytes(100)):
        path.write_bytes(content)
        with pytest.raises(InputError):
            symbols.load(path)
    path.write_bytes(b"\x1f\x8b\x08garbage")
    with pytest.raises(InputError):
        symbols.load(path)
