"""Flattened kdump files: records of (offset, size, data) that build the real file.

Source: makedumpfile's documentation of ``-F``; QEMU writes it too.  Numbers are big-endian.  The records
are indexed, not rearranged, so that nothing is copied; where records overlap the later one counts.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right

from xenp2m.dump.memory import Image
from xenp2m.errors import FormatError, LimitError

FLAT_MAGIC = b"makedumpfile\0"
_HEADER_SIZE = 4096
_RECORD = struct.Struct(">qq")
_MAX_RECORDS = 1 << 24
_MAX_OFFSET = 1 << 50


class PlainBytes:
    """A file that is what it seems."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.name = image.name
        self.size = image.size

    def read(self, offset: int, size: int, what: str) -> bytes:
        """Copy bytes.  Raises FormatError past the end."""
        return self.image.bytes(offset, size, what)


class FlatBytes:
    """The file that the records of a flattened file build."""

    def __init__(self, image: Image) -> None:
        """Index the records.  Raises FormatError, also when the closing record is missing."""
        self.image = image
        self.name = image.name
        kind, version = _RECORD.unpack(image.bytes(16, 16, "the flattened header"))
        if (kind, version) != (1, 1):
            raise FormatError(
                "unknown flattened file",
                where=image.name,
                expected="type 1, version 1",
                found=f"{kind}, {version}",
            )
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._places: list[int] = []
        at = _HEADER_SIZE
        while True:
            offset, size = _RECORD.unpack(image.bytes(at, 16, "a record header"))
            if offset == -1:
                break
            if offset < 0 or size <= 0 or offset + size > _MAX_OFFSET or at + 16 + size > image.size:
                raise FormatError(
                    "damaged record",
                    where=f"{image.name}, offset {at:#x}",
                    expected=f"at most {max(image.size - at - 16, 0):#x} bytes of data",
                    found=f"{size:#x} bytes for offset {offset:#x}",
                )
            self._add(offset, offset + size, at + 16)
            if len(self._starts) > _MAX_RECORDS:
                raise LimitError("too many records", where=image.name, expected=f"at most {_MAX_RECORDS}")
            at += 16 + size
        self.size = max(self._ends, default=0)

    def _add(self, start: int, end: int, place: int) -> None:
        starts, ends, places = self._starts, self._ends, self._places
        if not ends or start >= ends[-1]:
            starts.append(start)
            ends.append(end)
            places.append(place)
            return
        first, last = bisect_right(ends, start), bisect_left(starts, end)
        kept: list[tuple[int, int, int]] = []
        if first < last and starts[first] < start:
            kept.append((starts[first], start, places[first]))
        kept.append((start, end, place))
        if first < last and ends[last - 1] > end:
            kept.append((end, ends[last - 1], places[last - 1] + end - starts[last - 1]))
        starts[first:last] = [row[0] for row in kept]
        ends[first:last] = [row[1] for row in kept]
        places[first:last] = [row[2] for row in kept]

    def read(self, offset: int, size: int, what: str) -> bytes:
        """Copy bytes of the built file; places that no record writes are zero.  Raises FormatError."""
        if offset < 0 or size < 0 or offset + size > self.size or size > self.image.size:
            raise FormatError(
                f"{what} lies outside the file",
                where=f"{self.name}, offset {offset:#x} of the unflattened file",
                expected=f"{size:#x} bytes",
                found=f"a file of {self.size:#x} bytes",
            )
        index = bisect_right(self._ends, offset)
        if index < len(self._starts) and self._starts[index] <= offset and offset + size <= self._ends[index]:
            return self.image.bytes(self._places[index] + offset - self._starts[index], size)
        out = bytearray(size)
        while index < len(self._starts) and self._starts[index] < offset + size:
            start, end = max(self._starts[index], offset), min(self._ends[index], offset + size)
            data = self.image.bytes(self._places[index] + start - self._starts[index], end - start)
            out[start - offset : end - offset] = data
            index += 1
        return bytes(out)
