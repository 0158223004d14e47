"""Make the data file of the catalogue and its attribution from records of machine facts.

``python -m xenp2m.catalogue.build MACHINES.ndjson.gz [ATTRIBUTION.md ...]`` writes the data file and
ATTRIBUTION.md beside this module, and the attribution to every further file named.  Without machines
(``-``) the data file stays and the attribution is written anew.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import zstandard

from xenp2m.capture import read_record
from xenp2m.catalogue.attribution import attribution
from xenp2m.catalogue.products import kernel_release, product_and_firmware
from xenp2m.catalogue.store import DATA, entries, entry_of
from xenp2m.files import write_atomically

HERE = Path(__file__).resolve().parent
NOTICE = "ATTRIBUTION.md"

_LEVEL = 22
_LICENCES = {"bsdhw/Dmesg": "CC-BY-4.0"}
"""Licences that sources state; of the others none is recorded."""
_KEPT = (
    "id",
    "kind",
    "virt",
    "bios_year",
    "year",
    "xen",
    "e820",
    "dom0_e820",
    "bars",
    "bars_moved",
    "windows",
    "elided",
    "transcribed",
)


def kept(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the catalogue keeps of a record: facts for prediction, names of products, the source.

    Names of kernels and systems that a person may have chosen are left out.
    """
    facts = {name: record[name] for name in _KEPT if record.get(name) is not None}
    product, firmware = product_and_firmware(record.get("dmi") or "")
    release = kernel_release(record.get("kernel") or "")
    named = {"product": product, "firmware": firmware, "kernel": release}
    source = {name: str(value) for name, value in record["source"].items()}
    if licence := _LICENCES.get(source["repo"]):
        source["licence"] = licence
    return facts | {name: value for name, value in named.items() if value} | {"source": source}


def packed(records: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the data file of records, in the order of their ids.

    Raises FormatError for a record that is damaged, ValueError for one whose kind is not known.
    """
    lines = []
    for record in sorted((kept(record) for record in records), key=lambda facts: str(facts["id"])):
        read_record(entry_of(record).record, record["id"])
        lines.append(json.dumps(record, separators=(",", ":"), ensure_ascii=False))
    return zstandard.ZstdCompressor(level=_LEVEL).compress("\n".join(lines).encode())


def main(machines: str, *notices: str) -> None:
    """Write the data file and the attribution."""
    if machines != "-":
        with gzip.open(machines, "rt", encoding="utf-8") as lines:
            write_atomically(HERE / DATA, packed(map(json.loads, lines)))
    text = attribution(entries()).encode()
    for path in (str(HERE / NOTICE), *notices):
        write_atomically(path, text)
    print(f"{(HERE / DATA).stat().st_size} bytes of data, {len(text)} of attribution")


if __name__ == "__main__":
    main(*sys.argv[1:])
