"""Shapes: the machines that the lab can boot, as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from xenp2m.units import MIB

FIRMWARES = ("seabios", "ovmf")
MACHINES = ("pc", "q35")


@dataclass(frozen=True, slots=True, kw_only=True)
class Domu:
    """A PV guest that dom0's toolstack starts.

    Sizes are in bytes; ``maxmem`` None is ``memory``.  ``e820_host`` gives it the host's holes.  ``pci`` are
    devices to pass through, by the number of the shape's BAR that they have, from 0; ``xl`` then sets
    ``e820_host`` by itself.
    """

    name: str
    memory: int
    maxmem: int | None = None
    e820_host: bool = False
    pci: tuple[int, ...] = ()

    @property
    def has_holes(self) -> bool:
        """Whether it gets the host's holes."""
        return self.e820_host or bool(self.pci)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A machine to boot, and how much of it dom0 gets.

    Sizes are in bytes.  ``ram_below_4g`` is where the hole below 4 GiB starts; the rest of the RAM lies above
    4 GiB; None leaves it to QEMU.  ``cpu`` is QEMU's name of a CPU model; None is its default, an AMD one.
    ``dom0_mem`` is Xen's option of that name; None gives dom0 everything.
    ``bars`` are the sizes of 64-bit prefetchable BARs whose content can be checked; ``spacers`` are those of
    BARs without content, which push the others up.  ``pci_hole64`` is the least size of the 64-bit window.
    ``iommu`` adds an IOMMU, without which no device is passed through.  ``live`` runs ``xenp2m inspect
    --live`` in dom0 and in every domU.  ``domu`` are the guests that dom0 starts.
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
    iommu: bool = False
    live: bool = False
    domu: tuple[Domu, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the shape as an object for ``json.dumps``."""
        return {**_members(self), "domu": [_members(each) for each in self.domu]}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Shape:
        """Return the shape that ``to_json`` gave."""
        members: dict[str, Any] = {
            key: tuple(each) if isinstance(each, list) else each for key, each in value.items()
        }
        members["domu"] = tuple(
            Domu(**{**each, "pci": tuple(each["pci"])}) for each in members.get("domu", ())
        )
        return cls(**members)

    def to_toml(self) -> str:
        """Return the shape as the text of a shape file."""
        lines = list(_assignments(self))
        for domu in self.domu:
            lines += ["", "[[domu]]", f'name = "{domu.name}"', *_assignments(domu)]
        return "\n".join(lines) + "\n"


SIZES = frozenset({"memory", "ram_below_4g", "pci_hole64", "maxmem"})
SIZE_LISTS = frozenset({"bars", "spacers"})
FLAGS = frozenset({"iommu", "live", "e820_host"})


def _members(value: Shape | Domu) -> dict[str, Any]:
    return {
        item.name: list(member) if isinstance(member := getattr(value, item.name), tuple) else member
        for item in fields(value)
    }


def _assignments(value: Shape | Domu) -> Iterator[str]:
    """Yield ``key = value`` for the keys of a table that are not as they are without being named."""
    for item in fields(value):
        member = getattr(value, item.name)
        if item.name in ("name", "domu") or member == item.default:
            continue
        if item.name in SIZE_LISTS:
            text = "[" + ", ".join(f'"{_plain_size(each)}"' for each in member) + "]"
        elif item.name in SIZES:
            text = f'"{_plain_size(member)}"'
        elif item.name in FLAGS:
            text = "true" if member else "false"
        elif item.name == "pci":
            text = str(list(member))
        else:
            text = '"' + member.replace("\\", "\\\\").replace('"', '\\"') + '"'
        yield f"{item.name} = {text}"


def _plain_size(size: int) -> str:
    return f"{size // MIB}M" if size % (1 << 30) else f"{size >> 30}G"
