"""The toolstack's own listings of a domU's frames, as frame maps.

The toolstack reads the list of frame lists that a guest publishes: whole pages of 1:1 frames are in it the
same as missing ones, and what lies past it is not told.
"""

from __future__ import annotations

import re

import numpy as np

from xenp2m.arch import X86_64
from xenp2m.check.diff import Side
from xenp2m.dump import Dump
from xenp2m.entry import Kind, decode_array
from xenp2m.errors import FormatError
from xenp2m.runs import END_OF_FRAMES, Ambiguous, RunMap

_ROW = re.compile(rb"^ *pfn=0x([0-9a-f]+) ==> mfn=0x([0-9a-f]+) ", re.MULTILINE)
_END = b" --- End of P2M"
_NO_RAM = (Kind.IDENTITY, Kind.FOREIGN, Kind.MISSING)


def of_core(dump: Dump, name: str) -> Side:
    """Return the section .xen_p2m of an ``xl dump-core``: all RAM, and nothing but it.

    Raises FormatError where there is none.
    """
    core = dump.core
    if core is None or core.mfns is None:
        raise FormatError("no list of frames", where=dump.name, expected=".xen_p2m")
    kinds = np.full(len(core.pfns), Kind.RAM, np.uint8)
    end = int(core.pfns.max(initial=0)) + 1
    return _side(name, RunMap.from_arrays(core.pfns, kinds, core.mfns, X86_64, end, Kind.MISSING), _NO_RAM)


def of_mfndump(text: bytes, name: str) -> Side:
    """Return what ``xen-mfndump dump-p2m`` printed.  Raises FormatError for another or an unfinished text."""
    end = text.find(_END)
    rows = [(int(pfn, 16), int(mfn, 16)) for pfn, mfn in _ROW.findall(text, 0, max(end, 0))]
    if end < 0 or not rows:
        raise FormatError("no list of frames", where="xen-mfndump dump-p2m", found=repr(text[:60]))
    table = np.array(rows, np.uint64)
    pfns = table[:, 0]
    kinds, mfns = decode_array(table[:, 1], X86_64)
    listed = RunMap.from_arrays(pfns, kinds, mfns, X86_64, int(pfns[-1]) + 1, Kind.MISSING)
    return _side(name, listed, (Kind.IDENTITY, Kind.MISSING))


def _side(name: str, listed: RunMap, among: tuple[Kind, ...]) -> Side:
    reason = "the toolstack does not tell"
    untold = [Ambiguous(run.pfn, run.end, among, reason) for run in listed if run.kind is Kind.MISSING]
    untold.append(Ambiguous(listed.end_pfn, END_OF_FRAMES, _NO_RAM, reason))
    return Side(name, listed, tuple(untold))
