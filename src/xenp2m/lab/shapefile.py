"""Shapes in files: TOML, those of the program and the user's own."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from importlib import resources
from pathlib import Path
from typing import Any

from xenp2m.errors import FormatError, InputError, UsageError
from xenp2m.lab.shape import FIRMWARES, FLAGS, MACHINES, SIZE_LISTS, SIZES, Domu, Shape
from xenp2m.units import MIB, format_size, parse_size

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_LEAST_MEMORY = 384 * MIB
_LEAST_DOMU = 128 * MIB
_WORD = re.compile(r"[A-Za-z0-9_.,:+=/-]+")
_SHAPE_KEYS = tuple(item.name for item in fields(Shape) if item.name not in ("name", "domu"))
_DOMU_KEYS = tuple(item.name for item in fields(Domu))


def builtin_shapes() -> tuple[Shape, ...]:
    """Return the shapes that come with the program, by name."""
    home = resources.files("xenp2m.lab") / "shapes"
    return tuple(
        parse_shape(file.read_text(), file.name.removesuffix(".toml"), file.name)
        for file in sorted(home.iterdir(), key=lambda file: file.name.removesuffix(".toml"))
        if file.name.endswith(".toml")
    )


def chosen_shapes(names: tuple[str, ...]) -> tuple[Shape, ...]:
    """Return the built-in shapes of these names; raises UsageError for a name that is none."""
    known = {shape.name: shape for shape in builtin_shapes()}
    for name in names:
        if name not in known:
            raise UsageError("no such shape", expected=f"one of {', '.join(known)}", found=repr(name))
    return tuple(known[name] for name in dict.fromkeys(names))


def read_shape(path: str | Path) -> Shape:
    """Read a shape file; its name without ``.toml`` is the shape's.

    Raises InputError when it cannot be read, FormatError when it is no shape.
    """
    file = Path(path)
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the shape: {error}", where=str(path)) from error
    return parse_shape(text, file.stem, str(path))


def parse_shape(text: str, name: str, where: str) -> Shape:
    """Read the text of a shape file.  Raises FormatError when it is no shape."""
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FormatError("not TOML", where=where, found=str(error)) from error
    tables = value.pop("domu", [])
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise FormatError("domu is no list of tables", where=where, expected="[[domu]]", found=repr(tables))
    try:
        members = _read_table(value, _SHAPE_KEYS, where)
        domus = tuple(Domu(**_read_table(each, _DOMU_KEYS, where)) for each in tables)
        shape = Shape(name=name, domu=domus, **members)
    except TypeError as error:
        raise FormatError(
            "incomplete shape", where=where, expected="memory; name and memory of a domU", found=str(error)
        ) from error
    except UsageError as error:
        raise FormatError(str(error), where=where) from error
    _check(shape, where)
    for domu in shape.domu:
        _check_domu(domu, shape, where)
    return shape


def _read_table(value: dict[str, Any], known: tuple[str, ...], where: str) -> dict[str, Any]:
    for key in value:
        if key not in known:
            raise FormatError("unknown key in a shape", where=where, expected=", ".join(known), found=key)
    return {key: _read(key, each) for key, each in value.items()}


def _read(key: str, value: object) -> Any:
    if key in SIZE_LISTS:
        if not isinstance(value, list):
            raise UsageError(f"{key} is no list", expected='sizes such as ["64M"]', found=repr(value))
        return tuple(_read_size(key, each) for each in value)
    if key in SIZES:
        return _read_size(key, value)
    if key in FLAGS:
        if not isinstance(value, bool):
            raise UsageError(f"{key} is neither true nor false", found=repr(value))
        return value
    if key == "pci":
        if not isinstance(value, list) or not all(type(each) is int for each in value):
            raise UsageError("pci is no list", expected="numbers of BARs such as [0]", found=repr(value))
        return tuple(value)
    if not isinstance(value, str):
        raise UsageError(f"{key} is no text", found=repr(value))
    return value


def _read_size(key: str, value: object) -> int:
    if not isinstance(value, str):
        raise UsageError(f"{key} is no size", expected='a size such as "64M"', found=repr(value))
    return parse_size(value)


def _check(shape: Shape, where: str) -> None:
    def refuse(what: str, expected: str, found: object) -> FormatError:
        return FormatError(what, where=where, expected=expected, found=str(found))

    if not _NAME.fullmatch(shape.name):
        raise refuse("not a shape's name", "small letters, digits, - and .", shape.name)
    if shape.machine not in MACHINES:
        raise refuse("unknown machine", " or ".join(MACHINES), shape.machine)
    if shape.firmware not in FIRMWARES:
        raise refuse("unknown firmware", " or ".join(FIRMWARES), shape.firmware)
    if shape.memory < _LEAST_MEMORY or shape.memory % MIB:
        raise refuse(
            "memory that Xen and dom0 do not fit in", "at least 384M, in MiB", format_size(shape.memory)
        )
    for size in (*shape.bars, *shape.spacers):
        if size < MIB or size & (size - 1):
            raise refuse("not the size of a BAR", "a power of two from 1M on", format_size(size))
    for key in ("cpu", "dom0_mem"):
        text = getattr(shape, key)
        if text is not None and not _WORD.fullmatch(text):
            raise refuse(f"{key} is no option", "one word", repr(text))
    if "," in shape.linux_options:
        raise refuse("linux_options with a comma", "none: it would end the kernel's options", repr(","))
    if shape.iommu and shape.machine != "q35":
        raise refuse("a machine that has no IOMMU", 'machine = "q35"', shape.machine)
    names = [domu.name for domu in shape.domu]
    if len(set(names)) < len(names):
        raise refuse("domUs of one name", "a name each", ", ".join(names))


def _check_domu(domu: Domu, shape: Shape, where: str) -> None:
    def refuse(what: str, expected: str, found: object) -> FormatError:
        return FormatError(f"domU {domu.name}: {what}", where=where, expected=expected, found=str(found))

    if not _NAME.fullmatch(domu.name):
        raise refuse("not a name", "small letters, digits, - and .", domu.name)
    if domu.memory < _LEAST_DOMU or domu.memory % MIB:
        raise refuse("memory that Linux does not fit in", "at least 128M, in MiB", format_size(domu.memory))
    maxmem = domu.maxmem or domu.memory
    if maxmem < domu.memory or maxmem % MIB:
        raise refuse("impossible maxmem", "at least memory, in MiB", format_size(maxmem))
    if domu.pci and not shape.iommu:
        raise refuse("a device cannot be passed through without an IOMMU", "iommu = true", "none")
    if any(not 0 <= number < len(shape.bars) for number in domu.pci):
        raise refuse("no such BAR", f"numbers below {len(shape.bars)}, how many bars there are", domu.pci)
