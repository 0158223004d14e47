"""What code that only looks up needs to know of a p2m, whatever its shape."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xenp2m.arch import Arch


class P2m(Protocol):
    """A p2m that can be looked up.

    Words are raw: INVALID, a machine frame, or a frame with the foreign or the identity bit (xenp2m.entry).
    Any frame number of the architecture's width may be asked for; one past the end of the p2m gets what that
    kernel answers there.
    """

    @property
    def arch(self) -> Arch:
        """The guest's architecture."""

    @property
    def auto_translated(self) -> bool:
        """Whether Xen translates for the guest (XENFEAT_auto_translated_physmap): frames are then 1:1."""

    def get(self, pfn: int) -> int:
        """Return the raw word of one frame (get_phys_to_machine; __pfn_to_mfn for the linear list)."""

    def get_array(self, pfns: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the raw words (uint64) of many frames (uint64, any shape), in their shape."""
