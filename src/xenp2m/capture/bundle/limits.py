"""What reading one bundle may cost, far above any real one and far below what hurts."""

from __future__ import annotations

from dataclasses import dataclass, field

from xenp2m.errors import LimitError
from xenp2m.units import GIB, KIB, MIB, format_size

MAX_MEMBERS = 200_000
"""Members of all archives of a bundle together; a sosreport has some ten thousand."""
CHUNK = 64 * KIB
"""How much is read at a time."""
MAX_ARCHIVES = 64
"""Archives in a bundle that are opened; others are passed over."""
MAX_REPORTS = 5000
"""The same where each may be a machine's report."""
MAX_DEPTH = 4
"""How deep archives lie in one another; a log packed in a report packed for a mail is three."""
MAX_FOLDERS = 32
"""How deep folders lie in one another."""
MAX_RATIO = 250
"""Bytes that come of each packed byte, over the whole bundle; repetitive logs reach 100 with xz."""
FREE = 64 * MIB
"""Bytes that may be unpacked whatever the ratio."""
MAX_UNPACKED = 16 * GIB
"""Bytes unpacked from all layers of a bundle together."""
MAX_TEXT = 32 * MIB
"""What is read of one member; what a boot says of memory stands in its first lines."""
MAX_KEPT = 128 * MIB
"""What is kept of all members together."""
MAX_EXAMINED = 2000
"""Members whose content is looked at in a bundle in which no name is known."""
MAX_FOUND = 16
"""Members that are read for their content."""
MAX_LISTED = 50_000
"""Files of a folder that are listed, from the top down."""
MAX_NAME = 4 * KIB
"""The length of a member's name, Linux's PATH_MAX."""


@dataclass
class Budget:
    """Counts what reading one bundle has cost; each method raises LimitError when it is too much.

    ``name`` is the bundle's.  ``packed`` and ``unpacked`` are bytes: those read of the bundle itself, and
    those that came of them in all layers.  ``most_archives`` is how many archives in it are opened.
    """

    name: str
    most_archives: int = MAX_ARCHIVES
    packed: int = 0
    unpacked: int = 0
    members: int = 0
    archives: int = 0
    _kept: int = field(default=0, repr=False)

    def unpack(self, size: int) -> None:
        """Count bytes that came out of a compressed stream."""
        self.unpacked += size
        if self.unpacked > FREE + MAX_RATIO * self.packed:
            raise LimitError(
                "compressed too well: this is no bundle of logs",
                where=self.name,
                expected=f"at most {MAX_RATIO} bytes from each",
                found=f"{format_size(self.unpacked)} from {format_size(self.packed)}",
            )
        if self.unpacked > MAX_UNPACKED:
            raise LimitError(
                "too much data", where=self.name, expected=f"at most {format_size(MAX_UNPACKED)}"
            )

    def member(self) -> None:
        """Count a member."""
        self.members += 1
        if self.members > MAX_MEMBERS:
            raise LimitError("too many members", where=self.name, expected=f"at most {MAX_MEMBERS}")

    def keep(self, size: int) -> None:
        """Count bytes that stay in memory; less than 0 of them are let go."""
        self._kept += size
        if self._kept > MAX_KEPT:
            raise LimitError(
                "too many logs in it", where=self.name, expected=f"at most {format_size(MAX_KEPT)} of text"
            )
