"""The steps of an explanation name the place, the p2m, the rule and every way of mapping."""

from __future__ import annotations

from check.guests import example, recorded
from xenp2m.boot.guest import OpKind, P2mOp
from xenp2m.check.explain import explain_bar, explain_frame
from xenp2m.machine import Bar
from xenp2m.mmu.mappers import Mapper
from xenp2m.units import GIB, MIB


def test_the_failing_scenario() -> None:
    machine, bars = recorded("k314-bar")
    text = "\n".join(step.text for step in explain_bar(machine, bars[0]))
    for phrase in ("E820 hole", "p2m: missing", "fixed by patch 2", "PTE 0x200", "Bad swap file entry"):
        assert phrase in text
    for mapper in Mapper:
        assert mapper.label in text


def test_what_setup_did_is_told() -> None:
    plain = example("3.15")
    limit = plain.config.arch.max_p2m_pfn
    ops = (P2mOp(OpKind.IDENTITY, 0xD0000, 0x100000), P2mOp(OpKind.IDENTITY, 0x480000, limit))
    machine = type(plain)(**{name: getattr(plain, name) for name in plain.__slots__} | {"ops": ops})
    texts = [step.text for step in explain_frame(machine, 0xE0000)]
    assert "memory setup: set_phys_range_identity(0xd0000, 0x100000): 1:1" in texts
    assert any("refused as a whole" in step.text for step in explain_frame(machine, 0x500000))


def test_each_part_of_a_bar_is_explained() -> None:
    steps = explain_bar(example("series"), Bar("0000:03:00.0", 0, 18 * GIB - MIB, 2 * MIB))
    texts = [step.text for step in steps]
    assert sum(text.startswith("frames [") for text in texts) == 2
    assert "breaks at frame 0x47ff00; 1 MiB are affected" in texts


def test_ram_of_a_prediction_has_no_address() -> None:
    texts = " ".join(step.text for step in explain_frame(example("series"), 0x140000))
    assert "reaches the guest's own RAM" in texts
    assert "PTE" not in texts.split("PCI sysfs")[1].split("/dev/mem")[0]
