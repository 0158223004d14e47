"""Pictures as PNG, rendered with the fonts of this package, so that they look alike everywhere."""

from __future__ import annotations

import re
from pathlib import Path

from xenp2m.errors import UsageError

FONTS = Path(__file__).with_name("fonts")

_COVERED = re.compile(
    "[\n\u0020-\u007e\u00a0-\u024f\u0370-\u03ff\u0400-\u045f\u2010-\u2027\u2030-\u203a\u20ac\u2190-\u2193\u2713\u2717]*"
)
"""Characters that these fonts have; for others the system's fonts are looked at, which takes longer."""


def to_png(svg: str) -> bytes:
    """Render an SVG of this package, in the size that it has.

    Raises UsageError where the extra that renders is not installed.
    """
    try:
        from resvg_py import svg_to_bytes  # noqa: PLC0415 - an extra
    except ImportError:
        raise UsageError("PNG pictures need the extra \"png\": pip install 'xenp2m[png]'") from None
    return bytes(
        svg_to_bytes(
            svg_string=svg,
            skip_system_fonts=_COVERED.fullmatch(svg) is not None,
            font_files=[str(path) for path in sorted(FONTS.glob("*.ttf"))],
            sans_serif_family="DejaVu Sans",
            monospace_family="DejaVu Sans Mono",
        )
    )
