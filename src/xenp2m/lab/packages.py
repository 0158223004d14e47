"""Fetching what the lab boots from Debian packages: unpacked into a cache, not installed."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from xenp2m.errors import FormatError
from xenp2m.files import write_atomically
from xenp2m.lab import toolimage
from xenp2m.lab.errors import LabError
from xenp2m.lab.kit import QEMU, find_qemu, unpack_kernel
from xenp2m.lab.process import die_with
from xenp2m.progress import alive

Progress = Callable[[str], None]

STEPS = 7
"""How often ``setup`` tells its progress, at most."""

_SECONDS = 900
_TICK = 0.5
_STOP_SECONDS = 20
_DEPENDS = re.compile(r"^\s*Depends: (\S+)", re.MULTILINE)
_LIBRARY = re.compile(r"lib|zlib")
_TOOLS = ("apt-get", "apt-cache", "dpkg")


def setup(cache: Path, progress: Progress) -> None:
    """Fetch Xen, its toolstack, a kernel, busybox and UEFI firmware into ``cache``.

    QEMU is installed where it is missing and may be installed.

    ``progress`` is told what is being done, a phrase at a time.  Raises LabError saying what is missing and
    how to get it.
    """
    _require_tools()
    _require_qemu(progress)
    cache.mkdir(parents=True, exist_ok=True)
    xen = _meaning_of("xen-system-amd64", r"xen-hypervisor-.*-amd64")
    kernel = _meaning_of("linux-image-amd64", r"linux-image-[0-9].*-amd64")
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=cache) as scratch:
        root = Path(scratch) / "root"
        for package in (xen, kernel, "busybox-static", "ovmf"):
            progress(f"fetching {package}")
            _unpack((package,), Path(scratch), root)
        progress("fetching Xen's toolstack")
        _unpack(_with_libraries(_utilities(xen), "xenstore-utils"), Path(scratch), root)
        progress("unpacking Xen and the kernel")
        _install(root, cache)


def _require_tools() -> None:
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        raise LabError(
            f"cannot fetch packages without {', '.join(missing)}: "
            "where apt is not there, give --qemu, --xen, --kernel and --initrd to lab run"
        )


def _require_qemu(progress: Progress) -> None:
    if find_qemu() is not None:
        return
    install = ("apt-get", "install", "--yes", "--no-install-recommends", "qemu-system-x86")
    if os.geteuid() != 0:
        raise LabError(f"{QEMU} is missing: run as root {' '.join(install)}")
    progress("installing qemu-system-x86")
    _run(*install, what="install qemu-system-x86")
    if find_qemu() is None:
        raise LabError(
            f"{QEMU} is missing, and its package is installed: give --qemu to lab run",
            expected=f"{QEMU} in PATH",
        )


def _meaning_of(meta: str, pattern: str) -> str:
    """Return the real package behind a meta package."""
    listed = _run("apt-cache", "depends", meta, what=f"look up {meta}")
    names = (str(match[1]) for match in _DEPENDS.finditer(listed))
    found = next((name for name in names if re.fullmatch(pattern, name)), None)
    if found is None:
        raise LabError(
            f"no package behind {meta}",
            expected="Debian's main archive in apt's sources, after apt-get update",
        )
    return found


def _utilities(xen: str) -> str:
    """Return the package of the toolstack that speaks to this hypervisor: they must be of one version."""
    return xen.replace("xen-hypervisor", "xen-utils").removesuffix("-amd64")


def _with_libraries(*packages: str) -> tuple[str, ...]:
    """Return the packages and the shared libraries that they need, and these need, and so on."""
    wanted: dict[str, None] = {}
    new = dict.fromkeys(packages)
    while new:
        wanted |= new
        listed = _run("apt-cache", "depends", *new, what=f"look up {packages[0]}")
        names = (str(match[1]) for match in _DEPENDS.finditer(listed))
        new = dict.fromkeys(name for name in names if _LIBRARY.match(name) and name not in wanted)
    return tuple(wanted)


def _unpack(packages: tuple[str, ...], folder: Path, root: Path) -> None:
    before = set(folder.glob("*.deb"))
    _run("apt-get", "download", "-q", *packages, what=f"download {packages[0]}", cwd=folder)
    for file in set(folder.glob("*.deb")) - before:
        _run("dpkg", "-x", str(file), str(root), what=f"unpack {file.name}")


def _install(root: Path, cache: Path) -> None:
    """Put the files of the unpacked packages that are booted into the cache."""
    xen = _one(root, "boot/xen-*.gz")
    write_atomically(cache / "xen", gzip.decompress(xen.read_bytes()))
    write_atomically(cache / "xen.efi", _one(root, "boot/xen-*.efi").read_bytes())
    image = _one(root, "boot/vmlinuz-*")
    data = image.read_bytes()
    try:
        data = unpack_kernel(data, image.name)
    except FormatError:
        # Xen unpacks the other compressions itself, only slower.
        data = image.read_bytes()
    write_atomically(cache / "vmlinux", data)
    write_atomically(cache / "busybox", _one(root, "bin/busybox", "usr/bin/busybox").read_bytes())
    write_atomically(cache / "toolstack.cpio", toolimage.build(root))
    frontend = toolimage.module(root, toolimage.FRONTEND)
    if frontend is not None:
        write_atomically(cache / "pcifront.ko", frontend)
    write_atomically(
        cache / "OVMF_CODE.fd",
        _one(root, "usr/share/OVMF/OVMF_CODE.fd", "usr/share/OVMF/OVMF_CODE_4M.fd").read_bytes(),
    )


def _one(root: Path, *patterns: str) -> Path:
    for pattern in patterns:
        found = sorted(path for path in root.glob(pattern) if path.is_file() and not path.is_symlink())
        if found:
            return found[0]
    raise LabError("the packages lack a file", expected=" or ".join(patterns))


def _run(*command: str, what: str, cwd: Path | None = None) -> str:
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
            # A Ctrl-C can come before there is a process to end.
            preexec_fn=die_with(os.getpid()),  # noqa: PLW1509 - the lab starts no threads
        )
    except OSError as error:
        raise LabError(f"cannot {what}", found=str(error)) from error
    with process:
        try:
            out, complaints = _outputs(process)
        except subprocess.TimeoutExpired as error:
            raise LabError(f"cannot {what}", found=str(error)) from error
        finally:
            _end(process)
    if process.returncode:
        lines = [line for line in complaints.splitlines() if not line.startswith("W:")]
        raise LabError(f"cannot {what}", expected="try apt-get update", found=(lines or ["no reason"])[-1])
    return out


def _end(process: subprocess.Popen[str]) -> None:
    """End a program that has not: an installer gets the time to leave things in order."""
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _outputs(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Wait for a program; return what it printed, on standard output and error."""
    end = time.monotonic() + _SECONDS
    while True:
        try:
            return process.communicate(timeout=_TICK)
        except subprocess.TimeoutExpired:
            alive()
            if time.monotonic() > end:
                raise
