"""What holds for all tests."""

from __future__ import annotations

import signal

from hypothesis import settings

settings.register_profile("xenp2m", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("xenp2m")


def pytest_configure() -> None:
    """Let tests interrupt what they start.

    A shell that runs the tests in the background has them ignore SIGINT, which their children would inherit.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
