"""How frames are mapped, as templates: frames of a class differ in nothing but their own numbers.

The page fills a template in for the frame that one looks at.  A template is made from the first and the last
frame of a class, really mapped; where a text or an entry does not follow from the frame's own numbers
alone, the template says that it is about the first one only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as Dict
from collections.abc import Sequence
from typing import Any, NamedTuple

from xenp2m.check.bars import FrameClass, Verdict, simulate, verdict_of
from xenp2m.check.places import Place
from xenp2m.entry import Kind
from xenp2m.mmu.convert import ISA_END, ISA_START, Converter
from xenp2m.mmu.mappers import Mapper, Mapping, Step, map_frame
from xenp2m.mmu.pte import MFN_MASK, PTE_MASK, flag_names, layout_of
from xenp2m.units import PAGE_SHIFT

_HEX = re.compile(r"(0x[0-9a-f]+)")
_READ_BACK = ("unmap: ", "mprotect(")


class Sample(NamedTuple):
    """One frame mapped one way; ``mfn`` is the machine frame behind it where a p2m names one."""

    mapping: Mapping
    verdict: Verdict
    mfn: int | None = None


def layout_to_json(converter: Converter) -> dict[str, Any]:
    """Return what takes an entry of a kernel apart: its masks in hexadecimal and the names of flag bits."""
    rules, arch = converter.rules, converter.arch
    masks = layout_of(rules, arch)
    return {
        "rules": rules.name,
        "pfn_mask": hex(masks.pfn_mask),
        "word_mask": hex(arch.word_mask),
        "cut_mask": hex(arch.frame_mask),
        "present": flag_names(rules, arch),
        "absent": flag_names(rules, arch, present=False),
    }


def predicted_ways(converter: Converter, found: FrameClass, frames: Sequence[int]) -> list[dict[str, Any]]:
    """Return a template a way, in the order of Mapper, for the frames of one class of a prediction.

    ``frames`` are some of them that are really mapped: the first, the last.
    """
    ways = []
    for mapper in Mapper:
        mappings = [simulate(converter, mapper, frame, found) for frame in dict.fromkeys(frames)]
        samples = [Sample(mapping, verdict_of(mapping, found)) for mapping in mappings]
        ways.append(_template(samples, converter))
    return ways


def read_ways(converter: Converter, first: int, last: int, *, named: bool) -> list[dict[str, Any]]:
    """Return a template a way for frames of one kind of a map that was read.

    ``converter`` has that map; ``named`` says whether it knows the machine frames of RAM.  What unmapping and
    mprotect do is left out: it is up to the M2P.
    """
    ways = []
    for mapper in Mapper:
        samples = [
            _read_sample(converter, mapper, frame, named=named) for frame in dict.fromkeys((first, last))
        ]
        ways.append(_template(samples, converter, without=_READ_BACK))
    return ways


def _read_sample(converter: Converter, mapper: Mapper, frame: int, *, named: bool) -> Sample:
    arch = converter.arch
    word = converter.p2m.get(frame)
    kind = Kind.MISSING
    if word != arch.invalid:
        tagged = word & (arch.identity_bit | arch.foreign_bit)
        kind = {0: Kind.RAM, arch.identity_bit: Kind.IDENTITY}.get(tagged, Kind.FOREIGN)
    mapping = map_frame(converter, mapper, frame, system_ram=kind is Kind.RAM, ram_known=named)
    place = Place.RAM if kind is Kind.RAM else Place.ENTRY
    found = FrameClass(kind, place, ISA_START <= frame < ISA_END, frame < ISA_START)
    own = named and kind in (Kind.RAM, Kind.FOREIGN)
    return Sample(mapping, verdict_of(mapping, found), word & arch.frame_mask if own else None)


def _template(
    samples: Sequence[Sample], converter: Converter, without: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return what the page shows of a way; samples are of one class, so that one verdict holds for all."""
    first = samples[0]
    frames = [_frames(sample, converter) for sample in samples]
    entries = [sample.mapping.entry for sample in samples]
    protected = [None if without else sample.mapping.protected for sample in samples]
    steps = [
        [step for step in sample.mapping.steps if not step.text.startswith(without)]
        if without
        else list(sample.mapping.steps)
        for sample in samples
    ]
    words = [
        _known(frames=found, entry=entry, protected=after)
        for found, entry, after in zip(frames, entries, protected, strict=True)
    ]
    texts = _texts(steps, words)
    entry, after = _entry(entries, frames), _entry(protected, frames)
    way: dict[str, Any] = {"verdict": first.verdict.value, "entry": entry, "protected": after}
    if texts is None or (entry is None and None not in entries) or (after is None and None not in protected):
        way |= {
            "only": first.mapping.mfn,
            "entry": _literal(entries[0]),
            "protected": _literal(protected[0]),
        }
        texts = [step.text for step in steps[0]]
    way["steps"] = [[text, step.source] for text, step in zip(texts, steps[0], strict=True)]
    return way


def _frames(sample: Sample, converter: Converter) -> dict[str, int]:
    """Return the frame numbers that an entry can hold, by the names that the page knows them by."""
    mapping = sample.mapping
    found = {
        "frame": mapping.mfn,
        "number": mapping.number,
        "kept": mapping.number & converter.layout.pfn_mask >> PAGE_SHIFT,
        "cut": mapping.number & converter.arch.frame_mask,
    }
    return found if sample.mfn is None else {**found, "mfn": sample.mfn}


def _known(*, frames: Dict[str, int], entry: int | None, protected: int | None) -> dict[str, int]:
    entries = {"entry": entry, "protected": protected}
    return {**frames, **{name: value for name, value in entries.items() if value is not None}}


def _literal(entry: int | None) -> list[str] | None:
    return None if entry is None else [hex(entry), ""]


def _entry(entries: Sequence[int | None], frames: Sequence[Dict[str, int]]) -> list[str] | None:
    """Return an entry as ``[flags, name of the frame in it]``; the name is empty where it holds none.

    None where there is no entry, and where it is not made of such a frame and flags that are always the same.
    """
    values = [entry for entry in entries if entry is not None]
    if len(values) != len(entries):
        return None
    if len(set(values)) == 1:
        return _literal(values[0])
    for name in frames[0]:
        shifted = [found[name] << PAGE_SHIFT & PTE_MASK for found in frames]
        flags = {value ^ frame for value, frame in zip(values, shifted, strict=True)}
        if len(flags) == 1 and not min(flags) & MFN_MASK:
            return [hex(min(flags)), name]
    return None


def _texts(steps: Sequence[Sequence[Step]], words: Sequence[Dict[str, int]]) -> list[str] | None:
    """Return the texts with the numbers that follow from the frame replaced by ``{name}``; None if some do
    not."""
    if len({len(row) for row in steps}) != 1:
        return None
    texts = [_text([step.text for step in row], words) for row in zip(*steps, strict=True)]
    known = [text for text in texts if text is not None]
    return known if len(known) == len(texts) else None


def _text(texts: Sequence[str], words: Sequence[Dict[str, int]]) -> str | None:
    pieces = [_HEX.split(text) for text in texts]
    if len({len(row) for row in pieces}) != 1:
        return None
    found = []
    for row in zip(*pieces, strict=True):
        if len(set(row)) == 1:
            found.append(row[0])
            continue
        if not all(map(_HEX.fullmatch, row)):
            return None
        numbers = [int(number, 16) for number in row]
        names = [name for name in words[0] if [word.get(name) for word in words] == numbers]
        if not names:
            return None
        found.append(f"{{{names[0]}}}")
    return "".join(found)
