"""Collecting a capture in a guest: the texts that a person would paste, and the addresses of symbols."""

from __future__ import annotations

from collections.abc import Mapping

from xenp2m.lab.console import Talk
from xenp2m.lab.errors import GuestError

_MEMMAP = (
    "cd /sys/firmware/memmap && for d in $(ls | sort -n);"
    " do echo $d $(cat $d/start) $(cat $d/end) $(cat $d/type); done"
)
_PCI = (
    "cd /sys/bus/pci/devices && for d in *;"
    " do echo device $d vendor $(cat $d/vendor) device $(cat $d/device) class $(cat $d/class);"
    " cat $d/resource; done"
)
_BALLOON = (
    "for f in $(find /sys/devices/system/xen_memory -type f ! -name uevent | sort);"
    " do echo $f: $(cat $f 2>/dev/null); done"
)

TEXTS: Mapping[str, str] = {
    "dmesg.txt": "dmesg",
    "iomem.txt": "cat /proc/iomem",
    "memmap.txt": _MEMMAP,
    "pci.txt": _PCI,
    "balloon.txt": _BALLOON,
    "meminfo.txt": "cat /proc/meminfo",
}
"""The files of a capture that a guest gives, and the line of shell that prints each."""

REQUIRED = frozenset({"dmesg.txt", "iomem.txt"})
"""Those that every kernel has; one that is built without the others gives a capture without them."""

XEN_CONSOLE = "xen-console.txt"
KALLSYMS = "kallsyms.txt"
XENSYMS = "xensyms.txt"

_SYMBOLS = (
    "xen_p2m_addr|xen_p2m_size|xen_max_p2m_pfn|xen_p2m_last_pfn|xen_start_info|p2m_[a-z_]+|init_top_pgt"
    "|init_mm|linux_banner|page_offset_base|HYPERVISOR_shared_info|machine_to_phys_[a-z]+|level[0-9a-z_]+_pgt"
)
_KALLSYMS = f"grep -E ' ({_SYMBOLS})$' /proc/kallsyms"


def collect(talk: Talk) -> dict[str, str]:
    """Return the texts of a capture by file name.  Raises GuestError where a required one is not given."""
    texts = {name: _text(talk, name, command) for name, command in TEXTS.items()}
    return {name: text for name, text in texts.items() if text is not None}


def xen_console(log: str) -> str:
    """Return Xen's own lines of what came on its serial port."""
    return "\n".join(line for line in log.splitlines() if line.startswith("(XEN)")) + "\n"


def kernel_symbols(talk: Talk) -> str:
    """Return the kernel's own symbols that reading its p2m needs, as /proc/kallsyms has them; "" if none."""
    return _text(talk, KALLSYMS, _KALLSYMS) or ""


def xen_symbols(talk: Talk) -> str:
    """Return Xen's own symbols, as dom0 has them where xenfs is mounted; "" if none."""
    return _text(talk, XENSYMS, "cat /proc/xen/xensyms") or ""


def _text(talk: Talk, name: str, command: str) -> str | None:
    answer = talk.ask(command)
    text = answer.text.strip()
    if text and not answer.status:
        return answer.text
    if name in REQUIRED:
        raise GuestError("the guest cannot give a text", where=name, found=text[:200] or "nothing")
    return None
