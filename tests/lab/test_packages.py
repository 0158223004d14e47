"""Fetching packages, from an archive of a few files behind the tools' own names."""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
from pathlib import Path

import pytest

from lab.test_initrd import read_newc
from xenp2m.lab.errors import LabError
from xenp2m.lab.packages import STEPS, setup
from xenp2m.lab.toolimage import FRONTEND, MODULES, PROGRAMS

DEPENDS = {
    "xen-system-amd64": "xen-hypervisor-4.99-amd64",
    "linux-image-amd64": "linux-image-9.9.9-amd64",
    "xen-utils-4.99": "libxenstore4 python3",
    "xenstore-utils": "libxenstore4 libc6",
    "libxenstore4": "libc6 zlib1g",
    "libc6": "libgcc-s1",
}
KERNEL = b"\x7fELF kernel"
MODULE_HOME = "lib/modules/9.9.9-amd64/kernel/drivers/xen"
FILES = {
    "xen-hypervisor-4.99-amd64": {
        "boot/xen-4.99-amd64.gz": gzip.compress(b"xen"),
        "boot/xen-4.99-amd64.efi": b"efi",
    },
    "linux-image-9.9.9-amd64": {
        "boot/vmlinuz-9.9.9-amd64": b"MZ" + bytes(99) + lzma.compress(KERNEL),
        **{f"{MODULE_HOME}/{name}.ko": name.encode() for name in MODULES[1:]},
        f"{MODULE_HOME}/{FRONTEND}.ko.xz": lzma.compress(b"frontend"),
    },
    "busybox-static": {"bin/busybox": b"busybox"},
    "ovmf": {"usr/share/OVMF/OVMF_CODE.fd": b"ovmf"},
    "xen-utils-4.99": {
        f"usr/lib/xen-4.99/bin/{name}": name.encode() for name in PROGRAMS if name != "xenstore"
    },
    "xenstore-utils": {"usr/bin/xenstore": b"xenstore"},
    "libxenstore4": {"usr/lib/x86_64-linux-gnu/libxenstore.so.4.0": b"library"},
    "libc6": {"lib/x86_64-linux-gnu/ld-linux-x86-64.so.2": b"loader", "usr/share/doc/libc6": b"text"},
    "zlib1g": {"usr/lib/x86_64-linux-gnu/libz.so.1": b"z"},
    "libgcc-s1": {"lib/x86_64-linux-gnu/libgcc_s.so.1": b"gcc"},
}
TOOLS = {
    "apt-cache": 'shift; for name; do for need in $(cat "$ARCHIVE/$name.depends" 2>/dev/null);'
    ' do echo "  Depends: $need"; done; done',
    "apt-get": 'case $1 in download) shift 2; for name; do echo "$name" >>"$ARCHIVE/log";'
    ' cp "$ARCHIVE/$name.depends" "${name}_1_amd64.deb" 2>/dev/null || : >"${name}_1_amd64.deb"; done;; esac',
    "dpkg": 'name=${2##*/}; mkdir -p "$3"; cp -a "$ARCHIVE/${name%%_*}/." "$3/"',
}


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put tools into a PATH of their own that know these packages."""
    home, tools = tmp_path / "archive", tmp_path / "tools"
    tools.mkdir()
    for package, files in FILES.items():
        for name, data in files.items():
            path = home / package / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    (home / "libxenstore4/usr/lib/x86_64-linux-gnu/libxenstore.so.4").symlink_to("libxenstore.so.4.0")
    for package, needs in DEPENDS.items():
        (home / f"{package}.depends").write_text(needs)
    for name, text in TOOLS.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
    (tools / "qemu-system-x86_64").touch()
    for path in tools.iterdir():
        path.chmod(0o755)
    for name in ("sh", "cat", "cp", "mkdir"):
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv("ARCHIVE", str(home))
    return home


def test_everything_is_put_into_the_cache(archive: Path, tmp_path: Path) -> None:
    said: list[str] = []
    cache = tmp_path / "cache"
    setup(cache, said.append)
    assert (cache / "xen").read_bytes() == b"xen"
    assert (cache / "vmlinux").read_bytes() == KERNEL
    assert (cache / "pcifront.ko").read_bytes() == b"frontend"
    assert len(said) <= STEPS
    assert sorted((archive / "log").read_text().split()) == sorted(FILES)
    assert not list(cache.glob(".fetch-*"))


def test_the_toolstack_has_programs_libraries_and_drivers(archive: Path, tmp_path: Path) -> None:
    setup(tmp_path / "cache", lambda _: None)
    found = read_newc((tmp_path / "cache" / "toolstack.cpio").read_bytes())
    assert {f"bin/{name}" for name in (*PROGRAMS, "toolstack", "relay")} <= set(found)
    assert found["lib/x86_64-linux-gnu/libxenstore.so.4"][1] == b"library"
    assert "lib/x86_64-linux-gnu/libxenstore.so.4.0" not in found
    assert found["lib64/ld-linux-x86-64.so.2"][1] == b"loader"
    assert found["lib/modules/order"][1].decode().split() == list(MODULES[1:])


def test_a_package_that_is_not_there_is_named_with_the_remedy(archive: Path, tmp_path: Path) -> None:
    (archive / "xen-system-amd64.depends").unlink()
    with pytest.raises(LabError, match=r"xen-system-amd64.*apt-get update"):
        setup(tmp_path / "cache", lambda _: None)


def test_a_package_without_a_program_is_an_error(archive: Path, tmp_path: Path) -> None:
    (archive / "xen-utils-4.99/usr/lib/xen-4.99/bin/xl").unlink()
    with pytest.raises(LabError, match="xl"):
        setup(tmp_path / "cache", lambda _: None)
    assert not (tmp_path / "cache" / "toolstack.cpio").exists()


def test_without_qemu_it_is_installed_by_root_and_looked_for_again(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "tools/qemu-system-x86_64").unlink()
    with pytest.raises(LabError, match="--qemu" if os.geteuid() == 0 else "run as root apt-get install"):
        setup(tmp_path / "cache", lambda _: None)
