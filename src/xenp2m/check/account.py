"""Accounts: what came in, where each page of it is, and whether the two sides agree to the page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an account: ``pages`` pages of 4 KiB, None where the input does not tell.

    ``key`` is a stable name, ``label`` names the line and ``why`` explains it, both for people.
    ``estimated`` marks a number that no text gives outright.
    """

    key: str
    label: str
    pages: int | None
    why: str = ""
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """One view of the memory, in double entry: the pages of ``sources`` are those of ``lines``, each in one.

    ``remarks`` are further numbers about the same pages; they are in no sum.
    """

    key: str
    title: str
    sources: tuple[Line, ...]
    lines: tuple[Line, ...]
    remarks: tuple[Line, ...] = ()

    @property
    def total(self) -> int:
        """The pages to account for."""
        return sum(line.pages or 0 for line in self.sources)

    @property
    def imbalance(self) -> int:
        """The pages that are in no line; negative where pages are in more than one."""
        return self.total - sum(line.pages or 0 for line in self.lines)

    def pages(self, key: str) -> int:
        """Return the pages of a source, line or remark; 0 where the account has none of that name."""
        named = (*self.sources, *self.lines, *self.remarks)
        return next((line.pages or 0 for line in named if line.key == key), 0)
