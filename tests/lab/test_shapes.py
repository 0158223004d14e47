"""Shapes as data: those of the program, and files that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xenp2m.errors import FormatError, InputError, UsageError
from xenp2m.lab.kit import Kit
from xenp2m.lab.qemu import LINUX_OPTIONS, Files, command_line, write_esp
from xenp2m.lab.shape import Shape
from xenp2m.lab.shapefile import builtin_shapes, chosen_shapes, parse_shape, read_shape

DOMU = 'memory = "1G"\n[[domu]]\n'
KIT = Kit(
    Path("/opt/qemu"), Path("/opt/xen"), Path("/opt/a, b"), b"initrd", Path("/opt/xen.efi"), Path("/o,vmf")
)


def test_there_are_many_kinds_of_machine() -> None:
    shapes = builtin_shapes()
    assert len(shapes) >= 16
    assert len({shape.name for shape in shapes}) == len(shapes)
    assert all(shape.description for shape in shapes)
    for trait in ("machine", "firmware", "cpu", "ram_below_4g", "memory", "dom0_mem", "pci_hole64"):
        assert len({getattr(shape, trait) for shape in shapes}) > 1, trait


@pytest.mark.parametrize("shape", builtin_shapes(), ids=lambda shape: shape.name)
def test_a_shape_survives_being_written_and_read(shape: Shape) -> None:
    assert parse_shape(shape.to_toml(), shape.name, "") == shape


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("memory = ", "not TOML"),
        ("", "incomplete"),
        ('memory = "64M"', "384M"),
        ('memory = "512.5K"', "384M"),
        ('memory = "lots"', "not a size"),
        ("memory = 512", "no size"),
        ('memory = "1G"\nmemroy = "1G"', "memroy"),
        ('memory = "1G"\nmachine = "vax"', "pc or q35"),
        ('memory = "1G"\nfirmware = "bios"', "seabios or ovmf"),
        ('memory = "1G"\nbars = ["3M"]', "power of two"),
        ('memory = "1G"\nbars = "64M"', "no list"),
        ('memory = "1G"\ncpu = "x86 -S"', "one word"),
        ('memory = "1G"\nlinux_options = "a,b"', "comma"),
        ('memory = "1G"\ndescription = 3', "no text"),
        ('memory = "1G"\nlive = "yes"', "true nor false"),
        ('memory = "1G"\niommu = true', "q35"),
        ('memory = "1G"\ndomu = 3', "list of tables"),
        (f"{DOMU}", "incomplete"),
        (f'{DOMU}name = "u"', "incomplete"),
        (f'{DOMU}name = "u"\nmemory = "16M"', "128M"),
        (f'{DOMU}name = "U"\nmemory = "160M"', "name"),
        (f'{DOMU}name = "u"\nmemory = "160M"\nmaxmem = "128M"', "maxmem"),
        (f'{DOMU}name = "u"\nmemory = "160M"\ncpus = "2"', "unknown key"),
        (f'{DOMU}name = "u"\nmemory = "160M"\npci = ["0"]', "numbers"),
        (f'{DOMU}name = "u"\nmemory = "160M"\npci = [0]', "IOMMU"),
        (f'machine = "q35"\niommu = true\n{DOMU}name = "u"\nmemory = "160M"\npci = [0]', "no such BAR"),
        (f'{DOMU}name = "u"\nmemory = "160M"\n[[domu]]\nname = "u"\nmemory = "160M"', "one name"),
    ],
)
def test_a_file_that_is_no_shape_is_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(FormatError, match=words) as caught:
        parse_shape(text, "mine", "mine.toml")
    assert "mine.toml" in str(caught.value)


def test_a_missing_file_and_an_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        read_shape(tmp_path / "none.toml")
    with pytest.raises(UsageError, match="pc-512m"):
        chosen_shapes(("pc-513m",))


@pytest.mark.parametrize("shape", builtin_shapes(), ids=lambda shape: shape.name)
def test_no_machine_has_a_network_or_listens(shape: Shape, tmp_path: Path) -> None:
    files = Files(3, 4, (5, 6, 7), tuple(range(8, 8 + len(shape.bars))))
    command = command_line(shape, KIT, files, tmp_path if shape.firmware == "ovmf" else None)
    text = " ".join(command)
    assert "-nic none" in text
    assert "-nodefaults" in text
    for word in ("server", "tcp", "netdev", "hostfwd", "vnc"):
        assert word not in text
    assert text.count("ivshmem-plain") == len(shape.bars)


def test_shapes_with_domus_have_a_disk_and_an_iommu_where_devices_are_passed_through() -> None:
    for shape in builtin_shapes():
        passed = any(domu.pci for domu in shape.domu)
        disk = 99 if shape.domu else None
        files = Files(3, 4, (5, 6, 7), tuple(range(8, 8 + len(shape.bars))), disk)
        text = " ".join(command_line(shape, KIT, files, None))
        assert ("virtio-blk" in text) is bool(shape.domu)
        assert (99 in files.all) is bool(shape.domu)
        assert ("intel-iommu" in text) is passed is ("no-intremap" in text)


@pytest.mark.parametrize("shape", builtin_shapes(), ids=lambda shape: shape.name)
def test_a_shape_survives_json(shape: Shape) -> None:
    assert Shape.from_json(json.loads(json.dumps(shape.to_json()))) == shape


def test_paths_with_commas_and_blanks_do_not_split_options(tmp_path: Path) -> None:
    plain = command_line(Shape(name="x", memory=1 << 30), KIT, Files(3, 4, (5, 6, 7), ()), None)
    words = LINUX_OPTIONS.split()
    assert plain[plain.index("-initrd") + 1].split(" ") == [
        "/proc/self/fd/3",
        *words[:-1],
        words[-1] + ",/proc/self/fd/4",
    ]
    uefi = command_line(
        Shape(name="x", memory=1 << 30, firmware="ovmf"), KIT, Files(3, 4, (5, 6, 7), ()), tmp_path
    )
    assert any(each.endswith("file=/o,,vmf") for each in uefi)


def test_the_system_partition_boots_xen(tmp_path: Path) -> None:
    for name in ("xen.efi", "kernel"):
        (tmp_path / name).write_text(name)
    kit = Kit(tmp_path, tmp_path, tmp_path / "kernel", b"initrd", tmp_path / "xen.efi", tmp_path)
    shape = Shape(name="x", memory=1 << 30, firmware="ovmf", dom0_mem="512M,max:1G")
    write_esp(tmp_path / "esp", shape, kit, b"initrd")
    home = tmp_path / "esp" / "EFI" / "BOOT"
    assert (home / "BOOTX64.EFI").read_text() == "xen.efi"
    assert (home / "initrd").read_bytes() == b"initrd"
    assert "dom0_mem=512M,max:1G" in (home / "BOOTX64.cfg").read_text()
