"""Readable memory: pages by machine frame or by guest frame, many at a time.

A page is a row of 512 words (uint64).  Frames that a dump does not hold are no error when many are asked
for: they come back masked, as rows of zeros whose ``present`` is False.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from xenp2m.dump.layout import ENTRIES
from xenp2m.errors import FormatError, MissingFactError
from xenp2m.progress import track
from xenp2m.units import PAGE_SHIFT, PAGE_SIZE

Frames = NDArray[np.uint64]
"""Frame numbers or words, uint64."""


class PageAbsent(MissingFactError):  # noqa: N818  the name says what happened, as in drgn's FaultError family
    """A valid dump does not hold this page."""

    def __init__(self, frame: int, *, where: str = "") -> None:
        super().__init__(f"the dump does not hold frame {frame:#x}", where=where)
        self.frame = frame


class Pages(NamedTuple):
    """Pages as they were asked for.

    ``words`` has shape (n, 512) and dtype uint64, and may be a read-only view of the file; ``present``
    (bool, n) says which rows the dump holds; the other rows are zero.
    """

    words: Frames
    present: NDArray[np.bool_]


class Memory(Protocol):
    """Machine memory that a dump holds, or one guest's part of it."""

    @property
    def held(self) -> int:
        """Machine frames present, at most: an upper bound that costs nothing."""

    def ranges(self) -> Frames:
        """Return the machine frames present: shape (n, 2), sorted half-open ranges."""

    def read_pages(self, mfns: Frames) -> Pages:
        """Read pages by machine frame."""

    def read_guest_pages(self, pfns: Frames) -> Pages:
        """Read pages by guest frame, as far as the container itself knows the guest's frames.

        Raises MissingFactError when it knows none (a whole host: ask a domain's map first).
        """


class Image:
    """A mapped file.  Reads are checked against its size, and copy nothing where the layout allows."""

    def __init__(self, path: Path, name: str = "") -> None:
        self.name = name or path.name
        with path.open("rb") as stream:
            self._set(stream.fileno())

    @classmethod
    def of(cls, descriptor: int, name: str) -> Image:
        """Map an open file, such as an unlinked temporary one."""
        image = cls.__new__(cls)
        image.name = name
        image._set(descriptor)
        return image

    def _set(self, descriptor: int) -> None:
        try:
            self._map = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        except ValueError as error:
            raise FormatError("the file is empty", where=self.name) from error
        self.size = len(self._map)
        self._rows: dict[int, Frames] = {}

    def bytes(self, offset: int, size: int, what: str = "data") -> bytes:
        """Copy ``size`` bytes.  Raises FormatError when the file ends before them."""
        if offset < 0 or size < 0 or offset + size > self.size:
            raise FormatError(
                f"{what} lies outside the file",
                where=f"{self.name}, offset {offset:#x}",
                expected=f"{size:#x} bytes",
                found=f"a file of {self.size:#x} bytes",
            )
        return bytes(self._map[offset : offset + size])

    def array(self, offset: int, count: int, what: str = "data") -> Frames:
        """View ``count`` words of 64 bits.  Raises FormatError when the file ends before them."""
        if offset < 0 or count < 0 or offset + count * 8 > self.size:
            self.bytes(offset, count * 8, what)
        words: Frames = np.frombuffer(self._map, np.dtype("<u8"), count, offset)
        return words

    def gather(self, offsets: NDArray[np.int64]) -> Frames:
        """Return the pages at file ``offsets`` as shape (n, 512): a view when they follow one another."""
        count = len(offsets)
        if count == 0:
            return np.empty((0, ENTRIES), np.uint64)
        first = int(offsets[0])
        if int(offsets[-1]) - first == (count - 1) * PAGE_SIZE and bool(
            (np.diff(offsets) == PAGE_SIZE).all()
        ):
            return self.array(first, count * ENTRIES).reshape(count, ENTRIES)
        phases = offsets & (PAGE_SIZE - 1)
        phase = int(phases[0])
        if bool((phases == phase).all()):
            rows: Frames = self._phase(phase)[(offsets - phase) >> PAGE_SHIFT]
            return rows
        words = np.empty((count, ENTRIES), np.uint64)
        for each in np.unique(phases).tolist():
            chosen = np.flatnonzero(phases == each)
            words[chosen] = self._phase(each)[(offsets[chosen] - each) >> PAGE_SHIFT]
        return words

    def _phase(self, phase: int) -> Frames:
        """View the whole file as pages that start ``phase`` bytes into it."""
        rows = self._rows.get(phase)
        if rows is None:
            count = (self.size - phase) // PAGE_SIZE
            rows = self.array(phase, count * ENTRIES).reshape(count, ENTRIES)
            self._rows[phase] = rows
        return rows


def masked_gather(image: Image, offsets: NDArray[np.int64], present: NDArray[np.bool_]) -> Pages:
    """Read the pages whose ``present`` is True; the other rows are zero."""
    if bool(present.all()):
        return Pages(image.gather(offsets), present)
    words = np.zeros((len(offsets), ENTRIES), np.uint64)
    words[present] = image.gather(offsets[present])
    return Pages(words, present)


class ExtentMemory:
    """Machine frames that lie in extents of one mapped file."""

    def __init__(self, image: Image, extents: NDArray[np.int64]) -> None:
        """Take ``extents``: shape (n, 3), sorted by first frame: [first frame, end frame, file offset]."""
        self._image = image
        self._starts = np.ascontiguousarray(extents[:, 0]).astype(np.uint64)
        self._ends = np.ascontiguousarray(extents[:, 1]).astype(np.uint64)
        self._offsets = np.ascontiguousarray(extents[:, 2])

    @property
    def held(self) -> int:
        """Machine frames present."""
        return int((self._ends - self._starts).sum())

    def ranges(self) -> Frames:
        """Return the frames present."""
        return merged(np.stack([self._starts, self._ends], axis=1))

    def read_pages(self, mfns: Frames) -> Pages:
        """Read pages by machine frame."""
        if len(self._starts) == 0:
            return absent(len(mfns))
        index = np.searchsorted(self._starts, mfns, side="right") - 1
        present = (index >= 0) & (mfns < self._ends[index])
        within = np.where(present, mfns - self._starts[index], np.uint64(0)).astype(np.int64)
        return masked_gather(self._image, self._offsets[index] + (within << PAGE_SHIFT), present)

    def read_guest_pages(self, pfns: Frames) -> Pages:
        """Refuse: a whole host has many guests."""
        raise MissingFactError("this dump has no guest frames of its own", where=self._image.name)


def absent(count: int) -> Pages:
    """Return ``count`` pages of which none is present."""
    return Pages(np.zeros((count, ENTRIES), np.uint64), np.zeros(count, np.bool_))


def merged(ranges: Frames) -> Frames:
    """Join half-open ranges (sorted by start, not overlapping) that touch."""
    if len(ranges) == 0:
        return ranges
    first = np.concatenate(([True], ranges[1:, 0] != ranges[:-1, 1]))
    last = np.concatenate((first[1:], [True]))
    return np.stack([ranges[first, 0], ranges[last, 1]], axis=1)


def read_page(memory: Memory, mfn: int) -> Frames:
    """Read one page (512 words).  Raises PageAbsent."""
    pages = memory.read_pages(np.array([mfn], np.uint64))
    if not pages.present[0]:
        raise PageAbsent(mfn)
    words: Frames = pages.words[0]
    return words


def scan_pages(memory: Memory, chunk: int = 4096) -> Iterator[tuple[Frames, Frames]]:
    """Go through every page present, ``chunk`` at a time: machine frames (n) and words (n, 512)."""
    ranges = memory.ranges()
    pieces = (
        np.arange(at, min(at + chunk, end), dtype=np.uint64)
        for start, end in ranges.tolist()
        for at in range(start, end, chunk)
    )
    for mfns in track("looking at every page", pieces, int((ranges[:, 1] - ranges[:, 0]).sum()), len):
        pages = memory.read_pages(mfns)
        if bool(pages.present.all()):
            yield mfns, pages.words
        else:
            yield mfns[pages.present], pages.words[pages.present]
