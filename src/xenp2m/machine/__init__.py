"""What firmware and hypervisor say of a machine: its E820, its PCI BARs, the RAM given to the guest."""

from xenp2m.machine.e820 import E820Entry, E820Type, type_name
from xenp2m.machine.json import machine_from_json, machine_to_json
from xenp2m.machine.machine import Machine, MapSource
from xenp2m.machine.pci import Bar, BarKind, Window, format_bdf, parse_bdf

__all__ = [
    "Bar",
    "BarKind",
    "E820Entry",
    "E820Type",
    "Machine",
    "MapSource",
    "Window",
    "format_bdf",
    "machine_from_json",
    "machine_to_json",
    "parse_bdf",
    "type_name",
]
