"""Shapes: the machines that the lab can boot, as data."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from xenp2m.errors import FormatError, InputError, UsageError
from xenp2m.units import MIB, format_size, parse_size

FIRMWARES = ("seabios", "ovmf")
MACHINES = ("pc", "q35")

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_LEAST_MEMORY = 384 * MIB
_WORD = re.compile(r"[A-Za-z0-9_.,:+=/-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A machine to boot, and how much of it dom0 gets.

    Sizes are in bytes.  ``ram_below_4g`` is where the hole below 4 GiB starts; the rest of the RAM lies above
    4 GiB; None leaves it to QEMU.  ``cpu`` is QEMU's name of a CPU model; None is its default, an AMD one.
    ``dom0_mem`` is Xen's option of that name; None gives dom0 everything.
    ``bars`` are the sizes of 64-bit prefetchable BARs whose content can be checked; ``spacers`` are those of
    BARs without content, which push the others up.  ``pci_hole64`` is the least size of the 64-bit window.
    """

    name: str
    description: str = ""
    machine: str = "pc"
    memory: int
    ram_below_4g: int | None = None
    cpu: str | None = None
    firmware: str = "seabios"
    dom0_mem: str | None = None
    xen_options: str = ""
    linux_options: str = ""
    bars: tuple[int, ...] = ()
    spacers: tuple[int, ...] = ()
    pci_hole64: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the shape as an object for ``json.dumps``."""
        return {
            item.name: list(value) if isinstance(value := getattr(self, item.name), tuple) else value
            for item in fields(self)
        }

    def to_toml(self) -> str:
        """Return the shape as the text of a shape file."""
        lines = []
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name == "name" or value == item.default:
                continue
            if item.name in _SIZE_LISTS:
                text = "[" + ", ".join(f'"{_plain_size(each)}"' for each in value) + "]"
            elif item.name in _SIZES:
                text = f'"{_plain_size(value)}"'
            else:
                text = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
            lines.append(f"{item.name} = {text}")
        return "\n".join(lines) + "\n"


_SIZES = ("memory", "ram_below_4g", "pci_hole64")
_SIZE_LISTS = ("bars", "spacers")
_KNOWN = tuple(item.name for item in fields(Shape) if item.name != "name")


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
    for key in value:
        if key not in _KNOWN:
            raise FormatError("unknown key in a shape", where=where, expected=", ".join(_KNOWN), found=key)
    try:
        shape = Shape(name=name, **{key: _read(key, each) for key, each in value.items()})
    except TypeError as error:
        raise FormatError("incomplete shape", where=where, expected="memory", found=str(error)) from error
    except UsageError as error:
        raise FormatError(str(error), where=where) from error
    _check(shape, value, where)
    return shape


def _read(key: str, value: object) -> Any:
    if key in _SIZE_LISTS:
        if not isinstance(value, list):
            raise UsageError(f"{key} is no list", expected='sizes such as ["64M"]', found=repr(value))
        return tuple(_read_size(key, each) for each in value)
    if key in _SIZES:
        return _read_size(key, value)
    if not isinstance(value, str):
        raise UsageError(f"{key} is no text", found=repr(value))
    return value


def _read_size(key: str, value: object) -> int:
    if not isinstance(value, str):
        raise UsageError(f"{key} is no size", expected='a size such as "64M"', found=repr(value))
    return parse_size(value)


def _check(shape: Shape, value: Mapping[str, object], where: str) -> None:
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
        text = value.get(key)
        if text is not None and not _WORD.fullmatch(str(text)):
            raise refuse(f"{key} is no option", "one word", repr(text))
    if "," in shape.linux_options:
        raise refuse("linux_options with a comma", "none: it would end the kernel's options", repr(","))


def _plain_size(size: int) -> str:
    return f"{size // MIB}M" if size % (1 << 30) else f"{size >> 30}G"
