"""Xen's toolstack in dom0: starting domUs, talking to them, dumping them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

from xenp2m.lab.console import Answer, Talk
from xenp2m.lab.errors import GuestError
from xenp2m.lab.image import FRONTEND, INITRD, KERNEL
from xenp2m.lab.qemu import LINUX_OPTIONS
from xenp2m.lab.shape import Domu
from xenp2m.units import MIB

_DISK = "/dev/vda"
_PANIC = 255
_TAIL = 3
_PIECE = 1 << 20
_CLAIMED = r"pcifront.*(claiming|not claim) resource .*/2"


class DomuConsole:
    """A conversation with a domU: its console is a terminal in dom0, through which dom0 asks."""

    def __init__(self, dom0: Talk, domu: Domu, terminal: str) -> None:
        """Wait until the domU takes commands.  Raises GuestError when its kernel panics, or dom0 fails."""
        self._dom0 = dom0
        self._relay = f"relay {shlex.quote(terminal)}"
        self._name = domu.name
        self._checked(dom0.ask(self._relay))

    def ask(self, command: str) -> Answer:
        """Run one line of shell in the domU.  Raises GuestError like the constructor."""
        return self._checked(self._dom0.ask(f"{self._relay} {shlex.quote(command)}"))

    def use_devices(self, count: int) -> None:
        """Load the driver of passed-through devices, and wait until it has claimed the BARs of them all."""
        loaded = self.ask(f"insmod /{FRONTEND} && grep -m {count} -E '{_CLAIMED}' /dev/kmsg")
        if loaded.status:
            raise GuestError("the domU has no PCI frontend", where=self._name, found=loaded.text.strip())

    def _checked(self, answer: Answer) -> Answer:
        if answer.status == _PANIC:
            raise GuestError("the domU failed", where=self._name, found=answer.text.strip())
        return answer


class Toolstack:
    """The toolstack of a dom0, and the disk through which its files leave."""

    def __init__(self, dom0: Talk, disk: int) -> None:
        """Start it; ``disk`` is the host's side of the disk.  Raises GuestError where dom0 cannot."""
        self._dom0 = dom0
        self._disk = disk
        self._size = os.fstat(disk).st_size
        self._do("toolstack")

    def create(self, domu: Domu, functions: Sequence[str]) -> int:
        """Start a domU with the PCI functions of dom0 (``0000:00:03.0``) passed through; return its id."""
        for function in functions:
            self._do(f"xl pci-assignable-add {function}")
        self._do(f"xl create -q /dev/null {shlex.quote(_config(domu, functions))}")
        return int(self._do(f"xl domid {domu.name}"))

    def console(self, domu: Domu, domid: int) -> DomuConsole:
        """Wait until a domU takes commands, and return a conversation with it."""
        terminal = self._do(f"xenstore read /local/domain/{domid}/console/tty")
        return DomuConsole(self._dom0, domu, terminal)

    def dump_core(self, domid: int) -> None:
        """Write an ``xl dump-core`` of a domU onto the disk."""
        self._fresh_disk()
        self._do(f"xl dump-core {domid} {_DISK}")

    def frame_listing(self, domid: int) -> bytes:
        """Return what ``xen-mfndump dump-p2m`` prints of a domU."""
        self._fresh_disk()
        self._do(f"xen-mfndump dump-p2m {domid} >{_DISK}")
        text = bytearray()
        while (piece := os.pread(self._disk, _PIECE, len(text))).strip(b"\0"):
            text += piece
        return bytes(text.rstrip(b"\0"))

    def _fresh_disk(self) -> None:
        os.ftruncate(self._disk, 0)
        os.ftruncate(self._disk, self._size)

    def _do(self, command: str) -> str:
        answer = self._dom0.ask(command)
        text = answer.text.strip()
        if answer.status:
            raise GuestError(
                "Xen's toolstack failed",
                where=" ".join(command.split()[:2]),
                found=" / ".join(text.splitlines()[-_TAIL:]) or f"exit status {answer.status}",
            )
        return text


def _config(domu: Domu, functions: Sequence[str]) -> str:
    """Return the configuration of a domU, in xl's language, on one line."""
    maxmem = domu.memory if domu.maxmem is None else domu.maxmem
    items = {
        "name": f'"{domu.name}"',
        "type": '"pv"',
        "kernel": f'"/{KERNEL}"',
        "ramdisk": f'"/{INITRD}"',
        "extra": f'"{LINUX_OPTIONS} lab.tty=hvc0"',
        "memory": domu.memory // MIB,
        "maxmem": maxmem // MIB,
        "vif": "[]",
        "on_poweroff": '"destroy"',
        "on_crash": '"preserve"',
    }
    if domu.e820_host:
        items["e820_host"] = 1
    if functions:
        items["pci"] = "[" + ", ".join(f'"{function}"' for function in functions) + "]"
    return "; ".join(f"{name}={value}" for name, value in items.items())
