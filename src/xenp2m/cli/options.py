"""Options and arguments that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

import click

from xenp2m.cli import tell
from xenp2m.cli.pictures import Pictures

if TYPE_CHECKING:
    from xenp2m.capture import Capture
    from xenp2m.machine import Bar
    from xenp2m.prediction import WhatIf

_Command = TypeVar("_Command", bound=Callable[..., Any])

_BAR = re.compile(r"(?P<bdf>[0-9a-fA-F:.]+)/(?P<index>[0-9]{1,2})=(?P<start>[^+]+)\+(?P<size>.+)")


def captures_argument(command: _Command) -> _Command:
    """The captures of one machine: files, folders, or "-" for standard input."""
    return click.argument("captures", nargs=-1, required=True, type=click.Path(allow_dash=True))(command)


def kernel_option(command: _Command) -> _Command:
    """``--kernel``, as often as wanted."""
    return click.option(
        "--kernel",
        "kernels",
        multiple=True,
        metavar="NAME",
        help='Kernel to predict for: a version, "series", "series:1-5"; repeat to compare. '
        "Default: the capture's own, else the newest.",
    )(command)


def what_if_options(command: _Command) -> _Command:
    """The what-ifs: how much memory, which width, which guest, other BARs; and which boot of a log."""
    options = [
        click.option("--dom0-mem", metavar="SPEC", help="Xen's dom0_mem=: 4G, 1G,max:3G, -512M, max:2G, ..."),
        click.option("--bits", type=click.Choice(["64", "32"]), help="Width of the guest kernel."),
        click.option(
            "--guest",
            type=click.Choice(["dom0", "domU"]),
            help="Whose kernel. Default: the captures' own where they are a domU's, else dom0's.",
        ),
        click.option("--memory", metavar="SIZE", help="Memory of a domU."),
        click.option("--maxmem", metavar="SIZE", help="What a domU may grow to. Default: --memory."),
        click.option(
            "--e820-host/--no-e820-host",
            default=None,
            help="Give the domU the host's holes (libxl's e820_host). Default: with --pci, as xl does.",
        ),
        click.option(
            "--pci",
            "functions",
            multiple=True,
            metavar="BDF,...",
            help="PCI functions passed through to the domU: only their BARs are judged.",
        ),
        click.option("--mem", metavar="SIZE", help="The kernel's own mem= limit."),
        click.option(
            "--bar",
            "bars",
            multiple=True,
            metavar="BDF/N=ADDRESS+SIZE",
            help="Place a BAR elsewhere, or add one: 3b:00.0/2=0x38000000000+32M.",
        ),
        click.option(
            "--boot", type=click.IntRange(min=1), metavar="N", help="The Nth boot in a log, not the last."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def picture_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--svg`` and ``--png`` with their width and colours; the command gets ``pictures``."""

    @wraps(command)
    def with_pictures(
        *args: Any, svg: str | None, png: str | None, width: int, scheme: str, **others: Any
    ) -> Any:
        return command(*args, pictures=Pictures(svg, png, width, scheme), **others)

    options = [
        click.option("--svg", type=click.Path(dir_okay=False), metavar="FILE", help="Draw it as an SVG."),
        click.option("--png", type=click.Path(dir_okay=False), metavar="FILE", help="Draw it as a PNG."),
        click.option(
            "--width",
            type=click.IntRange(400, 8000),
            default=1200,
            show_default=True,
            metavar="PIXELS",
            help="Width of a picture; 1600 suits a slide.",
        ),
        click.option(
            "--scheme",
            type=click.Choice(["auto", "light", "dark"]),
            default="auto",
            show_default=True,
            help="Colours of a picture; auto follows the reader.",
        ),
    ]
    decorated: Callable[..., Any] = with_pictures
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def html_option(command: _Command) -> _Command:
    """``--html``; the command gives it to ``write_page``."""
    return click.option(
        "--html",
        type=click.Path(dir_okay=False),
        metavar="FILE",
        callback=_with_extra,
        help="Also write a page: one HTML file with the map to zoom, why each frame is so, its PTEs.",
    )(command)


def _with_extra(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Say at once, not after a long look at a dump, that pages cannot be written here."""
    if value is not None and find_spec("jinja2") is None:
        raise click.UsageError("--html needs the extra \"html\": pip install 'xenp2m[html]'")
    return value


def write_page(path: str, page: str) -> None:
    """Write a page, whole or not at all, and say so on standard error."""
    from xenp2m.files import write_atomically
    from xenp2m.units import format_size

    data = page.encode(errors="replace")
    write_atomically(path, data)
    tell(f"wrote {path} ({format_size(len(data) >> 10 << 10)})")


def read_captures(captures: Sequence[str], boot: int | None) -> Capture:
    """Read the captures of one machine, or the machine of the catalogue that they name."""
    from xenp2m.capture import read_files

    if not any(name.startswith("catalogue:") for name in captures):
        return read_files(captures, boot=boot)
    if len(captures) > 1 or boot is not None:
        raise click.UsageError("catalogue:ID is a whole machine: no other capture and no --boot go with it")
    from xenp2m.catalogue import lookup

    return lookup(captures[0]).capture


def read_machine(captures: Sequence[str], boot: int | None) -> Capture:
    """Read captures that hold a memory map."""
    from xenp2m.capture import require_map

    return require_map(read_captures(captures, boot))


def kernel_names(kernels: Sequence[str], capture: Capture) -> tuple[str, ...]:
    """Return the kernels that were asked for; else the capture's own if it is known, else the newest."""
    from xenp2m.rules import KERNELS

    own = capture.machine.kernel_release
    return tuple(kernels) or ((own,) if own and is_modelled(own) else (KERNELS[-1].name,))


def is_modelled(release: str) -> bool:
    """Return whether a kernel release is one that has rules."""
    from xenp2m.errors import UsageError
    from xenp2m.rules import rules_for

    try:
        rules_for(release)
    except UsageError:
        return False
    return True


def what_if(
    *,
    dom0_mem: str | None,
    bits: str | None,
    guest: str | None,
    memory: str | None,
    maxmem: str | None,
    e820_host: bool | None,
    functions: Sequence[str],
    mem: str | None,
    bars: Sequence[str],
) -> WhatIf:
    """Turn the what-if options into a value; raises UsageError when they do not fit together."""
    from xenp2m.boot import Assumption
    from xenp2m.machine import parse_bdf
    from xenp2m.prediction import WhatIf
    from xenp2m.units import parse_size

    domu = (memory, maxmem, e820_host) != (None,) * 3 or bool(functions)
    if guest == "domU" and memory is None and domu:
        raise click.UsageError("--maxmem, --e820-host and --pci need --memory")
    if guest == "domU" and dom0_mem is not None:
        raise click.UsageError("--dom0-mem is for dom0; a domU has --memory and --maxmem")
    if guest != "domU" and domu:
        raise click.UsageError(
            "--memory, --maxmem, --e820-host and --pci are for --guest domU; dom0 has --dom0-mem"
        )
    pci = tuple(dict.fromkeys(parse_bdf(name) for text in functions for name in text.split(",") if name))
    by_itself = e820_host is None and bool(pci)
    holes = Assumption("e820_host=1", "xl sets it by itself for a domU with PCI devices (--no-e820-host)")
    return WhatIf(
        guest=guest,
        dom0_mem=dom0_mem,
        bits=None if bits is None else int(bits),
        domu_memory=None if memory is None else parse_size(memory),
        domu_maxmem=None if maxmem is None else parse_size(maxmem),
        e820_host=bool(e820_host) or by_itself,
        pci=pci,
        mem_limit=None if mem is None else parse_size(mem),
        bars=tuple(_bar(text) for text in bars),
        assumptions=(holes,) if by_itself else (),
    )


def _bar(text: str) -> Bar:
    from xenp2m.machine import Bar, parse_bdf
    from xenp2m.units import parse_size

    match = _BAR.fullmatch(text)
    if match is None:
        raise click.UsageError(f"--bar {text!r} is not BDF/N=ADDRESS+SIZE, as in 3b:00.0/2=0x38000000000+32M")
    start, size = parse_size(match["start"]), parse_size(match["size"])
    if not size:
        raise click.UsageError(f"--bar {text!r} has no size")
    if start + size > 1 << 64:
        raise click.UsageError(f"--bar {text!r} ends past the last address, 2^64")
    return Bar(parse_bdf(match["bdf"]), int(match["index"]), start, size, is_64bit=True)
