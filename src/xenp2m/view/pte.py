"""Page table entries taken apart, bit by bit, as one kernel names them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.text import Text

from xenp2m.arch import Arch
from xenp2m.draw.palette import BAD, DIM, GOOD
from xenp2m.mmu.mappers import Mapping
from xenp2m.mmu.pte import PRESENT, describe, flag_names, layout_of
from xenp2m.rules import Rules
from xenp2m.units import PAGE_SHIFT
from xenp2m.view.scene import Row


def rows_of_mappings(mappings: Iterable[Mapping], rules: Rules, arch: Arch) -> Iterator[Row]:
    """Yield what each way of mapping writes, ways with the same entry together."""
    by_entry: dict[int | str, list[Mapping]] = {}
    for mapping in mappings:
        told = mapping.refused or (mapping.access.text if mapping.access is not None else "")
        by_entry.setdefault(told if mapping.entry is None else mapping.entry, []).append(mapping)
    for entry, alike in by_entry.items():
        names = ", ".join(mapping.mapper.label for mapping in alike)
        if isinstance(entry, str):
            yield Row(Text.assemble((f"{names}: ", "bold"), entry))
            continue
        good = all(mapping.reaches for mapping in alike)
        yield Row(Text.assemble((f"{names}: ", "bold"), (f"PTE {entry:#x}", GOOD if good else BAD)))
        yield Row(bits_of(entry, rules, arch))
        if (access := alike[0].access) is not None:
            yield Row(Text(f"  access: {access.text}"))


def bits_of(entry: int, rules: Rules, arch: Arch) -> Text:
    """Return an entry's bits from the highest down: those that are set, and between them its frame.

    An entry that is not present names no frame.
    """
    known = describe(entry, rules, arch)
    masks = layout_of(rules, arch)
    names = flag_names(rules, arch, present=bool(entry & PRESENT))
    frame_at = masks.pfn_mask.bit_length() - 1
    text = Text("  ")
    parts = [f"{bit} {names[bit]}" for bit in sorted(names, reverse=True) if entry >> bit & 1]
    above = sum(bit > frame_at for bit in names if entry >> bit & 1)
    if entry & PRESENT:
        parts.insert(above, f"{frame_at}-{PAGE_SHIFT} frame {known.frame:#x}")
    for number, part in enumerate(parts):
        text.append(" · " if number else "", style=DIM)
        text.append(part)
    if not entry & PRESENT:
        text.append("  not present: no frame" if parts else "empty: no frame", style=BAD)
    return text
