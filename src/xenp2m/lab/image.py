"""What a machine boots with besides Xen and the kernel: the first file systems of dom0 and of its domUs."""

from __future__ import annotations

from importlib import resources

from xenp2m.lab import cpio

KERNEL = "boot/vmlinux"
"""Where dom0 has the kernel of domUs."""

INITRD = "boot/initrd"
"""Where dom0 has the first file system of domUs."""

FRONTEND = "lib/modules/pcifront.ko"
"""Where a domU has the driver of passed-through devices."""


def build_initrd(busybox: bytes) -> bytes:
    """Return a guest's first file system: busybox and the program that takes commands."""
    init = (resources.files("xenp2m.lab") / "guest" / "init").read_bytes()
    return cpio.write(
        [
            *(cpio.folder(name) for name in ("dev", "proc", "sys", "tmp")),
            cpio.console("dev/console"),
            cpio.program("bin/busybox", busybox),
            cpio.program("init", init),
        ]
    )


def with_domus(
    initrd: bytes, toolstack: bytes, kernel: bytes, frontend: bytes | None, python: bytes = b""
) -> bytes:
    """Return dom0's file system with Xen's toolstack and what domUs boot.

    Linux unpacks archives that follow each other; ``python`` is one that dom0 and domUs have.
    """
    driver = b"" if frontend is None else cpio.write([cpio.program(FRONTEND, frontend)])
    inside = [cpio.program(KERNEL, kernel), cpio.program(INITRD, initrd + driver + python)]
    return initrd + toolstack + python + cpio.write(inside)
