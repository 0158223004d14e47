"""What is mutated: a text of every format that is read, and an archive of every kind."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from capture import archives, test_listings, test_other_texts, test_xen_console, writers
from capture.test_bundle import BUNDLES
from fuzz.mutate import mutate, mutate_json
from xenp2m.capture import formats
from xenp2m.capture.captured import to_json
from xenp2m.capture.collect import collect
from xenp2m.capture.collect.paste import pasted

_DATA = Path(__file__).resolve().parent.parent / "data"
_JSON = ("capture", "machine", "nixos-facter report")
_BOOT = _DATA / "captures/ram-6g"
_DMIDECODE = """\
# dmidecode 3.3
Handle 0x1300, DMI type 19, 31 bytes
Memory Array Mapped Address
\tStarting Address: 0x00000000000
\tEnding Address: 0x0007FFFFFFF
"""


class Subject(NamedTuple):
    """One thing to mutate: samples, and how what was mutated is packed, if it is not the whole file."""

    name: str
    samples: tuple[bytes, ...]
    is_text: bool = False
    pack: Callable[[bytes], bytes] | None = None
    mutate: Callable[[bytes, random.Random, bytes], bytes] = mutate


def _text(*parts: str) -> tuple[bytes, ...]:
    return tuple(part.encode() for part in parts)


def _file(name: str) -> str:
    return (_BOOT / name).read_text()


def texts() -> list[Subject]:
    """A subject for every format in ``formats.FORMATS``, which must have one, and for the values of JSON."""
    dom0 = collect(_DATA / "trees/dom0")
    log = _file("dmesg.txt")
    old = writers.plain([*writers.linux_old(writers.LAPTOP), *writers.linux_7_0(writers.LAPTOP)])
    samples: dict[str, tuple[bytes, ...]] = {
        "capture": _text(json.dumps(to_json(dom0)), json.dumps(to_json(collect(_DATA / "trees/bare-metal")))),
        "machine": _text(json.dumps(to_json(dom0)["machine"]), json.dumps(test_other_texts.RECORD)),
        "nixos-facter report": _text(
            test_other_texts.facter({"type": "mem", "base": 1 << 20, "range": 1 << 20})
        ),
        "dmidecode": _text(_DMIDECODE),
        "Xen console": _text(
            _file("xen-console.txt"),
            writers.plain(writers.xen_old(writers.LAPTOP)) + test_xen_console.DOM0,
        ),
        "Linux boot log": _text(log, old, pasted(dom0)),
        "/proc/iomem": _text(_file("iomem.txt"), test_listings.IOMEM),
        "/sys/firmware/memmap": _text(
            _file("memmap.txt"), writers.plain(writers.memmap_grep(writers.LAPTOP))
        ),
        "memory figures": _text(_file("meminfo.txt"), _file("balloon.txt")),
        "PCI resource files": _text(_file("pci.txt"), test_listings.RESOURCES),
        "lspci": _text(test_listings.LSPCI),
        "FreeBSD boot log": _text(test_other_texts.FREEBSD),
    }
    names = {item.name for item in formats.FORMATS}
    if names != samples.keys():
        raise SystemExit(f"formats without samples, or samples of none: {sorted(names ^ samples.keys())}")
    json_texts = tuple(sample for name in _JSON for sample in samples[name])
    return [
        *(Subject(name, found, is_text=True) for name, found in samples.items()),
        Subject("values in JSON", json_texts, is_text=True, mutate=mutate_json),
    ]


def _mailed(report: bytes) -> bytes:
    return archives.zipped({"report.tar.xz": archives.COMPRESSORS["xz"](report)})


def _in_report(write: Callable[[archives.Members], bytes]) -> Callable[[bytes], bytes]:
    return lambda log: write({"bug-report/dmesg.out": log, "bug-report/proc/iomem": log})


def packed() -> list[Subject]:
    """A subject for every container; of the compressed ones also what is inside is mutated before packing."""
    reports = [members for members, _ in BUNDLES.values()]
    subjects = []
    for name, write in archives.CONTAINERS.items():
        subjects.append(Subject(name, tuple(write(members) for members in reports)))
    tars = tuple(archives.tar(members) for members in reports)
    for name, pack in archives.COMPRESSORS.items():
        subjects.append(Subject(f"inside tar.{name}", tars, pack=pack))
    subjects.append(
        Subject("inside cpio.gz", tuple(map(archives.newc, reports)), pack=archives.COMPRESSORS["gz"])
    )
    subjects.append(Subject("inside tar.xz in a zip", tars, pack=_mailed))
    for name in ("zip", "bzip2 zip"):
        logs = _text(_file("dmesg.txt"), _file("xen-console.txt"))
        subjects.append(Subject(f"inside {name}", logs, pack=_in_report(archives.CONTAINERS[name])))
    return subjects
