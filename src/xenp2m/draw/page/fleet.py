"""The page of a fleet: machines × kernels, where their RAM ends and their BARs lie, findings, every machine.

Figures are of all machines.  The list has the worst ``MOST_LISTED`` of them, and as many machines from its
head as fit are in the page with their BARs, maps and findings; the page says what it leaves out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from xenp2m.draw.page.encode import packed
from xenp2m.draw.page.fleet_figures import LEVELS, Ask, failures, findings, places, ram_ends, totals
from xenp2m.draw.page.fleet_machines import CHUNK, Listed
from xenp2m.draw.page.fleet_ranks import ranked, rest
from xenp2m.draw.page.render import render
from xenp2m.draw.palette import LOOKS, UNTOLD
from xenp2m.entry import Kind

if TYPE_CHECKING:
    from xenp2m.fleet.query import Fleet

FORMAT = "xenp2m.fleet-page/1"
MOST_LISTED = 2000
"""Machines with a row of their own; of the others only their levels are told."""

_STYLES = ("map.css", "fleet.css")
_SCRIPTS = (
    "numbers.js",
    "layer.js",
    "scale.js",
    "view.js",
    "ruler.js",
    "lanes.js",
    "bars.js",
    "map.js",
    "gestures.js",
    "fleet-data.js",
    "fleet-strip.js",
    "fleet-charts.js",
    "fleet-list.js",
    "fleet-machine.js",
    "fleet.js",
)


def render_fleet(fleet: Fleet, name: str, *, most_listed: int = MOST_LISTED) -> str:
    """Return the page of a fleet that is called ``name``, as HTML.

    Raises UsageError without the extra "html", and for a fleet whose tables cannot be read.
    """
    data = fleet_data(name, fleet.manifest.kernels, lambda sql: fleet.ask(sql).rows, most_listed=most_listed)
    return render(
        "fleet.html",
        data=data,
        styles=_STYLES,
        scripts=_SCRIPTS,
        fleet=data,
        looks=LEVELS,
    )


def fleet_data(
    name: str, kernels: Sequence[str], ask: Ask, *, most_listed: int = MOST_LISTED
) -> dict[str, Any]:
    """Return what the page carries: the ``xenp2m.fleet-page/1`` object."""
    codes = findings(ask, kernels)
    bins = places(ask, kernels)
    ranks = ranked(ask, kernels)
    listed = Listed(
        ask, kernels, ranks[:most_listed], [row[0] for row in codes], [(row[0], row[1]) for row in bins]
    )
    details = listed.details()
    return {
        "format": FORMAT,
        "name": name,
        "kernels": totals(ask, kernels),
        "levels": [list(level) for level in LEVELS],
        "kinds": [*(LOOKS[kind].word for kind in Kind), UNTOLD.word],
        "machines": len(ranks),
        "listed": min(len(ranks), most_listed),
        "detailed": min(len(details) * CHUNK, len(ranks), most_listed),
        "chunk": CHUNK,
        "columns": packed(listed.columns()),
        "rest": rest(ranks[most_listed:]),
        "outcomes": listed.outcomes,
        "details": details,
        "findings": codes,
        "ramEnds": ram_ends(ask),
        "places": bins,
        "failures": failures(ask),
    }
