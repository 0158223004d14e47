"""Draw the README's screenshot: what ``make demo`` prints, as an SVG.

Run from the checkout with ``make screenshot``.
"""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from xenp2m.catalogue import lookup
from xenp2m.draw.prediction import print_predictions
from xenp2m.files import write_atomically
from xenp2m.prediction import WhatIf, predict

DOCS = Path(__file__).resolve().parent
MACHINE = "catalogue:a1e81a7903a5"
KERNELS = ("3.15", "series")


def main() -> None:
    """Write docs/images/predict.svg."""
    capture = lookup(MACHINE).capture
    console = Console(
        record=True,
        width=116,
        force_terminal=True,
        color_system="truecolor",
        file=io.StringIO(),
        highlight=False,
    )
    predictions = [predict(capture, kernel, WhatIf(dom0_mem="4G")) for kernel in KERNELS]
    print_predictions(predictions, console, all_bars=False, log=False)
    options = " ".join(f"--kernel {kernel}" for kernel in KERNELS)
    svg = console.export_svg(title=f"xenp2m predict {MACHINE} {options} --dom0-mem 4G", theme=MONOKAI)
    # The exporter links a web font; a picture in a repository must not fetch anything.
    start, end = svg.index("@font-face"), svg.rindex("@font-face")
    end = svg.index("}", end) + 1
    target = DOCS / "images/predict.svg"
    target.parent.mkdir(exist_ok=True)
    write_atomically(target, (svg[:start] + svg[end:]).encode())


if __name__ == "__main__":
    main()
