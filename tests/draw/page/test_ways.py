"""Templates say of every frame of their class what mapping that very frame says."""

from __future__ import annotations

import base64
import json
import random
import re
import zlib
from bisect import bisect_right
from pathlib import Path
from typing import Any

import pytest

from cli.program import CAPTURES
from draw.page.machines import MACHINE
from xenp2m.arch import X86_64
from xenp2m.capture import read_files
from xenp2m.check.explain import explain_kind, map_guest_frame
from xenp2m.draw.page.encode import script_json
from xenp2m.draw.page.layers import predicted_layer, read_layer
from xenp2m.entry import Kind
from xenp2m.mmu.pte import layout_of
from xenp2m.prediction import Prediction, WhatIf, predict
from xenp2m.rules import rules_for
from xenp2m.runs import Run, RunMap
from xenp2m.units import PAGE_SHIFT

OVMF = CAPTURES / "ovmf-q35"


def numbers(prediction: Prediction, mapper: str, frame: int) -> dict[str, int | None]:
    """What the page works out of a frame's number, as pte.js does."""
    arch = prediction.guest.config.arch
    number = frame & arch.word_mask
    kept = number & layout_of(prediction.rules, arch).pfn_mask >> PAGE_SHIFT
    if mapper == "ioremap":
        number = kept
    return {"frame": frame, "number": number, "kept": kept, "cut": number & arch.frame_mask}


def filled(template: list[str] | None, known: dict[str, int | None]) -> int | None:
    if template is None:
        return None
    flags, name = template
    frame = known[name] if name else 0
    assert frame is not None
    return int(flags, 16) | frame << PAGE_SHIFT


def spelled(text: str, words: dict[str, int | None]) -> str:
    def number(found: re.Match[str]) -> str:
        value = words[found[1]]
        assert value is not None
        return hex(value)

    return re.sub(r"\{(\w+)\}", number, text)


def ways_at(about: dict[str, Any], frame: int) -> list[dict[str, Any]]:
    wrap = about["wrap"]
    number = frame if frame < 2 * wrap else wrap + frame % wrap
    index = bisect_right(about["pieces"]["starts"], number) - 1
    ways: list[dict[str, Any]] = about["ways"][about["pieces"]["way"][index]]
    return ways


def about_of(prediction: Prediction) -> dict[str, Any]:
    """A layer's columns, with what keeps large ones small undone."""

    def unpacked(value: Any) -> Any:
        if isinstance(value, dict) and "deflate" in value:
            return json.loads(zlib.decompress(base64.b64decode(value["deflate"])))
        return value

    return {name: unpacked(value) for name, value in predicted_layer(prediction).about.items()}


def predicted(source: Path | None, kernel: str, bits: int) -> Prediction:
    capture = MACHINE if source is None else read_files([source])
    return predict(capture, kernel, WhatIf(bits=bits))


@pytest.mark.parametrize(
    ("source", "kernel", "bits"),
    [
        (None, "3.2", 64),
        (None, "3.15", 64),
        (None, "3.15", 32),
        (None, "3.16", 64),
        (None, "series", 64),
        (None, "3.18", 32),
        (None, "6.1", 64),
        (OVMF, "3.15", 64),
        (OVMF, "6.1", 64),
    ],
)
def test_templates_agree_with_the_frames_themselves(source: Path | None, kernel: str, bits: int) -> None:
    prediction = predicted(source, kernel, bits)
    about = about_of(prediction)
    chance = random.Random(1)
    frames = {start + offset for start in about["pieces"]["starts"] for offset in (-1, 0, 1, 0x777)}
    frames |= {chance.randrange(1 << chance.randrange(1, 40)) for _ in range(150)}
    told = 0
    for frame in sorted(frame for frame in frames if 0 <= frame < 1 << 40):
        for way, (mapping, verdict) in zip(
            ways_at(about, frame), map_guest_frame(prediction.guest, frame), strict=True
        ):
            assert way["verdict"] == verdict.value
            if way.get("only", frame) != frame:
                continue
            known = numbers(prediction, mapping.mapper.value, frame)
            assert filled(way["entry"], known) == mapping.entry, hex(frame)
            assert filled(way["protected"], known) == mapping.protected, hex(frame)
            words = {**known, "entry": mapping.entry, "protected": mapping.protected}
            texts = [spelled(text, words) for text, _ in way["steps"]]
            assert texts == [step.text for step in mapping.steps], hex(frame)
            told += 1
    assert told > 500


@pytest.mark.parametrize("kernel", ["3.15", "series", "6.1"])
def test_no_frame_below_64_tib_needs_a_template_of_its_own(kernel: str) -> None:
    about = about_of(predicted(None, kernel, 64))
    for start, place in zip(about["pieces"]["starts"], about["pieces"]["way"], strict=True):
        if start < 1 << 34:
            assert not [way for way in about["ways"][place] if "only" in way], hex(start)


def test_reasons_are_those_of_explain() -> None:
    prediction = predicted(None, "3.15", 64)
    about = about_of(prediction)
    for frame in (0, 0xA5, 0x40000, 0x123456, 0x8000000, 0x38000000):
        index = bisect_right(about["pieces"]["starts"], frame) - 1
        rule, *before = about["whys"][about["pieces"]["why"][index]]
        steps = [[step.text, step.source] for step in explain_kind(prediction.guest, frame)]
        assert [*before, rule] == steps


def dump_ways() -> dict[str, Any]:
    known = RunMap(X86_64, 1 << 27, Kind.IDENTITY, [Run(0, 0x1000, Kind.RAM, 0x7000)])
    ways: dict[str, Any] = read_layer("dump", known, rules=rules_for("6.1")).about["ways"]
    return ways


def test_a_missing_frame_gives_no_frame_to_fill_in() -> None:
    ways = dump_ways()
    assert all(way["entry"] is None or way["entry"][1] != "mfn" for zone in ways["missing"] for way in zone)
    empty = (None, ["0x0", ""], ["0x200", ""])
    assert all(way["entry"] in empty for way in ways["missing"][-1][:4])


def test_ram_of_a_dump_is_mapped_with_its_machine_frame_where_that_is_known() -> None:
    ways = dump_ways()
    assert ways["ram"][0][2]["entry"][1] == "mfn"
    for zone in ways["ram?"]:
        for way in zone:
            assert way["entry"] is None or way["entry"][1] == "frame"
            assert "{mfn}" not in script_json(way)
            assert "which is not the device's" not in script_json(way)
