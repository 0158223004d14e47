"""One small dump of every form, and ways to damage it."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from functools import cache

import zstandard

from writers import containers as write
from writers.guest import Guest, Shape, write_guest
from writers.host import write_host
from xenp2m.arch import X86_32, X86_64, Arch
from xenp2m.entry import Kind
from xenp2m.runs import Run, RunMap


def guest(shape: Shape, arch: Arch = X86_64) -> Guest:
    end = {Shape.LIST: 1 << 27 if arch.bits == 64 else 1 << 20}.get(shape, arch.max_p2m_pfn)
    runs = [Run(0, 100, Kind.RAM, 200), Run(100, 156, Kind.IDENTITY, None), Run(256, 60, Kind.RAM, 20)]
    tail = Kind.MISSING if shape is Shape.TREE_A else Kind.IDENTITY
    runs.append(Run(4096, end - 4096, tail, None))
    return write_guest(RunMap(arch, end, tail, runs), shape)


def host(shape: Shape, form: str) -> bytes:
    made = write_host([guest(shape)])
    notes = write.qemu_notes(made.root)
    if form == "vmcore":
        notes = write.xen_notes(made.root, made.guests[0].frame_list_list)
    if form in ("elf", "vmcore"):
        return write.elf_dump(made.pages, notes)
    if form == "flat":
        return write.flatten(write.kdump(made.pages, notes))
    return write.kdump(made.pages, notes, method=form)


FORMS: dict[str, Callable[[], bytes]] = {
    "core list": lambda: write.core_dump(guest(Shape.LIST)),
    "core tree": lambda: write.core_dump(guest(Shape.TREE_B)),
    "core 32-bit": lambda: write.core_dump(guest(Shape.LIST, X86_32)),
    "elf list": lambda: host(Shape.LIST, "elf"),
    "vmcore tree": lambda: host(Shape.TREE_A, "vmcore"),
    "kdump zlib": lambda: host(Shape.LIST, "zlib"),
    "kdump lzo": lambda: host(Shape.LIST, "lzo"),
    "kdump snappy": lambda: host(Shape.TREE_B, "snappy"),
    "kdump zstd": lambda: host(Shape.TREE_A, "zstd"),
    "kdump flattened": lambda: host(Shape.LIST, "flat"),
    "zstd core": lambda: zstandard.ZstdCompressor().compress(write.core_dump(guest(Shape.LIST))),
}


@cache
def original(form: str) -> bytes:
    return FORMS[form]()


def mutated(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    how = rng.randrange(6)
    if how == 0:
        return bytes(out[: rng.randrange(len(out))])
    if how == 1:
        for _ in range(rng.randint(1, 20)):
            out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    elif how == 2:
        for _ in range(rng.randint(1, 6)):
            out[rng.randrange(min(len(out), 8192))] = rng.randrange(256)
    elif how == 3:
        hostile = [0, 1, (1 << 64) - 1, 1 << 63, 1 << 62, (1 << 40) + 3, 4096, rng.getrandbits(64)]
        for _ in range(rng.randint(1, 5)):
            struct.pack_into("<Q", out, rng.randrange(len(out) // 8) * 8, rng.choice(hostile))
    elif how == 4:
        for _ in range(rng.randint(1, 300)):
            frame = rng.randrange(400)
            struct.pack_into(
                "<Q", out, rng.randrange(len(out) // 8) * 8, (frame << 12) | rng.choice([0x67, 0xE7])
            )
    else:
        start = rng.randrange(len(out))
        out[start : start + rng.choice([8, 64, 4096])] = b""
    return bytes(out)
