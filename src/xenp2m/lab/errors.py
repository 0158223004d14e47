"""What can go wrong in the lab."""

from __future__ import annotations

from xenp2m.errors import Xenp2mError


class LabError(Xenp2mError):
    """The lab cannot do what it is asked: a program or package is missing, or QEMU refused to start."""


class GuestError(LabError):
    """The booted machine failed: it panicked, went away, or said nothing within its time."""
