"""The colours of the pictures, by what they are for, in a light and a dark scheme.

A picture names its colours twice: as plain attributes in one scheme, which every program understands, and as
classes ``xp-f-ROLE`` (fill) and ``xp-s-ROLE`` (stroke), which a style sheet can override.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from xenp2m.entry import Kind


class Scheme(StrEnum):
    """Which colours a picture has; AUTO follows the reader's preference and is light where none is known."""

    AUTO = "auto"
    LIGHT = "light"
    DARK = "dark"


class Colour(NamedTuple):
    """One colour in both schemes."""

    light: str
    dark: str


COLOURS = {
    "paper": Colour("#ffffff", "#14181d"),
    "page": Colour("#f6f8fa", "#1e242b"),
    "ink": Colour("#17202a", "#e8edf2"),
    "dim": Colour("#5b6673", "#a3b0bd"),
    "line": Colour("#8895a3", "#6b7886"),
    "faint": Colour("#d5dbe1", "#38424d"),
    "link": Colour("#fdf0c8", "#3d3420"),
    "ram": Colour("#2a65ad", "#6ea8ea"),
    "identity": Colour("#0f7a4d", "#46c48f"),
    "foreign": Colour("#84389e", "#cf97ea"),
    "missing": Colour("#b9321f", "#ff8f7d"),
    "untold": Colour("#8a6000", "#e3b04b"),
}
"""Light and dark, by role.  ``ink``, ``dim`` and the kinds can be read as text on paper, page and link (a
contrast of at least 4.5 to 1); ``line`` has 3 to 1 on paper."""

GOOD, BAD = "identity", "missing"


def role_of(kind: Kind | None) -> str:
    """Return the role that a kind's colour has; None is "cannot tell"."""
    return "untold" if kind is None else kind.label


def value_of(role: str, scheme: Scheme) -> str:
    """Return a colour as it is written in an attribute; AUTO writes the light one."""
    return COLOURS[role].dark if scheme is Scheme.DARK else COLOURS[role].light


def dark_rules() -> str:
    """Return the CSS that makes a standalone picture dark for readers who prefer that."""
    rules = "".join(
        f".xp-f-{role}{{fill:{colour.dark}}}.xp-s-{role}{{stroke:{colour.dark}}}"
        for role, colour in COLOURS.items()
    )
    return f"@media (prefers-color-scheme:dark){{{rules}}}"


def inline_rules() -> str:
    """Return the CSS for pictures inside a page: every colour is a variable ``--xp-ROLE`` of the page."""
    colours = "".join(
        f".xp-f-{role}{{fill:var(--xp-{role})}}.xp-s-{role}{{stroke:var(--xp-{role})}}" for role in COLOURS
    )
    return f".xp{{max-width:100%;height:auto}}{colours}"


def variables(scheme: Scheme) -> str:
    """Return the declarations of these variables in one scheme."""
    return "".join(f"--xp-{role}:{value_of(role, scheme)};" for role in COLOURS)
