"""Lab runs: a line each on the terminal, and all of them on one page, as Markdown or HTML."""

from __future__ import annotations

from xenp2m.draw.lab.markdown import report
from xenp2m.draw.lab.page import report_page
from xenp2m.draw.lab.terminal import print_result, shapes_table

__all__ = ["print_result", "report", "report_page", "shapes_table"]
