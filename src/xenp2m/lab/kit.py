"""What the lab boots with: Xen, a kernel, the first file system and QEMU; fetched into a cache, or given."""

from __future__ import annotations

import lzma
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from xenp2m.errors import FormatError, InputError
from xenp2m.lab.errors import LabError
from xenp2m.lab.image import build_initrd

QEMU = "qemu-system-x86_64"

_XZ = b"\xfd7zXZ\0"
_ELF = b"\x7fELF"
_REMEDY = "run xenp2m lab setup"


@dataclass(frozen=True, slots=True)
class Own:
    """Files of the user's own that stand in for fetched ones."""

    xen: Path | None = None
    kernel: Path | None = None
    initrd: Path | None = None
    qemu: Path | None = None


@dataclass(frozen=True, slots=True)
class Kit:
    """Files to boot with.  ``xen_efi`` and ``ovmf`` are needed for UEFI firmware only.

    ``initrd`` is the content of the first file system.  ``toolstack``, what dom0 needs besides to start
    domUs, and ``frontend``, the driver with which these use PCI devices, are needed for domUs only.
    """

    qemu: Path
    xen: Path
    kernel: Path
    initrd: bytes
    xen_efi: Path | None = None
    ovmf: Path | None = None
    toolstack: Path | None = None
    frontend: Path | None = None

    @property
    def can_uefi(self) -> bool:
        """Whether machines with UEFI firmware can be booted."""
        return self.xen_efi is not None and self.ovmf is not None


def default_cache() -> Path:
    """Return where fetched files are kept: ``xenp2m/lab`` below the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "xenp2m" / "lab"


def find_kit(cache: Path, own: Own) -> Kit:
    """Put a kit together of the user's own files and of those in the cache.

    Raises LabError naming the first file that is missing and how to get it.
    """
    qemu = own.qemu or find_qemu()
    if qemu is None:
        raise LabError(f"{QEMU} is missing: install the package qemu-system-x86, or give --qemu")
    xen = _required(own.xen, cache / "xen", "Xen", "--xen")
    kernel = _required(own.kernel, cache / "vmlinux", "a Linux kernel", "--kernel")
    if own.initrd is not None:
        initrd = _required(own.initrd, own.initrd, "the initramfs", "--initrd").read_bytes()
    else:
        busybox = _required(None, cache / "busybox", "busybox", "--initrd")
        initrd = build_initrd(busybox.read_bytes())
    efi = _optional(cache / "xen.efi")
    return Kit(
        _required(qemu, qemu, "QEMU", "--qemu"),
        xen,
        kernel,
        initrd,
        efi if own.xen is None else None,
        _optional(cache / "OVMF_CODE.fd"),
        _optional(cache / "toolstack.cpio"),
        _optional(cache / "pcifront.ko"),
    )


def find_qemu() -> Path | None:
    """Return the installed QEMU, None where there is none."""
    found = shutil.which(QEMU)
    return Path(found) if found else None


def unpack_kernel(image: bytes, where: str) -> bytes:
    """Return the ELF inside a bzImage: Xen starts it faster than it unpacks the image itself.

    Raises FormatError where the payload is not compressed with xz, as Debian's is.
    """
    start = image.find(_XZ)
    if start < 0:
        raise FormatError("no xz payload in the kernel image", where=where)
    unpacker = lzma.LZMADecompressor()
    try:
        elf = unpacker.decompress(image[start:])
    except lzma.LZMAError as error:
        raise FormatError("damaged kernel image", where=where, found=str(error)) from error
    if not elf.startswith(_ELF):
        raise FormatError("the kernel's payload is no ELF file", where=where)
    return elf


def _optional(path: Path) -> Path | None:
    return path if path.is_file() else None


def _required(own: Path | None, cached: Path, what: str, option: str) -> Path:
    path = own or cached
    if path.is_file():
        return path.resolve()
    if own is not None:
        raise InputError(f"no such file for {what}", where=str(own))
    raise LabError(f"{what} is missing: {_REMEDY}, or give {option}", where=str(cached))
