"""The rule that decides a frame, in words: why it is missing, 1:1 or RAM, and which patch changes that."""

from __future__ import annotations

from xenp2m.arch import Arch
from xenp2m.check.places import Place
from xenp2m.entry import Kind
from xenp2m.rules import DiscardedRam, Rules, Structure
from xenp2m.units import format_frames

_SETUP = "arch/x86/xen/setup.c"
_P2M = "arch/x86/xen/p2m.c"
_MMU = "arch/x86/xen/mmu.c"


def reason(rules: Rules, arch: Arch, kind: Kind, place: Place, past: str) -> tuple[str, str]:
    """Return the rule and the file it was read in.

    ``past`` is "" for a frame within all limits, "marker" for a 32-bit frame that reaches into the marker
    bits of its p2m word, "frame" for one that does not fit in the frame number or PTE, "pte" for one that
    hardware cannot address.
    """
    if past == "pte":
        return "beyond the 52 address bits of a PTE", "Intel SDM volume 3, 4.4"
    if past == "frame" and arch.bits == 32:
        return "32-bit frame numbers end at 16 TiB: the number is cut to 32 bits", "asm/xen/page.h"
    if past == "frame" and kind is not Kind.IDENTITY:
        return (
            f"beyond the {rules.pte_frame_end} address bits of this kernel's PTE frame mask",
            "asm/page_types.h",
        )
    if past == "marker" and kind is Kind.IDENTITY:
        return "32-bit: past 4 TiB the identity word's marker bits are bits of the frame", _MMU
    if kind is Kind.RAM:
        return "guest RAM: the p2m answers with that RAM's machine frames", _SETUP
    if kind is Kind.FOREIGN:
        return "a frame of another domain is mapped there", _P2M
    if kind is Kind.IDENTITY:
        return _identity(rules, arch, place)
    return _missing(rules, arch, place, past)


def _limit(arch: Arch) -> str:
    return format_frames(arch.max_p2m_pfn)


def _identity(rules: Rules, arch: Arch, place: Place) -> tuple[str, str]:
    if place is Place.PAST_P2M:
        return f"past MAX_P2M_PFN ({_limit(arch)}): the lookup answers 1:1 (patch 5)", _P2M
    if place is Place.PAST_E820 and rules.structure is Structure.TREE:
        return "past the end of the E820 map: 1:1 (patch 5)", _SETUP
    if place is Place.PAST_E820:
        return "past the end of the E820 map: 1:1 in the p2m list", _P2M
    if place is Place.RAM and rules.discarded_ram is DiscardedRam.DROPPED:
        return "host RAM that the domain does not have: dropped from its map, so 1:1", _SETUP
    return f"{_WORDS[place]}: 1:1", _SETUP


def _missing(rules: Rules, arch: Arch, place: Place, past: str) -> tuple[str, str]:
    if place is Place.BALLOON:
        return "balloon space: p2m missing, so that the domain's memory can grow there", _SETUP
    if past == "marker" and rules.high_identity:
        return "the frame number of all ones reads as INVALID_P2M_ENTRY", _P2M
    if place is Place.PAST_P2M:
        return f"past MAX_P2M_PFN ({_limit(arch)}): the lookup returns INVALID; fixed by patch 5", _P2M
    if place is Place.PAST_E820 and not rules.identity_tail:
        return "past the end of the E820 map: p2m missing; fixed by patch 5", _SETUP
    if place is Place.PAST_E820 and not rules.clamp_identity_range:
        text = (
            "past the end of the E820 map: the 1:1 range ends past the p2m and is refused; fixed by patch 2"
        )
        return text, _P2M
    if place is Place.REFUSED:
        return f"1:1 range that reaches {_limit(arch)} is refused as a whole; fixed by patch 2", _P2M
    if place is Place.RAM:
        return "host RAM that the domain does not have: p2m missing", _SETUP
    return f"{_WORDS[place]}, yet p2m missing", _SETUP


_WORDS = {
    Place.RAM: "RAM in the E820 map",
    Place.BALLOON: "balloon space",
    Place.ENTRY: "reserved in the E820 map",
    Place.HOLE: "E820 hole",
    Place.REFUSED: "E820 hole",
    Place.PAST_E820: "past the end of the E820 map",
    Place.PAST_P2M: "past the end of the p2m",
}
