"""Damage as transmission, editors and ill will do it."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

MAX_SIZE = 1 << 20
"""No mutation makes more of a sample than this, in bytes."""

_NUMBER = re.compile(rb"(?:0x)?[0-9a-f]{2,16}")
_NUMBERS = (
    b"0",
    b"ffffffffffffffff",
    b"0xffffffffffffffff",
    b"8000000000000000",
    b"18446744073709551616",
    b"-1",
    b"9" * 40,
)
_BYTES = b"\x00\xff\n\r\t \"'()[]{}<>:;,.-+0123456789abcdefxXKMGT%"


def _truncate(data: bytes, rng: random.Random, other: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def _behead(data: bytes, rng: random.Random, other: bytes) -> bytes:
    return data[rng.randrange(len(data)) :]


def _flip_bits(data: bytes, rng: random.Random, other: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 16)):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _overwrite(data: bytes, rng: random.Random, other: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 16)):
        changed[rng.randrange(len(changed))] = rng.choice(_BYTES)
    return bytes(changed)


def _splice(data: bytes, rng: random.Random, other: bytes) -> bytes:
    at, (start, end) = rng.randrange(len(data)), _slice(other, rng)
    return data[:at] + other[start:end] + data[at:]


def _duplicate(data: bytes, rng: random.Random, other: bytes) -> bytes:
    start, end = _slice(data, rng)
    copies = rng.choice((1, 2, 3, 10, 100, 1000))
    copies = min(copies, max((MAX_SIZE - len(data)) // max(end - start, 1), 0))
    return data[:end] + data[start:end] * copies + data[end:]


def _delete(data: bytes, rng: random.Random, other: bytes) -> bytes:
    start, end = _slice(data, rng)
    return data[:start] + data[end:]


def _renumber(data: bytes, rng: random.Random, other: bytes) -> bytes:
    found = list(_NUMBER.finditer(data))
    for match in sorted(rng.sample(found, min(len(found), rng.randint(1, 4))), key=lambda m: -m.start()):
        data = data[: match.start()] + rng.choice(_NUMBERS) + data[match.end() :]
    return data


def _slice(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data))
    return start, min(start + rng.choice((1, 8, 80, 512, 4096, len(data))), len(data))


_WAYS: Sequence[Callable[[bytes, random.Random, bytes], bytes]] = (
    _truncate,
    _behead,
    _flip_bits,
    _overwrite,
    _splice,
    _duplicate,
    _delete,
    _renumber,
)


def mutate(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Damage ``data`` one to four times; ``other`` is what is spliced in."""
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        if data:
            data = rng.choice(_WAYS)(data, rng, other)
    return data


_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    1 << 63,
    1 << 64,
    1 << 65,
    1.5,
    "",
    "x",
    [],
    {},
    [[]],
    [1, 2, 3],
)


def mutate_json(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Change one to four values of a JSON text, which stays JSON."""
    value = json.loads(data)
    for _ in range(rng.randint(1, 4)):
        holder: Any = value
        while isinstance(holder, dict | list) and holder:
            key = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
            if not isinstance(holder[key], dict | list) or not holder[key] or rng.random() < 0.2:
                _change(holder, key, rng)
                break
            holder = holder[key]
    return json.dumps(value).encode()


def _change(holder: Any, key: Any, rng: random.Random) -> None:
    way = rng.randrange(4)
    if way == 0:
        del holder[key]
    elif way == 1 and isinstance(holder[key], int):
        holder[key] += rng.choice((-1, 1, 4096, -(1 << 32), 1 << 40))
    elif way == 2 and isinstance(holder, list):
        holder += copy.deepcopy(holder[: rng.choice((1, 2, 100))] * rng.choice((1, 10)))
    else:
        holder[key] = copy.deepcopy(rng.choice(_VALUES))
