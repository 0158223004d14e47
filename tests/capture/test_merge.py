"""Several texts of one machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from capture.writers import LAPTOP, iomem, linux_new, memmap, plain, xen_new
from xenp2m.capture import Severity, read_files
from xenp2m.errors import InputError, UsageError
from xenp2m.machine import Bar, E820Entry, MapSource

FINAL = LAPTOP[:4]


def write(folder: Path, **texts: str) -> list[Path]:
    paths = []
    for name, text in texts.items():
        path = folder / name.replace("_", ".")
        path.write_text(text)
        paths.append(path)
    return paths


def test_xens_map_comes_first(tmp_path: Path) -> None:
    dmesg = plain(
        ["Linux version 3.14.1 (b) (gcc) #1", *linux_new(FINAL, "Xen"), "Hypervisor detected: Xen PV"]
    )
    paths = write(tmp_path, dmesg_txt=dmesg, memmap_txt=plain(memmap(FINAL)), xl_txt=plain(xen_new(LAPTOP)))
    for order in (paths, paths[::-1]):
        capture = read_files(order)
        assert capture.machine.e820 == LAPTOP
        assert capture.machine.e820_source is MapSource.XEN
        assert capture.dom0_final == FINAL
        assert {source.format for source in capture.sources} == {
            "Linux boot log",
            "/sys/firmware/memmap",
            "Xen console",
        }


def test_memmap_under_xen_is_the_kernels_own(tmp_path: Path) -> None:
    dmesg = plain(["Linux version 3.14.1 (b) (gcc) #1", "Booting paravirtualized kernel on Xen"])
    paths = write(tmp_path, memmap_txt=plain(memmap(FINAL)), dmesg_txt=dmesg)
    assert read_files(paths[:1]).machine.e820_source is MapSource.FIRMWARE
    assert read_files(paths).machine.e820_source is MapSource.DOM0_FINAL


def test_a_log_without_xen_beside_dom0s_gives_the_firmwares_map(tmp_path: Path) -> None:
    dom0 = ["Linux version 6.1.0 (b) (gcc) #1", *linux_new(FINAL, "Xen"), "Hypervisor detected: Xen PV"]
    paths = write(tmp_path, dom0_txt=plain(dom0), metal_txt=plain(linux_new(LAPTOP)))
    for order in (paths, paths[::-1]):
        capture = read_files(order)
        assert capture.machine.e820 == LAPTOP
        assert capture.machine.e820_source is MapSource.FIRMWARE
        assert capture.dom0_final == FINAL
        assert not [note for note in capture.notes if note.severity is Severity.WARNING]


def test_firmware_map_beats_iomem_and_a_met_lack_is_dropped(tmp_path: Path) -> None:
    bar = "pci 0000:00:02.0: reg 0x10: [mem 0xd0000000-0xd0000fff]"
    paths = write(
        tmp_path,
        iomem_txt=plain(iomem(LAPTOP[:2])),
        dmesg_txt=plain([*linux_new(LAPTOP)]),
        pci_txt=plain([bar]),
    )
    capture = read_files(paths)
    assert capture.machine.e820_source is MapSource.FIRMWARE
    assert not [note for note in capture.notes if note.severity is Severity.LACK]


def test_bars_of_several_sources(tmp_path: Path) -> None:
    dmesg = [
        *linux_new(LAPTOP),
        "pci 0000:00:02.0: reg 0x10: [mem 0xd0000000-0xd0000fff]",
        "pci 0000:00:03.0: reg 0x10: [mem 0xd1000000-0xd1000fff]",
    ]
    lspci = (
        "00:02.0 Example: thing\n\tRegion 0: Memory at d8000000 (32-bit, non-prefetchable) [size=4K]\n"
        "00:04.0 Example: thing\n\tRegion 1: Memory at d2000000 (32-bit, non-prefetchable) [size=4K]\n"
    )
    rows = [*iomem(LAPTOP), "d0000000-d0000fff : 0000:00:02.0", "d3000000-d3000fff : 0000:00:05.0"]
    capture = read_files(write(tmp_path, iomem_txt=plain(rows), lspci_txt=lspci, dmesg_txt=plain(dmesg)))
    assert capture.machine.bars == (
        Bar("0000:00:02.0", 0, 0xD0000000, 0x1000),
        Bar("0000:00:03.0", 0, 0xD1000000, 0x1000),
        Bar("0000:00:04.0", 1, 0xD2000000, 0x1000),
        Bar("0000:00:05.0", None, 0xD3000000, 0x1000),
    )
    warning = next(note for note in capture.notes if note.severity is Severity.WARNING)
    assert "0xd8000000" in warning.text


def test_contradictions_are_reported(tmp_path: Path) -> None:
    a = plain(["Linux version 6.1.0 (b) (gcc) #1", *linux_new(LAPTOP)])
    b = plain(["Linux version 6.2.0 (b) (gcc) #1", *linux_new(FINAL)])
    notes = read_files(write(tmp_path, a_txt=a, b_txt=b)).notes
    warnings = [note.text for note in notes if note.severity is Severity.WARNING]
    assert any("kernel release" in text for text in warnings)
    assert any("maps that differ" in text for text in warnings)


@pytest.mark.parametrize(
    ("first", "contradicts"),
    [
        (E820Entry(0x100000, 0x7BE00000, 1), False),
        (E820Entry(0x8000, 0x9C000, 1), False),
        (E820Entry(0x9C000, 0x9E000, 1), True),
        (E820Entry(0x27D000000, 0x27F000000, 1), True),
    ],
)
def test_ram_in_iomem_that_firmware_does_not_know(
    tmp_path: Path, first: E820Entry, contradicts: bool
) -> None:
    split = (E820Entry(0, 0x9000, 1), E820Entry(0x9000, 0x9D000, 1), *LAPTOP[1:])
    texts = {"iomem_txt": plain(iomem([first])), "dmesg_txt": plain(linux_new(split))}
    capture = read_files(write(tmp_path, **texts))
    assert any("of two machines" in note.text for note in capture.notes) == contradicts


def test_a_folder_means_its_known_members(tmp_path: Path) -> None:
    write(tmp_path, dmesg_txt=plain(linux_new(LAPTOP)), notes_txt="unrelated", truth_json="{}")
    assert read_files([tmp_path]).machine.e820 == LAPTOP
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match="no known file"):
        read_files([empty])


def test_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = write(tmp_path, dmesg_txt=plain(linux_new(LAPTOP)))[0]
    with path.open() as file:
        monkeypatch.setattr("sys.stdin", file)
        assert read_files(["-"]).machine.e820 == LAPTOP


def test_no_file_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        read_files([])
    with pytest.raises(InputError, match="cannot read"):
        read_files([tmp_path / "absent"])
