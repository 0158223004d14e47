"""The error tree.

::

    Xenp2mError
    ├── InputError            the input cannot be used; exit status 2
    │   ├── FormatError       it is not what its format says (line or offset)
    │   ├── LimitError        it is larger than any real input of its kind
    │   └── MissingFactError  it is well formed but lacks what the question needs
    └── UsageError            the question itself is malformed (a size, an address, a kernel name)

Each error is one line: where, what was expected, what was found.
"""

from __future__ import annotations


class Xenp2mError(Exception):
    """Base of every error that the program raises on purpose.

    ``where`` names the input and the place in it ("dmesg.txt, line 12", "core, offset 0x40"); it is empty
    when there is only one input to speak of.  ``expected`` and ``found`` are phrases.
    """

    def __init__(self, message: str, *, where: str = "", expected: str = "", found: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        if self.expected:
            text += f"; expected {self.expected}"
        if self.found:
            text += f", found {self.found}" if self.expected else f"; found {self.found}"
        return text


class InputError(Xenp2mError):
    """The input cannot be used."""


class FormatError(InputError):
    """The input is not what its format says it is."""


class LimitError(InputError):
    """The input is larger than any real input of its kind."""


class MissingFactError(InputError):
    """The input is well formed but does not hold what the question needs."""


class UsageError(Xenp2mError):
    """The question is malformed: a size, an address, a kernel name, an option value."""
