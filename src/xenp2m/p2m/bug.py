"""The modelled kernel stops."""

from __future__ import annotations

from xenp2m.errors import Xenp2mError


class KernelBug(Xenp2mError):  # noqa: N818  (BUG is the kernel's own word)
    """The kernel would stop here: a BUG_ON holds, or it touches memory that is not there.

    ``condition`` says which.  What the call did before that point stays done.
    """

    def __init__(self, condition: str) -> None:
        super().__init__("the kernel stops", found=condition)
        self.condition = condition
