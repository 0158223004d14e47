"""Pictures as SVG: the address map of guests, and the p2m as the tree that it is."""

from __future__ import annotations

from xenp2m.draw.svg.colours import Scheme, inline_rules, variables
from xenp2m.draw.svg.map import MapRow, map_svg
from xenp2m.draw.svg.marks import BarMark
from xenp2m.draw.svg.subjects import diff_svg, maps_svg, prediction_tree_svg, predictions_svg
from xenp2m.draw.svg.tree import tree_svg

__all__ = [
    "BarMark",
    "MapRow",
    "Scheme",
    "diff_svg",
    "inline_rules",
    "map_svg",
    "maps_svg",
    "prediction_tree_svg",
    "predictions_svg",
    "tree_svg",
    "variables",
]
