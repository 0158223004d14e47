"""Xen's toolstack as a second first file system for dom0: made of unpacked packages."""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from xenp2m.lab import cpio
from xenp2m.lab.errors import LabError

PROGRAMS = ("xl", "xenstored", "xenconsoled", "xen-init-dom0", "xen-mfndump", "xenstore")
"""What dom0 needs to start PV guests, look at them, and dump them."""

MODULES = (
    *("xen-privcmd", "xen-gntdev", "xen-evtchn", "xen-gntalloc", "xenfs", "xen-pciback"),
    *("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk"),
)
"""Drivers of dom0, in the order in which they can be loaded."""

FRONTEND = "xen-pcifront"
"""The driver with which a domU uses passed-through devices."""

_LOADER = "lib64/ld-linux-x86-64.so.2"
_LIBRARIES = "lib/x86_64-linux-gnu"
_SCRIPTS = ("toolstack", "relay")


def build(root: Path) -> bytes:
    """Return the archive of what ``root``, the folder of the unpacked packages, holds of the toolstack.

    Raises LabError where a program is missing.
    """
    return cpio.write(_nodes(root))


def module(root: Path, name: str) -> bytes | None:
    """Return a kernel module, unpacked; None where the packages do not have it: it may be built in."""
    for path in root.glob(f"**/kernel/**/{name}.ko*"):
        data = path.read_bytes()
        return lzma.decompress(data) if path.suffix == ".xz" else data
    return None


def _nodes(root: Path) -> Iterator[cpio.Node]:
    for name in PROGRAMS:
        yield cpio.program(f"bin/{name}", _program(root, name).read_bytes())
    for home in (_LIBRARIES, f"usr/{_LIBRARIES}"):
        found = sorted((root / home).glob("*.so*"))
        named = {path.resolve() for path in found if path.is_symlink()}
        for path in found:
            if not path.is_symlink() and path.resolve() in named:
                continue
            yield cpio.program(f"{_LIBRARIES}/{path.name}", path.read_bytes())
            if path.name == Path(_LOADER).name:
                yield cpio.program(_LOADER, path.read_bytes())
    modules = {name: data for name in MODULES if (data := module(root, name)) is not None}
    for name, data in modules.items():
        yield cpio.program(f"lib/modules/{name}.ko", data)
    yield cpio.program("lib/modules/order", ("\n".join(modules) + "\n").encode())
    for name in _SCRIPTS:
        text = (resources.files("xenp2m.lab") / "guest" / name).read_bytes()
        yield cpio.program(f"bin/{name}", text)


def _program(root: Path, name: str) -> Path:
    for pattern in (f"usr/lib/xen-*/bin/{name}", f"usr/bin/{name}", f"usr/sbin/{name}"):
        for path in root.glob(pattern):
            if path.is_file():
                return path
    raise LabError("the packages lack a program of Xen's toolstack", expected=name)
