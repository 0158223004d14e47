"""What a page carries, as compact JSON that is safe inside HTML."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

from xenp2m.draw.maps import by_kind
from xenp2m.entry import NO_MFN
from xenp2m.runs import RunMap

_PLAIN = 100_000
_EXACT = 1 << 53
_HTML = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)


def script_json(value: Any) -> str:
    """Return a value as JSON that no HTML parser can take for markup, whatever strings are in it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).translate(_HTML)


def packed(value: Any, plain: int = _PLAIN) -> Any:
    """Return a value as it is up to ``plain`` characters, else ``{"deflate": base64 of compressed JSON}``."""
    text = json.dumps(value, separators=(",", ":"))
    if len(text) <= plain:
        return value
    return {"deflate": base64.b64encode(zlib.compress(text.encode(), 9)).decode()}


def runs_to_json(known: RunMap) -> dict[str, Any]:
    """Return the runs of a map as three parallel columns: pages, kinds (a digit each), machine frames.

    A machine frame is null where there is none to name, and a hexadecimal text where a JavaScript number
    could not hold it.
    """
    ends = [*known.starts.tolist()[1:], known.end_pfn]
    mfns: list[int | str | None] = [
        None if mfn == NO_MFN else mfn if mfn < _EXACT else hex(mfn) for mfn in known.mfns.tolist()
    ]
    return {
        "pages": [end - start for start, end in zip(known.starts.tolist(), ends, strict=True)]
        if mfns
        else [],
        "kinds": "".join(map(str, known.kinds.tolist())),
        "mfns": mfns,
    }


def kinds_to_json(known: RunMap) -> dict[str, Any]:
    """Return the runs of a map by kind alone, without machine frames: for maps of very many pieces."""
    joined = [run for run, _ in by_kind(known.without_mfns())]
    return {
        "pages": [run.pages for run in joined],
        "kinds": "".join(str(int(run.kind)) for run in joined),
        "mfns": None,
    }


def packed_maps(maps: list[RunMap], budget: int) -> tuple[list[Any], list[bool]]:
    """Pack the runs of several maps into ``budget`` characters together.

    The largest maps are given by kind alone, one after the other, until all fit; the second answer says which
    are whole.  Maps that do not fit even so are given as they are: the page then is as large as it must be.
    """
    given = [packed(runs_to_json(known)) for known in maps]
    whole = [True] * len(maps)
    sizes = [len(json.dumps(value)) for value in given]
    for index in sorted(range(len(maps)), key=lambda index: -sizes[index]):
        if sum(sizes) <= budget:
            break
        given[index], whole[index] = packed(kinds_to_json(maps[index])), False
        sizes[index] = len(json.dumps(given[index]))
    return given, whole
