"""Options and helpers of the commands that read dumps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from xenp2m.dump import Inspection

_Command = TypeVar("_Command", bound=Callable[..., Any])


def dump_options(command: _Command) -> _Command:
    """``--symbols``, ``--domain`` and ``--raw``."""
    options = [
        click.option(
            "--symbols",
            "symbol_files",
            multiple=True,
            type=click.Path(),
            metavar="FILE",
            help="System.map, kallsyms or vmlinux of the guest's kernel, or of Xen; makes answers surer.",
        ),
        click.option(
            "--domain",
            "domid",
            type=click.IntRange(min=0),
            metavar="ID",
            help="The domain to look at. Default: dom0, else the only one.",
        ),
        click.option("--raw", is_flag=True, help="The file is a raw memory image, which has no magic."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def read_dump(paths: Sequence[str], symbol_files: Sequence[str], *, raw: bool = False) -> Inspection:
    """Open a dump (the parts of a split one) and look for its domains."""
    from xenp2m.dump import inspect, open_dump, symbols

    known = symbols.load(*symbol_files) if symbol_files else None
    return inspect(open_dump(list(paths), as_raw=raw), known)


def read_live(symbol_files: Sequence[str] = ()) -> Inspection:
    """Look at the running kernel."""
    from xenp2m.dump import symbols
    from xenp2m.dump.live import inspect_live

    return inspect_live(known=symbols.load(*symbol_files) if symbol_files else None)
