"""Bundles that people hold: what of them is read, and what is said of it."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from capture import archives
from capture.test_listings import IOMEM, LSPCI
from capture.test_merge import FINAL
from capture.writers import LAPTOP, linux_new, plain, xen_new
from xenp2m.capture import Capture, Severity, read_files
from xenp2m.errors import MissingFactError, UsageError
from xenp2m.machine import MapSource

BOOT = plain(["Linux version 6.1.0 (b) (gcc) #1", *linux_new(LAPTOP)]).encode()
DOM0 = plain(
    ["Linux version 4.19.0 (b) (gcc) #1", *linux_new(FINAL, "Xen"), "Hypervisor detected: Xen PV"]
).encode()
WRAPPED = b"[ 9.1] pci 0000:00:02.0: reg 0x10: [mem 0xd0000000-0xd0000fff]\n"
XEN = plain([*xen_new(LAPTOP)]).encode()
LISTING = IOMEM.encode()
PCI = LSPCI.encode()
NOISE = b"root:x:0:0\n" * 100

BUNDLES: dict[str, tuple[dict[str, bytes], dict[str, str]]] = {
    "sos report": (
        {
            "sosreport-host-2026/sos_commands/kernel/dmesg": BOOT,
            "sosreport-host-2026/sos_commands/pci/lspci_-nnvv": PCI,
            "sosreport-host-2026/proc/iomem": LISTING,
            "sosreport-host-2026/etc/passwd": NOISE,
        },
        {"sos_commands/kernel/dmesg": "Linux boot log", "lspci_-nnvv": "lspci", "proc/iomem": "/proc/iomem"},
    ),
    "sos report of a dom0": (
        {
            "sosreport-x/sos_commands/kernel/dmesg": DOM0,
            "sosreport-x/sos_commands/xen/xl_dmesg": XEN,
            "sosreport-x/sos_commands/hardware/lspci": PCI,
        },
        {"sos_commands/kernel/dmesg": "Linux boot log", "xl_dmesg": "Xen console", "hardware/lspci": "lspci"},
    ),
    "xen-bugtool status report": (
        {
            "bug-report-20260314/xl-dmesg.out": XEN,
            "bug-report-20260314/dmesg.out": DOM0,
            "bug-report-20260314/proc/iomem": LISTING,
            "bug-report-20260314/lspci-vv.out": PCI,
            "bug-report-20260314/lspci-n.out": b"00:00.0 0600: 8086:1237\n",
            "bug-report-20260314/inventory.xml": b"<system-status-inventory/>\n",
        },
        {
            "xl-dmesg.out": "Xen console",
            "dmesg.out": "Linux boot log",
            "proc/iomem": "/proc/iomem",
            "lspci-vv.out": "lspci",
        },
    ),
    "hw-probe report": (
        {
            "hw.info/host": b"system:arch\n",
            "hw.info/logs/dmesg": BOOT,
            "hw.info/logs/dmesg.1": BOOT.replace(b"6.1.0", b"5.9.0"),
            "hw.info/logs/lspci": PCI,
            "hw.info/logs/lspci_all": PCI,
        },
        {"hw.info/logs/dmesg": "Linux boot log", "hw.info/logs/lspci": "lspci"},
    ),
    "Qubes HCL report": (
        {"./xl-dmesg": XEN, "./dmesg": DOM0, "./lspci": PCI, "./cpuinfo": NOISE, "./xl-info": b"host: x\n"},
        {"xl-dmesg": "Xen console", "dmesg": "Linux boot log", "lspci": "lspci"},
    ),
    "supportconfig": (
        {
            "scc_host_260314_1234/boot.txt": b"# /bin/dmesg\n" + BOOT,
            "scc_host_260314_1234/hardware.txt": b"# /sbin/lspci -vvnn\n" + PCI,
            "scc_host_260314_1234/basic-environment.txt": NOISE,
        },
        {"boot.txt": "Linux boot log", "hardware.txt": "lspci"},
    ),
    "copy of /proc and /var/log": (
        {"host/var/log/dmesg": BOOT, "host/proc/iomem": LISTING, "host/proc/cpuinfo": NOISE},
        {"var/log/dmesg": "Linux boot log", "proc/iomem": "/proc/iomem"},
    ),
}


def read(data: bytes, folder: Path, name: str = "bundle.bin") -> Capture:
    path = folder / name
    path.write_bytes(data)
    return read_files([path])


def unpacked(members: archives.Members, folder: Path) -> Path:
    for name, data in members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def said(capture: Capture) -> str:
    return "\n".join(str(note) for note in capture.notes)


def check(capture: Capture, expected: dict[str, str]) -> None:
    assert capture.machine.e820 == LAPTOP
    read_texts = {source.name: source.format for source in capture.sources}
    assert len(read_texts) == len(expected)
    for name, found in read_texts.items():
        assert found == next(form for end, form in expected.items() if name.endswith(end))


@pytest.mark.parametrize("container", archives.CONTAINERS)
@pytest.mark.parametrize("kind", BUNDLES)
def test_every_bundle_in_every_container(kind: str, container: str, tmp_path: Path) -> None:
    members, expected = BUNDLES[kind]
    capture = read(archives.CONTAINERS[container](members), tmp_path)
    check(capture, expected)
    assert len(capture.machine.bars) > 2
    assert kind.removesuffix(" of a dom0") in said(capture)


@pytest.mark.parametrize("kind", BUNDLES)
def test_every_bundle_as_a_folder(kind: str, tmp_path: Path) -> None:
    members, expected = BUNDLES[kind]
    check(read_files([unpacked(members, tmp_path / "in" / "here")]), expected)


def test_the_order_of_members_does_not_matter(tmp_path: Path) -> None:
    members, expected = BUNDLES["sos report"]
    check(read(archives.tar(dict(reversed(members.items()))), tmp_path), expected)


@pytest.mark.parametrize("pack", archives.COMPRESSORS)
def test_one_compressed_text(pack: str, tmp_path: Path) -> None:
    capture = read(archives.COMPRESSORS[pack](BOOT), tmp_path, "my.log")
    assert capture.machine.e820 == LAPTOP


def test_standard_input_may_be_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(archives.zipped({"dmesg.txt": BOOT}))
    with path.open() as file:
        monkeypatch.setattr("sys.stdin", file)
        assert read_files(["-"]).machine.e820 == LAPTOP


def test_a_report_in_a_zip_in_a_folder(tmp_path: Path) -> None:
    report = archives.CONTAINERS["tar.xz"](BUNDLES["sos report"][0])
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "attached.zip").write_bytes(archives.zipped({"x/sosreport.tar.xz": report}))
    capture = read_files([tmp_path])
    check(capture, BUNDLES["sos report"][1])
    assert f"{tmp_path}/mail/attached.zip/x/sosreport.tar.xz/sosreport-host" in capture.sources[0].name


def test_earlier_boots_are_left_alone_and_named(tmp_path: Path) -> None:
    old = BOOT.replace(b"6.1.0", b"5.9.0")
    members = {
        "sosreport-x/sos_commands/logs/journalctl_--no-pager_--boot_-1": old,
        "sosreport-x/var/log/dmesg.old": old,
        "sosreport-x/var/log/kern.log.2.gz": gzip.compress(old),
        "sosreport-x/sos_commands/kernel/dmesg": BOOT,
    }
    capture = read(archives.tar(members), tmp_path)
    assert capture.machine.kernel_release == "6.1.0"
    (note,) = [note for note in capture.notes if "earlier boots" in note.text]
    for name in ("boot_-1", "dmesg.old", "kern.log.2"):
        assert name in note.text


def test_the_journal_helps_where_dmesg_has_lost_its_start(tmp_path: Path) -> None:
    root = "sosreport-x/sos_commands"
    members = {
        f"{root}/logs/journalctl_--no-pager_--boot": BOOT + WRAPPED,
        f"{root}/kernel/dmesg": WRAPPED,
        "sosreport-x/var/log/messages": BOOT.replace(b"6.1.0", b"5.9.0"),
    }
    capture = read(archives.tar(members), tmp_path)
    assert capture.machine.e820 == LAPTOP
    assert capture.machine.kernel_release == "6.1.0"
    assert [source.name.rpartition("/")[2] for source in capture.sources] == [
        "dmesg",
        "journalctl_--no-pager_--boot",
    ]


def test_empty_and_refused_members_are_passed_over(tmp_path: Path) -> None:
    members = {
        "bug-report/xl-dmesg.out": b"",
        "bug-report/dmesg.out": b"dmesg: read kernel buffer failed: Operation not permitted\n",
        "bug-report/var/log/kern.log": BOOT,
    }
    capture = read(archives.tar(members), tmp_path)
    assert capture.machine.e820 == LAPTOP
    assert "nothing of use in" in said(capture)
    with pytest.raises(MissingFactError, match="empty or hold neither"):
        read(archives.tar({"bug-report/xl-dmesg.out": b"", "bug-report/dmesg.out": b""}), tmp_path)
    with pytest.raises(MissingFactError, match=r"bug-report/xl-dmesg\.out: the file is empty"):
        read(archives.tar({"bug-report/xl-dmesg.out": b""}), tmp_path)


def test_texts_are_known_by_what_they_hold_where_no_name_is(tmp_path: Path) -> None:
    members = {"a/photo.png": b"\x89PNG\r\n\0\0\0", "a/letter": b"Hello\n", "a/box": XEN, "a/cards": PCI}
    capture = read(archives.zipped(members), tmp_path)
    assert capture.machine.e820_source is MapSource.XEN
    assert [source.name.rpartition("/")[2] for source in capture.sources] == ["box", "cards"]
    assert "known by what they hold: a/box, a/cards" in said(capture)


def test_nothing_known(tmp_path: Path) -> None:
    with pytest.raises(MissingFactError, match="no member is a known text"):
        read(archives.zipped({"letter": b"Hello\n"}), tmp_path)
    with pytest.raises(MissingFactError, match="no member is a known text"):
        read(archives.zipped({}), tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "letter").write_bytes(b"Hello\n")
    with pytest.raises(UsageError, match="no known file in the folder"):
        read_files([tmp_path / "sub"])


def test_reports_of_several_machines_are_refused(tmp_path: Path) -> None:
    members = {"one/dmesg.txt": BOOT, "two/dmesg.txt": BOOT}
    with pytest.raises(UsageError, match=r"several machines.*one.*two"):
        read(archives.tar(members), tmp_path)
    with pytest.raises(UsageError, match=r"several machines.*one.*two"):
        read_files([unpacked(members, tmp_path / "reports")])


def test_parts_of_one_machine_may_lie_in_folders_side_by_side(tmp_path: Path) -> None:
    capture = read(archives.tar({"log/dmesg.txt": BOOT, "pci/lspci.txt": PCI}), tmp_path)
    assert {source.format for source in capture.sources} == {"Linux boot log", "lspci"}


def test_what_lies_nearer_to_the_top_comes_first(tmp_path: Path) -> None:
    members = {"dmesg.txt": BOOT, "old/sosreport/sos_commands/kernel/dmesg": DOM0}
    capture = read(archives.tar(members), tmp_path)
    assert len(capture.sources) == 1
    assert "also in it, not used: " in said(capture)


def test_a_second_listing_of_one_part_is_not_needed(tmp_path: Path) -> None:
    capture = read_files([unpacked({"dmesg.txt": BOOT + WRAPPED, "dmesg.log": DOM0}, tmp_path)])
    assert [source.name for source in capture.sources] == [str(tmp_path / "dmesg.txt")]


def test_links_in_a_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(BOOT)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "dmesg.txt").symlink_to(tmp_path / "elsewhere")
    (folder / "around").symlink_to(folder)
    os.mkfifo(folder / "iomem.txt")
    with pytest.raises(UsageError, match="no known file"):
        read_files([folder])


def test_a_folder_is_read_at_its_top_even_beside_much_else(tmp_path: Path) -> None:
    members = {"dmesg.txt": BOOT, "broken.zip": b"PK\x03\x04", **{f"deep/{i}/x": NOISE for i in range(200)}}
    assert read_files([unpacked(members, tmp_path)]).notes[0].severity is not Severity.WARNING


def test_sos_reports_beside_each_other_are_refused(tmp_path: Path) -> None:
    report = archives.CONTAINERS["tar.gz"](BUNDLES["sos report"][0])
    with pytest.raises(UsageError, match="several machines"):
        read_files([unpacked({"a.tar.gz": report, "b.tar.gz": report}, tmp_path)])


def test_an_encrypted_archive_says_so(tmp_path: Path) -> None:
    data = bytearray(archives.zipped({"dmesg.txt": BOOT}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(MissingFactError, match=r"dmesg.txt: it is encrypted; not read"):
        read(bytes(data), tmp_path)
