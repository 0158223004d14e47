"""QEMU's command line for a shape."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xenp2m.lab.kit import Kit
from xenp2m.lab.shape import Shape

_XEN = "console=com1 com1=115200,8n1 noreboot loglvl=all guest_loglvl=all"
# The other kind of first file system may take half of the memory only.
LINUX_OPTIONS = "console=hvc0 quiet rootfstype=ramfs"
"""What the kernels of all guests are told."""


@dataclass(frozen=True, slots=True)
class Files:
    """What QEMU gets as open files: numbers of descriptors that it inherits.

    ``lines`` are Xen's serial port, dom0's and the monitor; ``bars`` hold the content of the shape's BARs,
    and ``disk`` what dom0 writes onto its disk, where it has one.
    """

    kernel: int
    initrd: int
    lines: tuple[int, int, int]
    bars: tuple[int, ...]
    disk: int | None = None

    @property
    def all(self) -> list[int]:
        """Every descriptor."""
        disk = () if self.disk is None else (self.disk,)
        return [self.kernel, self.initrd, *self.lines, *self.bars, *disk]


def command_line(shape: Shape, kit: Kit, files: Files, esp: Path | None) -> list[str]:
    """Return the command that boots a shape without display, network or anything that listens.

    ``esp`` is the folder that ``write_esp`` filled, for a shape with UEFI firmware.
    """
    machine = shape.machine
    if shape.ram_below_4g is not None:
        machine += f",max-ram-below-4g={shape.ram_below_4g}"
    command = [
        str(kit.qemu),
        "-nodefaults",
        "-no-user-config",
        *("-machine", machine, "-accel", "tcg,thread=multi", "-smp", "1", "-m", f"{shape.memory >> 20}M"),
        *("-display", "none", "-vga", "none", "-nic", "none", "-no-reboot"),
    ]
    if shape.cpu:
        command += ["-cpu", shape.cpu]
    if shape.pci_hole64 is not None:
        host = "q35-pcihost" if shape.machine == "q35" else "i440FX-pcihost"
        command += ["-global", f"{host}.pci-hole64-size={shape.pci_hole64}"]
    for name, file in zip(("xen", "dom0", "monitor"), files.lines, strict=True):
        command += ["-chardev", f"socket,id={name},fd={file}"]
    command += ["-serial", "chardev:xen", "-serial", "chardev:dom0", "-mon", "chardev=monitor,mode=control"]
    command += _boot(shape, kit, files, esp)
    if shape.iommu:
        command += ["-device", "intel-iommu,intremap=off,caching-mode=on"]
    for number, (size, file) in enumerate(zip(shape.bars, files.bars, strict=True)):
        backend = f"memory-backend-file,id=bar{number},mem-path={_open(file)},size={size},share=on"
        command += ["-object", backend, "-device", f"ivshmem-plain,memdev=bar{number}"]
    for size in shape.spacers:
        command += ["-device", f"pci-testdev,membar={size}"]
    if files.disk is not None:
        command += ["-drive", f"if=none,id=disk,format=raw,file={_open(files.disk)}"]
        command += ["-device", "virtio-blk-pci,drive=disk"]
    return command


def write_esp(folder: Path, shape: Shape, kit: Kit, initrd: bytes) -> None:
    """Fill a folder as the system partition from which UEFI firmware boots Xen."""
    assert kit.xen_efi is not None
    home = folder / "EFI" / "BOOT"
    home.mkdir(parents=True)
    shutil.copyfile(kit.xen_efi, home / "BOOTX64.EFI")
    shutil.copyfile(kit.kernel, home / "kernel")
    (home / "initrd").write_bytes(initrd)
    (home / "BOOTX64.cfg").write_text(
        f"[global]\ndefault=lab\n[lab]\noptions={xen_options(shape)}\n"
        f"kernel=kernel {linux_options(shape)}\nramdisk=initrd\n"
    )


def xen_options(shape: Shape) -> str:
    """Return Xen's command line."""
    dom0_mem = f"dom0_mem={shape.dom0_mem}" if shape.dom0_mem else ""
    return _words(_XEN, dom0_mem, "iommu=verbose,no-intremap" if shape.iommu else "", shape.xen_options)


def linux_options(shape: Shape) -> str:
    """Return dom0's command line."""
    return _words(LINUX_OPTIONS, shape.linux_options)


def _boot(shape: Shape, kit: Kit, files: Files, esp: Path | None) -> list[str]:
    if esp is not None:
        return [
            *("-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={_escaped(str(kit.ovmf))}"),
            *("-drive", f"format=raw,file=fat:rw:{_escaped(str(esp))}"),
        ]
    # QEMU splits the list of modules at commas and their options at the first blank: paths may have either.
    modules = f"{_open(files.kernel)} {linux_options(shape)},{_open(files.initrd)}"
    return ["-kernel", str(kit.xen), "-append", xen_options(shape), "-initrd", modules]


def _open(file: int) -> str:
    return f"/proc/self/fd/{file}"


def _escaped(path: str) -> str:
    return path.replace(",", ",,")


def _words(*parts: str) -> str:
    words: Sequence[str] = [part for part in parts if part]
    return " ".join(words)
