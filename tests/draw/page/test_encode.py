from __future__ import annotations

import base64
import json
import zlib

from xenp2m.arch import X86_64
from xenp2m.draw.page.encode import kinds_to_json, packed, packed_maps, runs_to_json, script_json
from xenp2m.entry import Kind
from xenp2m.runs import Run, RunMap


def test_no_string_can_end_the_script() -> None:
    hostile = ["</script>", "<!--<script>", "]]>", "&lt;", "\u2028", "\ud800"]
    text = script_json(hostile)
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == hostile


def test_large_columns_are_compressed_and_small_ones_are_not() -> None:
    assert packed([1, 2]) == [1, 2]
    value = list(range(50_000))
    small = packed(value)
    assert json.loads(zlib.decompress(base64.b64decode(small["deflate"]))) == value


def test_runs_are_columns_and_large_frames_are_texts() -> None:
    known = RunMap(X86_64, 100, Kind.IDENTITY, [Run(0, 10, Kind.RAM, 5), Run(10, 20, Kind.FOREIGN, 1 << 60)])
    assert runs_to_json(known) == {
        "pages": [10, 20, 70],
        "kinds": "023",
        "mfns": [5, "0x1000000000000000", None],
    }
    assert runs_to_json(RunMap(X86_64, 0, Kind.MISSING, [])) == {"pages": [], "kinds": "", "mfns": []}


def test_a_map_of_very_many_pieces_keeps_its_kinds() -> None:
    pieces = [Run(2 * index, 2, Kind.RAM, 1000 + 7 * (index * 7919 % 60_000)) for index in range(60_000)]
    large = RunMap(X86_64, 200_000, Kind.MISSING, pieces)
    small = RunMap(X86_64, 10, Kind.MISSING, [Run(0, 10, Kind.RAM, 1)])
    given, whole = packed_maps([small, large], 100_000)
    assert whole == [True, False]
    assert given[1] == kinds_to_json(large) == {"pages": [120_000, 80_000], "kinds": "03", "mfns": None}
    assert packed_maps([small, large], 10_000_000)[1] == [True, True]
