"""The data file and the attribution are made from records; the attribution in the project is the one made."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from conformance.sources import SHARED
from xenp2m import catalogue
from xenp2m.catalogue.attribution import attribution
from xenp2m.catalogue.build import NOTICE, kept, main, packed
from xenp2m.catalogue.products import kernel_release, product_and_firmware
from xenp2m.errors import FormatError

HOME = Path(catalogue.__file__).parent
DOCS = Path(__file__).resolve().parents[2] / "docs"
MACHINES = SHARED / "machines/machines-open.ndjson.gz"

RECORD: dict[str, Any] = {
    "id": "0123456789ab",
    "source": {"repo": "bsdhw/Dmesg", "path": "Desktop/x", "commit": "547410ce0825"},
    "kind": "bios",
    "virt": False,
    "dmi": "Example Inc. Board 1/Board 1, BIOS 1.2 03/04/2020",
    "bios_year": 2020,
    "kernel": "6.8.0-rc3-somebody+",
    "e820": [[0, 0x9F000, 1], [0x100000, 0x40000000, 1], [0x40000000, 0x50000000, 2]],
    "bars": [["0000:00:02.0", 0, 0x4000000000, 0x1000000, True, True]],
    "ecam": [[0xE0000000, 0xF0000000]],
    "hyp": ["bare hardware"],
    "seen": 3,
}


def test_only_facts_are_kept() -> None:
    facts = kept(RECORD)
    assert facts["product"] == "Example Inc. Board 1"
    assert facts["firmware"] == "1.2 03/04/2020"
    assert facts["kernel"] == "6.8.0-rc3"
    assert facts["source"]["licence"] == "CC-BY-4.0"
    assert facts.keys().isdisjoint({"dmi", "ecam", "hyp", "seen"})
    assert kept(RECORD | {"dmi": None, "source": {"repo": "a/b"}})["source"] == {"repo": "a/b"}


def test_records_are_sorted_and_checked() -> None:
    data = zstandard.ZstdDecompressor().decompress(packed([RECORD | {"id": "f"}, RECORD]))
    assert [json.loads(line)["id"] for line in data.splitlines()] == ["0123456789ab", "f"]
    with pytest.raises(FormatError):
        packed([RECORD | {"e820": [[5, 1, 1]]}])
    with pytest.raises(ValueError, match="'bioss'"):
        packed([RECORD | {"kind": "bioss"}])


@pytest.mark.parametrize(
    ("dmi", "product", "firmware"),
    [
        (
            "Dell Inc. XPS 13 9360/0596KF, BIOS 2.21.0 06/02/2022",
            "Dell Inc. XPS 13 9360 (0596KF)",
            "2.21.0 06/02/2022",
        ),
        ("LENOVO 20HGS0TW00/20HGS0TW00, BIOS N1 1", "LENOVO 20HGS0TW00", "N1 1"),
        ("System manufacturer System Product Name/P9X79, BIOS 4801", "P9X79", "4801"),
        ("To be filled by O.E.M. To be filled by O.E.M./ , BIOS 4.6", "", "4.6"),
        ("HP HP Laptop 14/8B27, BIOS F.05", "HP Laptop 14 (8B27)", "F.05"),
        (
            "Acer     Extensa 5630       /Homa    , BIOS V1.36    10/30/2009",
            "Acer Extensa 5630 Homa",
            "V1.36 10/30/2009",
        ),
        ("Supermicro X9DR7/E-(J)LN4F/X9DR7/E-(J)LN4F, BIOS 3.3", "Supermicro X9DR7/E-(J)LN4F", "3.3"),
        ("/DZ77BH-55K, BIOS BHZ", "DZ77BH-55K", "BHZ"),
        ("Framework Laptop 16 (AMD Ryzen", "Framework Laptop 16 (AMD Ryzen", ""),
        ("", "", ""),
    ],
)
def test_products(dmi: str, product: str, firmware: str) -> None:
    assert product_and_firmware(dmi) == (product, firmware)


@pytest.mark.parametrize(
    ("release", "kept_"),
    [("5.6.0-XPS-Kenny+", "5.6.0"), ("6.8.0-rc3+", "6.8.0-rc3"), ("5.13.x", "5.13"), ("next", "")],
)
def test_kernels_lose_what_builders_append(release: str, kept_: str) -> None:
    assert kernel_release(release) == kept_


def test_every_source_is_named_in_the_attribution_that_ships() -> None:
    text = (HOME / NOTICE).read_text(encoding="utf-8")
    assert text == attribution(catalogue.entries())
    assert text == (DOCS / "catalogue-sources.md").read_text(encoding="utf-8")
    by_licence, others = text.split("## Others")
    assert "https://creativecommons.org/licenses/by/4.0/" in by_licence
    for entry in catalogue.entries():
        part = by_licence if entry.source.licence else others
        assert entry.id in part
        assert entry.source.repo in part
        assert entry.source.path in part
        assert entry.source.commit in part
    assert sum(entry.source.licence == "CC-BY-4.0" for entry in catalogue.entries()) == 31


def test_the_attribution_is_made_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main("-", str(tmp_path / "sources.md"))
    assert (tmp_path / "sources.md").read_bytes() == (HOME / NOTICE).read_bytes()
    assert "bytes of data" in capsys.readouterr().out


@pytest.mark.skipif(not MACHINES.is_file(), reason="the records that the catalogue was made of are not here")
def test_the_data_file_is_what_its_records_give() -> None:
    with gzip.open(MACHINES, "rt", encoding="utf-8") as lines:
        data = packed(map(json.loads, lines))
    unpack = zstandard.ZstdDecompressor().decompress
    assert unpack(data) == unpack((HOME / "machines.ndjson.zst").read_bytes())
