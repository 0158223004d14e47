"""The list of extra memory: the ranges that the balloon driver may populate (xen_extra_mem)."""

from __future__ import annotations

from xenp2m.boot.e820 import ADDRESS_MASK

SLOTS = 128


class ExtraMemory:
    """The kernel's 128 slots, in bytes (arch/x86/xen/setup.c of Linux 3.12 and 6.4).

    Slots are ``[start, size]``; a size can go below zero in the kernel's 64-bit arithmetic and then is huge.
    """

    __slots__ = ("slots",)

    def __init__(self) -> None:
        self.slots: list[list[int]] = []

    def add(self, start: int, size: int) -> bool:
        """Enter a range into the first free slot, or grow the slot that ends where it starts.

        Returns whether there was room.
        """
        size &= ADDRESS_MASK
        for slot in self.slots:
            if slot[1] == 0:
                slot[:] = start, size
                return True
            if (slot[0] + slot[1]) & ADDRESS_MASK == start:
                slot[1] = (slot[1] + size) & ADDRESS_MASK
                return True
        if len(self.slots) >= SLOTS:
            return False
        self.slots.append([start, size])
        return True

    def remove(self, start: int, size: int) -> str | None:
        """Take a range out of the slot that it begins, ends or lies in.

        Returns the condition of the BUG_ON that stops the kernel when the range reaches past the slot, else
        None.  A range that touches no slot in these ways is left alone.
        """
        end = start + size
        for slot in self.slots:
            slot_start, slot_size = slot
            slot_end = (slot_start + slot_size) & ADDRESS_MASK
            if slot_start == start:
                if size > slot_size:
                    return "n_pfns > size_r"
                slot[:] = slot_start + size, slot_size - size
                return None
            if slot_end == end:
                if size > slot_size:
                    return "n_pfns > size_r"
                slot[1] -= size
                return None
            if slot_start < start < slot_end:
                if end > slot_end:
                    return "start_pfn + n_pfns > start_r + size_r"
                slot[1] = start - slot_start
                self.add(end, slot_end - end)
                return None
        return None

    def regions(self) -> tuple[tuple[int, int], ...]:
        """Return the ranges ``(start, end)`` of the slots in use, in slot order."""
        return tuple((start, (start + size) & ADDRESS_MASK) for start, size in self.slots if size)
