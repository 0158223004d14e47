"""Take the picture of the viewer in docs/terminal.md: a machine of the catalogue, two kernels, one frame.

Run from the checkout: ``python docs/screenshot_view.py``.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from xenp2m.catalogue import lookup
from xenp2m.files import write_atomically
from xenp2m.prediction import WhatIf, predict
from xenp2m.view.app import ViewerApp
from xenp2m.view.predicted import predicted_layer
from xenp2m.view.scene import Scene

TARGET = Path(__file__).resolve().parent / "images/view.svg"
MACHINE = "catalogue:a1e81a7903a5"
KERNELS = ("3.15", "series")
SIZE = (120, 40)
KEYS = ("slash", *"82:00.0", "slash", "0", "enter", "minus", "minus", "minus", "enter")


def scene() -> Scene:
    """Return the machine under both kernels, as ``xenp2m view`` shows it."""
    capture, what_if = lookup(MACHINE).capture, WhatIf(dom0_mem="4G")
    predictions = [predict(capture, kernel, what_if) for kernel in KERNELS]
    layers = tuple(predicted_layer(prediction, capture, what_if) for prediction in predictions)
    return Scene(capture.machine.name, layers, predictions[0].guest.config.e820 or ())


async def picture() -> str:
    """Open the viewer, look for a BAR, ask why it does not map, and return what is seen as SVG."""
    app = ViewerApp(scene())
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press(*KEYS)
        await pilot.pause()
        options = " ".join(f"--kernel {kernel}" for kernel in KERNELS)
        return app.export_screenshot(title=f"xenp2m view {MACHINE} {options} --dom0-mem 4G", simplify=True)


def main() -> None:
    """Write docs/images/view.svg."""
    svg = asyncio.run(picture())
    # The exporter links a web font; a picture in a repository must not fetch anything.
    svg = re.sub(r"@font-face \{.*?\}|<!--.*?-->", "", svg, flags=re.DOTALL)
    write_atomically(TARGET, "\n".join(line for line in svg.splitlines() if line.strip()).encode() + b"\n")


if __name__ == "__main__":
    main()
