"""Every rule: a case that raises it and a near miss that does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from check.findings.cases import (
    BAR_LINE,
    BDF,
    RESERVED,
    SMALL,
    Raising,
    bar,
    boot_log,
    changed,
    entry,
    log,
    made_up,
    recorded,
    server,
    setup,
    texts,
)
from xenp2m.check.findings import all_rules
from xenp2m.units import GIB, MIB, TIB

WIDE = 1 << 47
NARROW_HOLE = (*SMALL, entry(0xFD00000000, 16 * TIB + 0x1000, RESERVED))
MANY = tuple(entry(i * 4 * MIB, i * 4 * MIB + 2 * MIB) for i in range(160))
HOST = (
    entry(0, 0x9F000),
    entry(MIB, 3 * GIB),
    entry(3 * GIB, 3 * GIB + MIB, RESERVED),
    entry(4 * GIB, 16 * GIB),
)
LOW_AND_HIGH = (*HOST[:2], entry(3 * GIB, 4 * GIB, RESERVED), entry(4 * GIB, 5 * GIB))
ENDS_IN_RESERVED = (*HOST[:3], entry(4 * GIB, 15 * GIB), entry(15 * GIB, 16 * GIB, RESERVED))
GAP = (entry(0, 0x9F000), entry(MIB, 2 * GIB), entry(3 * GIB, 3 * GIB + MIB, RESERVED))
RESERVED_AT_4G = (*HOST[:3], entry(4 * GIB, 5 * GIB, RESERVED), entry(5 * GIB, 16 * GIB))

CASES: dict[str, list[tuple[Raising, Raising]]] = {
    "XP101": [
        (server("3.15", bar(200 * GIB)), server("series", bar(200 * GIB))),
        (server("series:1-4", bar(200 * GIB)), server("series:1-5", bar(200 * GIB))),
        (made_up("3.15", ENDS_IN_RESERVED, bar(16 * GIB)), made_up("3.15", ENDS_IN_RESERVED, bar(15 * GIB))),
    ],
    "XP102": [
        (recorded("k314-bar", "3.14.1"), recorded("k316-bar", "3.16.0")),
        (made_up("3.16", SMALL, bar(5 * TIB), bits=32), made_up("3.16", SMALL, bar(3 * TIB), bits=32)),
        (
            made_up("3.15", HOST, bar(200 * GIB)),
            made_up("3.15", HOST, bar(8 * GIB), domu_memory=512 * MIB, domu_maxmem=16 * GIB),
        ),
    ],
    "XP103": [
        (recorded("ovmf-q35", "3.15"), recorded("ovmf-q35", "3.16")),
        (recorded("bar-512g", "3.15"), recorded("bar-above-ram", "3.15")),
    ],
    "XP104": [
        (server("4.4", bar(WIDE)), server("6.1", bar(WIDE))),
        (server("3.15", bar(64 * TIB)), server("3.15", bar(64 * TIB - MIB))),
    ],
    "XP105": [(server("6.1", bar(1 << 52)), server("6.1", bar((1 << 52) - MIB)))],
    "XP107": [
        (
            made_up("3.15", NARROW_HOLE, bar(0xD0000000), bits=32),
            made_up("3.15", SMALL, bar(0xD0000000), bits=32),
        )
    ],
    "XP110": [
        (recorded("k314-bar", "3.14.1"), recorded("k316-bar", "3.16.0")),
        (server("series:3,5", bar(200 * GIB)), server("series:2,3,5", bar(200 * GIB))),
        (setup("hole_past_512g", "3.15"), setup("hole_past_512g", "3.17")),
    ],
    "XP112": [(recorded("pc-1g", "3.15"), recorded("pc-1g", "series"))],
    "XP120": [(server("series:1-6,8", dom0_mem="4G"), server("series:1-8", dom0_mem="4G"))],
    "XP130": [(server("series:2,5"), server("series:2,3,5"))],
    "XP131": [
        (
            server("3.16", domu_memory=2 * GIB, domu_maxmem=8 * GIB, e820_host=True),
            server("3.18", domu_memory=2 * GIB, domu_maxmem=8 * GIB, e820_host=True),
        ),
        (
            server("3.17", domu_memory=2 * GIB, domu_maxmem=8 * GIB, e820_host=True),
            server("3.17", domu_memory=2 * GIB, e820_host=True),
        ),
    ],
    "XP132": [
        (server("3.16", dom0_mem="200G,max:400G"), server("3.16", dom0_mem="20G,max:40G")),
        (server("3.18", dom0_mem="200G,max:400G"), server("3.19", dom0_mem="200G,max:400G")),
        (server("3.16", dom0_mem="20G,max:400G"), server("3.16", dom0_mem="2G,max:40G")),
    ],
    "XP201": [
        (server("6.1", bar(256 * MIB), dom0_mem="4G"), server("6.1", bar(0xD0000000), dom0_mem="4G")),
        (
            server("6.1", bar(8 * GIB), dom0_mem="4G,max:16G"),
            server("6.1", bar(8 * GIB), dom0_mem="4G,max:4G"),
        ),
    ],
    "XP202": [
        (
            server("6.1", bar(8 * GIB), dom0_mem="4G,max:4G"),
            server("6.1", bar(400 * GIB), dom0_mem="4G,max:4G"),
        ),
        (
            server("3.15", bar(8 * GIB), dom0_mem="4G,max:4G"),
            server("3.15", bar(8 * GIB), domu_memory=512 * MIB, domu_maxmem=16 * GIB),
        ),
        (
            made_up("3.18", HOST, bar(8 * GIB), bits=32, dom0_mem="1G,max:1G"),
            made_up("3.18", HOST, bar(16 * TIB + 8 * GIB), bits=32, dom0_mem="1G,max:1G"),
        ),
    ],
    "XP210": [
        (setup("real_threadripper_nvs_6_11", "6.1"), setup("real_threadripper_nvs_6_11", "6.12")),
        (setup("res_kernel", "6.12"), setup("nvs_kernel", "6.12")),
        (setup("initrd_conflict_nofree", "6.1"), setup("real_ark2250_4_19_5", "6.1")),
    ],
    "XP211": [(setup("real_threadripper_nvs_6_11", "3.15"), setup("real_ark2250_4_19_5", "3.15"))],
    "XP212": [(setup("real_threadripper_nvs_6_11", "6.12"), setup("real_ark2250_4_19_5", "6.12"))],
    "XP220": [
        (
            server("6.1", dom0_mem="2G", mem_limit=2 * GIB),
            server("6.1", dom0_mem="2G", mem_limit=200 * GIB),
        ),
        (
            server("3.19", dom0_mem="2G", mem_limit=2 * GIB),
            server("3.18", dom0_mem="2G", mem_limit=2 * GIB),
        ),
    ],
    "XP221": [
        (setup("b318_exact_end", "3.18"), setup("b318_exact_end", "3.19")),
        (setup("b318_spill", "3.18"), setup("no_room_at_all", "3.18")),
    ],
    "XP222": [(setup("rnd_46", "6.1"), setup("rnd_46", "3.18"))],
    "XP223": [(setup("no_room_at_all", "6.1"), setup("h8_dom0_all", "6.1"))],
    "XP224": [
        (setup("h8_dom0_over", "3.15"), setup("h8_dom0_all", "3.15")),
        (setup("h8_dom0_over", "6.1"), setup("h8_dom0_all", "6.1")),
        (setup("subpage_ram_overrun", "6.1"), setup("unaligned_gap", "6.1")),
    ],
    "XP225": [
        (server("6.1", domu_memory=600 * GIB), server("6.1", domu_memory=512 * GIB)),
        (server("3.15", domu_memory=512 * GIB), server("3.15", domu_memory=500 * GIB)),
        (setup("h32_64g", "3.15"), setup("h8_32_4g", "3.15")),
    ],
    "XP226": [
        (server("6.1", dom0_mem="512M,max:16G"), server("6.1", dom0_mem="1536M,max:16G")),
        (
            server("6.1", domu_memory=512 * MIB, domu_maxmem=16 * GIB),
            server("6.1", domu_memory=1536 * MIB, domu_maxmem=16 * GIB),
        ),
    ],
    "XP227": [(server("3.2", dom0_mem="4G"), server("3.5", dom0_mem="4G"))],
    "XP228": [
        (server("3.19", dom0_mem="4G,max:4G"), server("3.19", dom0_mem="4G,max:8G")),
        (server("3.19", dom0_mem="4G,max:4G"), server("4.3", dom0_mem="4G,max:4G")),
        (recorded("pc-1g-max", "3.19"), recorded("pc-1g", "3.19")),
        (
            made_up("3.19", LOW_AND_HIGH, dom0_mem="4G,max:4G"),
            made_up("3.19", LOW_AND_HIGH, dom0_mem="4G,max:6G"),
        ),
    ],
    "XP301": [(server("3.18", bar(4 * TIB), bits=32), server("3.18", bar(4 * TIB - MIB), bits=32))],
    "XP302": [(server("3.18", bar(16 * TIB), bits=32), server("3.18", bar(16 * TIB - MIB), bits=32))],
    "XP310": [
        (made_up("3.17", NARROW_HOLE, bits=32), made_up("3.17", NARROW_HOLE)),
        (made_up("series", NARROW_HOLE, bits=32), made_up("3.15", NARROW_HOLE, bits=32)),
    ],
    "XP311": [
        (
            made_up("3.15", (*SMALL, entry(4 * TIB, 4 * TIB + GIB)), bits=32, dom0_mem="512M"),
            made_up("3.15", (*SMALL, entry(4 * TIB - GIB, 4 * TIB)), bits=32, dom0_mem="512M"),
        )
    ],
    "XP401": [
        (recorded("pc-1g-max", "6.1"), recorded("pc-1g", "6.1")),
        (recorded("pc-1g-max", "3.19"), recorded("pc-1g-max", "3.18")),
        (server("6.12", dom0_mem="4G,max:4G"), server("6.12")),
    ],
    "XP402": [(recorded("k316-bar", "3.16.0"), recorded("k316-bar", "3.18"))],
    "XP403": [
        (
            server("3.15", bar(0xB0000000), domu_memory=0xA0000000),
            server("3.18", bar(0xB0000000), domu_memory=0xA0000000),
        )
    ],
    "XP404": [
        (recorded("k316-bar", "3.18"), recorded("k316-bar", "3.19")),
        (
            made_up("3.15", SMALL, replace(bar(0xD0000000), prefetchable=True)),
            made_up("3.15", SMALL, bar(0xD0000000)),
        ),
    ],
    "XP501": [(setup("overlap_many", "3.15"), setup("overlap_many", "6.1"))],
    "XP502": [
        (made_up("3.15", MANY[:127], dom0_mem="64M"), made_up("3.15", MANY[:126], dom0_mem="64M")),
        (made_up("6.1", MANY[:145], dom0_mem="64M"), made_up("6.1", MANY[:144], dom0_mem="64M")),
        (setup("rnd_42", "6.1"), setup("entries_128", "6.1")),
    ],
    "XP503": [(setup("subpage_ram_low", "6.1"), setup("unaligned_gap", "6.1"))],
    "XP504": [(setup("overlap_many", "6.1"), setup("adjacent_ram", "6.1"))],
    "XP505": [(log(boot_log("6.1.0")), log(boot_log("6.1.0", BAR_LINE)))],
    "XP506": [(setup("wrap", "6.1"), setup("mmio_64t", "6.1"))],
    "XP507": [
        (
            texts("3.15", "k314-bar/xen-console.txt", "pc-1g/xen-console.txt"),
            texts("3.15", "k314-bar/xen-console.txt", "k314-bar/dmesg.txt"),
        )
    ],
    "XP508": [(texts("6.1", "pc-1g/dmesg.txt"), recorded("pc-1g", "6.1"))],
    "XP509": [(server("6.1", machine={"physical_bits": 37}), server("6.1", machine={"physical_bits": 38}))],
    "XP601": [
        (
            made_up("6.1", HOST, bar(4 * GIB), domu_memory=4 * GIB, e820_host=True),
            made_up("6.1", HOST, bar(4 * GIB), domu_memory=2 * GIB, e820_host=True),
        )
    ],
    "XP602": [
        (
            made_up("6.1", RESERVED_AT_4G, domu_memory=4 * GIB, e820_host=True),
            made_up("6.1", HOST, domu_memory=4 * GIB, e820_host=True),
        )
    ],
    "XP603": [
        (
            server("6.1", domu_memory=8 * GIB),
            server("6.1", domu_memory=2 * GIB, e820_host=True),
        ),
        (
            made_up("3.15", HOST, bar(8 * GIB), domu_memory=512 * MIB, domu_maxmem=16 * GIB),
            made_up("3.15", HOST, bar(8 * GIB), domu_memory=512 * MIB, domu_maxmem=8 * GIB),
        ),
    ],
    "XP604": [
        (
            made_up("6.1", GAP, bar(5 * GIB // 2), domu_memory=4 * GIB, e820_host=True),
            made_up("6.1", GAP, bar(5 * GIB // 2), domu_memory=2 * GIB, e820_host=True),
        )
    ],
    "XP605": [
        (
            made_up("6.1", GAP, bar(5 * GIB // 2), domu_memory=GIB, e820_host=True, pci=(BDF,)),
            made_up("6.1", GAP, bar(7 * GIB // 2), domu_memory=GIB, e820_host=True, pci=(BDF,)),
        )
    ],
    "XP701": [
        (
            changed("k314-bar", "dmesg.txt", "3.14.1", "Set 97 page(s)", "Set 98 page(s)"),
            changed("k314-bar", "dmesg.txt", "3.14.1", "Set 97 page(s)", "Set 97 page(s)"),
        ),
        (
            changed("pc-1g", "dmesg.txt", "6.1", "Released 0 page(s)", "Released 7 page(s)"),
            changed("pc-1g", "dmesg.txt", "6.12", "Released 0 page(s)", "Released 7 page(s)"),
        ),
    ],
    "XP702": [
        (
            changed("pc-1g", "dmesg.txt", "6.1", "3ffdffff] usable", "3ffbffff] usable"),
            recorded("pc-1g", "6.1"),
        )
    ],
    "XP703": [(log(boot_log("2.6.32-279.el6")), log(boot_log("3.2.0")))],
    "XP901": [(setup("dom0_enosys", "6.1"), setup("h8_dom0_512m", "6.1"))],
    "XP902": [(setup("rnd_06", "3.15"), setup("rnd_06", "6.1"))],
}

_PAIRS = [(code, pair) for code, pairs in CASES.items() for pair in pairs]
_NAMES = [f"{code}-{number}" for code, pairs in CASES.items() for number in range(len(pairs))]


def test_every_rule_has_a_case() -> None:
    assert sorted(CASES) == [rule.code for rule in all_rules()]


@pytest.mark.parametrize(("code", "pair"), _PAIRS, ids=_NAMES)
def test_rule(code: str, pair: tuple[Raising, Raising]) -> None:
    raising, near_miss = pair
    found = [finding for finding in raising() if finding.code == code]
    assert found
    for finding in found:
        assert finding.message
        assert finding.where
        assert finding.remedy
        assert finding.source
    assert code not in {finding.code for finding in near_miss()}
