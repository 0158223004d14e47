"""Raw memory image: the byte at an offset is the byte at that machine address."""

from __future__ import annotations

import numpy as np

from xenp2m.dump.containers.base import Dump
from xenp2m.dump.memory import ExtentMemory, Image
from xenp2m.units import PAGE_SHIFT, PAGE_SIZE


def open_raw(image: Image) -> Dump:
    """Open a raw image of a whole host's memory; a partial page at the end is left out."""
    remarks: tuple[str, ...] = ()
    if image.size % PAGE_SIZE:
        remarks = (f"the image ends with {image.size % PAGE_SIZE} bytes of a partial page",)
    memory = ExtentMemory(image, np.array([[0, image.size >> PAGE_SHIFT, 0]], np.int64))
    return Dump(image.name, "raw memory image", memory, remarks=remarks)
