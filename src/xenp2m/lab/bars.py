"""Using BARs from user space in a guest: written and read there, and looked at from the host."""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import asdict, dataclass
from typing import Any

from xenp2m.lab.console import Talk
from xenp2m.units import PAGE_SIZE

_BACKED = "0x1af4:0x1110"
_LIST = (
    "cd /sys/bus/pci/devices && for d in *;"
    " do echo $d $(cat $d/vendor):$(cat $d/device) $(sed -n 3p $d/resource); done"
)
_ROW = re.compile(r"(\S+) (\S+) (0x[0-9a-f]+) (0x[0-9a-f]+) 0x[0-9a-f]+")
_NUMBER = re.compile(r"0x[0-9A-Fa-f]+")
# busybox can map one file only, /dev/mem: for a while another one lies over it.
_OVER = "mount --bind {file} /dev/mem && devmem {offset} 64{value}; s=$?; umount /dev/mem; exit $s"


@dataclass(frozen=True, slots=True, kw_only=True)
class BarUse:
    """What came of using one BAR; every field from ``sysfs`` on is True where it went right.

    ``sysfs``: written through its sysfs file and read back, at both ends; ``dev_mem``: read through /dev/mem;
    ``host_sees``: the host found what was written; ``guest_sees``: the guest read what the host wrote.
    ``start`` and ``size`` are in bytes.
    """

    bdf: str
    start: int
    size: int
    sysfs: bool
    dev_mem: bool
    host_sees: bool
    guest_sees: bool

    @property
    def usable(self) -> bool:
        """Whether everything went right."""
        return self.sysfs and self.dev_mem and self.host_sees and self.guest_sees

    def to_json(self) -> dict[str, Any]:
        """Return the result as an object for ``json.dumps``."""
        return {**asdict(self), "usable": self.usable}


def use_bars(talk: Talk, files: tuple[int, ...]) -> tuple[BarUse, ...]:
    """Use every BAR whose content the host has; ``files`` hold it, as open file descriptors.

    Devices are listed in the order in which QEMU was given them, which is that of ``files``.
    Raises GuestError when the machine fails meanwhile.
    """
    found = [match for line in talk.ask(_LIST).text.splitlines() if (match := _ROW.fullmatch(line.strip()))]
    backed = sorted(match.groups() for match in found if match[2] == _BACKED)
    return tuple(
        _use(talk, bdf, int(start, 16), int(last, 16), file)
        for (bdf, _, start, last), file in zip(backed, files, strict=False)
    )


def _use(talk: Talk, bdf: str, start: int, last: int, file: int) -> BarUse:
    size = last + 1 - start
    resource = f"/sys/bus/pci/devices/{bdf}/resource2"
    talk.ask(f"echo 1 > /sys/bus/pci/devices/{bdf}/enable")
    places = (0, size - PAGE_SIZE)
    values = [secrets.randbits(63) | 1 for _ in places]
    sysfs = dev_mem = host_sees = guest_sees = True
    for place, value in zip(places, values, strict=True):
        talk.ask(_OVER.format(file=resource, offset=place, value=f" {value:#x}"))
        sysfs &= _number(talk, _OVER.format(file=resource, offset=place, value="")) == value
        dev_mem &= _number(talk, f"devmem {start + place:#x} 64") == value
        host_sees &= int.from_bytes(os.pread(file, 8, place), "little") == value
        back = value ^ ((1 << 63) - 1)
        os.pwrite(file, back.to_bytes(8, "little"), place)
        guest_sees &= _number(talk, _OVER.format(file=resource, offset=place, value="")) == back
    return BarUse(
        bdf=bdf,
        start=start,
        size=size,
        sysfs=sysfs,
        dev_mem=dev_mem,
        host_sees=host_sees,
        guest_sees=guest_sees,
    )


def _number(talk: Talk, command: str) -> int | None:
    answer = talk.ask(command)
    found = _NUMBER.fullmatch(answer.text.strip())
    return int(found[0], 16) if found and not answer.status else None
