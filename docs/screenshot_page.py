"""Take the picture of a page for the documentation: what ``predict --html`` writes, in a real browser.

Run from the checkout with ``.venv/bin/python docs/screenshot_page.py``; needs chromium (XENP2M_CHROMIUM names
another one) and the extra "html".
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from xenp2m.catalogue import lookup
from xenp2m.check.findings import check_capture
from xenp2m.draw.page import predictions_page
from xenp2m.files import write_atomically
from xenp2m.prediction import WhatIf, predict

DOCS = Path(__file__).resolve().parent
MACHINE = "catalogue:a1e81a7903a5"
KERNELS = ("3.15", "series", "6.1")
WIDTH, HEIGHT = 1360, 1000


def main() -> None:
    """Write docs/images/page.png."""
    program = os.environ.get("XENP2M_CHROMIUM") or shutil.which("chromium")
    if program is None:
        sys.exit("no chromium (XENP2M_CHROMIUM names one)")
    capture, memory = lookup(MACHINE).capture, WhatIf(dom0_mem="4G")
    predictions = [predict(capture, kernel, memory) for kernel in KERNELS]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = Path(folder) / "page.html"
        page.write_text(predictions_page(predictions, check_capture(capture, KERNELS, memory)))
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        shown = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        shown.goto(page.as_uri())
        shown.wait_for_selector("html.ready")
        picture = shown.screenshot()
        browser.close()
    target = DOCS / "images/page.png"
    target.parent.mkdir(exist_ok=True)
    write_atomically(target, picture)


if __name__ == "__main__":
    main()
