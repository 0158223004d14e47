"""The memory of a whole host: its guests, and Xen's M2P, frame table and struct domains (4.17 layout)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from writers.guest import Guest, Page
from xenp2m.dump import layout
from xenp2m.entry import NO_MFN, Kind


@dataclass
class Host:
    """What was written: pages by machine frame; ``root`` is Xen's own top-level page table."""

    guests: list[Guest]
    pages: dict[int, Page] = field(default_factory=dict)
    root: int = 0
    shared_infos: list[int] = field(default_factory=list)


def write_host(guests: list[Guest], *, xen: bool = True) -> Host:
    """Write a host with these guests (domain 0 first); ``xen=False`` leaves out all but the guests."""
    host = Host(guests)
    used = [
        run.mfn + run.pages
        for guest in guests
        for run in guest.map
        if run.kind is Kind.RAM and run.mfn is not None
    ]
    at = max(used, default=0) + 1
    for guest in guests:
        host.pages.update(guest.pages)

    def page(fill: int = 0) -> int:
        nonlocal at
        host.pages[at] = np.full(512, fill, np.uint64)
        at += 1
        return at - 1

    for guest in guests:
        mfn = page()
        host.pages[mfn] = np.frombuffer(guest.shared_info(), np.uint64)
        host.shared_infos.append(mfn)
    if not xen:
        return host
    host.root = page()
    host.pages[host.root][layout.SELF_MAP_SLOT] = (host.root << 12) | 0x63

    def enter(va: int, mfn: int) -> None:
        table = host.root
        for shift in (39, 30, 21):
            index = (va >> shift) & 511
            if not int(host.pages[table][index]) & 1:
                host.pages[table][index] = (page() << 12) | 0x63
            table = (int(host.pages[table][index]) & layout.FRAME_MASK) >> 12
        host.pages[table][(va >> 12) & 511] = (mfn << 12) | 0x63

    owners = {}
    for domid, shared in enumerate(host.shared_infos):
        domain = page()
        host.pages[domain][0] = domid
        host.pages[domain][2] = layout.DIRECT_MAP_START + (shared << 12)
        owners[domid] = domain
    m2p: dict[int, int] = {}
    infos: dict[int, int] = {}

    def set_owner(mfn: int, domid: int, kind: int) -> None:
        number = mfn * layout.PAGE_INFO_SIZE >> 12
        if number not in infos:
            infos[number] = page()
            enter(layout.FRAME_TABLE_START + (number << 12), infos[number])
        words = host.pages[infos[number]][(mfn % 128) * 4 :]
        words[1], words[2], words[3] = 1 << 56, (kind << layout.PGT_SHIFT) | 1, owners[domid]

    for domid, guest in enumerate(guests):
        for run in guest.map:
            if run.kind is not Kind.RAM or run.mfn is None:
                continue
            for index in range(run.pages):
                mfn = run.mfn + index
                if mfn >> 9 not in m2p:
                    m2p[mfn >> 9] = page(NO_MFN)
                    enter(layout.RW_M2P_START + ((mfn >> 9) << 12), m2p[mfn >> 9])
                host.pages[m2p[mfn >> 9]][mfn & 511] = run.pfn + index
                set_owner(mfn, domid, layout.PGT_L4 if mfn == guest.cr3 else 7)
        set_owner(host.shared_infos[domid], domid, 7)
    return host
