"""A real browser that opens pages: Debian's chromium, driven by Playwright.

The tests skip where there is none, and fail there instead if XENP2M_BROWSER=required.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from draw.page.machines import page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

Open = Callable[..., "Page"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser, started once."""
    program = os.environ.get("XENP2M_CHROMIUM") or shutil.which("chromium")
    if program is None:
        _absent("no chromium to open pages with (XENP2M_CHROMIUM names one)")
    if find_spec("playwright") is None:
        _absent("playwright is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        started = running.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a machine with a hole of 4 KiB and BARs past the p2m, under three kernels."""
    target = tmp_path_factory.mktemp("pages") / "report.html"
    target.write_text(page())
    return target


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Open a page and see that it neither complains nor asks the network for anything until the test ends."""
    complaints: list[str] = []
    contexts = []

    def opened(
        path: Path, fragment: str = "", *, width: int = 1280, scheme: Any = "light", **options: Any
    ) -> Page:
        options.setdefault("reduced_motion", "reduce")
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, **options
        )
        contexts.append(context)
        shown = context.new_page()
        shown.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        shown.on("pageerror", lambda error: complaints.append(str(error)))
        shown.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        shown.on("request", lambda request: complaints.append(request.url) if _asks(request.url) else None)
        shown.goto(f"{path.as_uri()}{fragment}")
        shown.wait_for_selector("html.ready")
        return shown

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def _absent(reason: str) -> NoReturn:
    if os.environ.get("XENP2M_BROWSER") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


def _asks(url: str) -> bool:
    return not url.startswith(("file:", "data:", "blob:"))
