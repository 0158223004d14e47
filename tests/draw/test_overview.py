from __future__ import annotations

from xenp2m.arch import X86_64
from xenp2m.draw.overview import legend, overview
from xenp2m.entry import Kind
from xenp2m.machine import E820Entry
from xenp2m.runs import Run, RunMap
from xenp2m.units import GIB

HOST = (E820Entry(0, 2 * GIB, 1), E820Entry(3 * GIB, 4 * GIB, 2), E820Entry(4 * GIB, 16 * GIB, 1))


def frame_map(beyond: Kind) -> RunMap:
    runs = [Run(0, 2 << 18, Kind.RAM, None), Run(2 << 18, 2 << 18, Kind.IDENTITY, None)]
    if beyond is Kind.IDENTITY:
        runs.append(Run(16 << 18, X86_64.max_p2m_pfn - (16 << 18), Kind.IDENTITY, None))
    return RunMap(X86_64, X86_64.max_p2m_pfn, beyond, runs)


def lines(*, unicode: bool, width: int = 100) -> list[str]:
    maps = {"3.15": frame_map(Kind.MISSING), "series": frame_map(Kind.IDENTITY)}
    bars = {"3.15": [(3 * GIB, True), (256 * GIB, False)], "series": [(3 * GIB, True), (256 * GIB, True)]}
    return [line.plain for line in overview(maps, HOST, bars, width=width, unicode=unicode)]


def test_every_map_has_its_line_and_its_bars_below() -> None:
    ruler, e820, before, before_bars, after, after_bars = lines(unicode=True)
    assert "4G" in ruler
    assert e820.startswith("E820")
    assert before.startswith("3.15")
    assert after.startswith("series")
    assert before_bars.count("✓") == before_bars.count("✗") == 1
    assert after_bars.count("✓") == 2
    column = before_bars.index("✗")
    assert (before[column], after[column]) == ("·", "▒")
    assert (before[before_bars.index("✓")], after[before_bars.index("✓")]) == ("▒", "▒")


def test_lines_fit_the_width() -> None:
    for width in (40, 80, 213):
        assert max(map(len, lines(unicode=True, width=width))) <= width


def test_ascii_where_there_is_no_unicode() -> None:
    assert all(line.isascii() for line in lines(unicode=False))
    assert legend(unicode=False).text.plain.isascii()


def test_a_map_without_bars_has_no_line_for_them() -> None:
    drawn = overview({"6.1": frame_map(Kind.IDENTITY)}, HOST, {}, width=80, unicode=True)
    assert len(drawn) == 3
