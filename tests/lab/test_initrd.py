"""dom0's first file system."""

from __future__ import annotations

import lzma
import stat

import pytest

from xenp2m.errors import FormatError
from xenp2m.lab import cpio
from xenp2m.lab.image import FRONTEND, INITRD, KERNEL, build_initrd, with_domus
from xenp2m.lab.kit import unpack_kernel


def read_newc(data: bytes) -> dict[str, tuple[int, bytes, tuple[int, int]]]:
    """Read an archive as the kernel does: mode, content and device of each entry by path."""
    found: dict[str, tuple[int, bytes, tuple[int, int]]] = {}
    at = 0
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * number : at + 14 + 8 * number], 16) for number in range(13)]
        mode, size, device, length = fields[1], fields[6], (fields[9], fields[10]), fields[11]
        name = data[at + 110 : at + 110 + length]
        assert name.endswith(b"\0")
        start = (at + 110 + length + 3) & ~3
        if name == b"TRAILER!!!\0":
            return found
        found[name[:-1].decode()] = mode, data[start : start + size], device
        at = (start + size + 3) & ~3


@pytest.mark.parametrize("size", range(6))
def test_entries_survive_whatever_their_length(size: int) -> None:
    nodes = [cpio.folder("d"), cpio.program("d/" + "n" * size + "x", b"z" * size), cpio.console("d/c")]
    nodes.append(cpio.link("d/l", "c"))
    found = read_newc(cpio.write(nodes))
    assert list(found) == [node.path for node in nodes]
    assert [entry[:2] for entry in found.values()] == [(node.mode, node.data) for node in nodes]
    assert found["d/c"][2] == (5, 1)


def test_the_time_of_a_file_is_kept() -> None:
    archive = cpio.write([cpio.program("one", b"", 0x5F00_0001)])
    assert archive[6 + 8 * 5 : 6 + 8 * 6] == b"5F000001"


def test_folders_come_before_what_they_hold_and_nothing_comes_twice() -> None:
    nodes = [cpio.program("a/b/one", b"1"), cpio.program("a/two", b"2"), cpio.program("a/two", b"3")]
    found = read_newc(cpio.write(nodes))
    assert list(found) == ["a", "a/b", "a/b/one", "a/two"]
    assert stat.S_ISDIR(found["a/b"][0])
    assert found["a/two"][1] == b"2"


def test_the_initrd_has_what_the_kernel_starts() -> None:
    found = read_newc(build_initrd(b"\x7fELF busybox"))
    mode, script, _ = found["init"]
    assert mode & stat.S_IXUSR
    assert script.startswith(b"#!/bin/busybox sh\n")
    assert found["bin/busybox"][1] == b"\x7fELF busybox"
    assert stat.S_ISCHR(found["dev/console"][0])


def test_domus_find_their_kernel_and_their_own_first_file_system() -> None:
    initrd, toolstack = build_initrd(b"busybox"), cpio.write([cpio.program("bin/xl", b"xl")])
    python = cpio.write([cpio.program("python/python", b"python")])
    whole = with_domus(initrd, toolstack, b"\x7fELF kernel", b"driver", python)
    assert whole.startswith(initrd + toolstack + python)
    inside = read_newc(whole[len(initrd + toolstack + python) :])
    assert inside[KERNEL][1] == b"\x7fELF kernel"
    archives = inside[INITRD][1]
    assert archives.startswith(initrd)
    assert archives.endswith(python)
    assert read_newc(archives[len(initrd) :])[FRONTEND][1] == b"driver"
    assert all(len(each) % 4 == 0 for each in (initrd, toolstack, python))


def test_a_kernel_is_unpacked_or_refused() -> None:
    elf = b"\x7fELF" + bytes(5000)
    assert unpack_kernel(b"MZ" + bytes(999) + lzma.compress(elf) + b"tail", "vmlinuz") == elf
    for image in (b"MZ" + bytes(999), b"MZ" + lzma.compress(b"text"), b"MZ\xfd7zXZ\0" + bytes(99)):
        with pytest.raises(FormatError, match="vmlinuz"):
            unpack_kernel(image, "vmlinuz")
