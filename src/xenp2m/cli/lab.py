"""``xenp2m lab``: real Xen and a real dom0 under software emulation, held against the prediction."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xenp2m.cli import tell
from xenp2m.cli.options import write_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CACHE = click.option(
    "--cache", type=click.Path(file_okay=False, path_type=Path), help="Where fetched files are kept."
)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(name="lab")
def command() -> None:
    """Boot real Xen with a real dom0 in QEMU, and hold the kernel's own p2m against the prediction.

    \b
      xenp2m lab setup                      fetch Xen, a kernel and firmware
      xenp2m lab shapes                     what can be booted
      xenp2m lab run pc-512m bar-512g       boot two machines
      xenp2m lab run --all -o results && xenp2m lab report results

    No KVM and no root is needed; nothing listens on a network.
    """


@command.command(name="setup")
@_CACHE
def setup_command(cache: Path | None) -> None:
    """Fetch what the lab boots: Debian packages, unpacked into a cache folder and not installed.

    QEMU itself is installed with apt-get where it is missing and root asks.
    """
    from xenp2m.lab.kit import default_cache
    from xenp2m.lab.packages import STEPS, setup

    home = cache or default_cache()
    with _progress(STEPS) as say:
        setup(home, say)
    tell(f"ready in {home}")


@command.command(name="shapes")
@click.option("--show", metavar="SHAPE", help="Print one as a shape file, to change and give to --shape.")
def shapes_command(show: str | None) -> None:
    """List the machines that the lab can boot."""
    from xenp2m.draw.console import stdout
    from xenp2m.draw.lab import shapes_table
    from xenp2m.lab.shapefile import builtin_shapes, chosen_shapes

    if show is not None:
        click.echo(chosen_shapes((show,))[0].to_toml(), nl=False)
    else:
        stdout().print(shapes_table(builtin_shapes()))


@command.command(name="run")
@click.argument("names", nargs=-1, metavar="[SHAPE]...")
@click.option("--all", "everything", is_flag=True, help="Boot every shape that comes with the program.")
@click.option("--shape", "files", multiple=True, type=click.Path(), help="Boot the shape in a file.")
@click.option(
    "--timeout", type=click.IntRange(1, 86400), default=600, show_default=True, help="Seconds for each shape."
)
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="Keep a capture of each here."
)
@click.option("--predict-with", metavar="NAME", help="Rules to predict with. Default: the booted kernel's.")
@_CACHE
@click.option("--xen", type=_FILE, help="Your own hypervisor, unpacked (multiboot).")
@click.option("--kernel", type=_FILE, help="Your own Linux: bzImage or vmlinux with Xen PV dom0 support.")
@click.option("--initrd", type=_FILE, help="Your own first file system; it must speak like ours.")
@click.option("--qemu", type=_FILE, help="Your own qemu-system-x86_64.")
@click.option("--json", "as_json", is_flag=True, help="Print xenp2m.lab/1 objects, an array.")
def run_command(
    names: tuple[str, ...],
    everything: bool,
    files: tuple[str, ...],
    timeout: int,
    output: Path | None,
    predict_with: str | None,
    cache: Path | None,
    xen: Path | None,
    kernel: Path | None,
    initrd: Path | None,
    qemu: Path | None,
    as_json: bool,
) -> int:
    """Boot shapes one after the other and compare what the kernel did with the prediction.

    Exit status 1: something was not as predicted. 2: a machine did not boot, or something is missing.
    """
    from xenp2m.draw.console import stdout
    from xenp2m.draw.lab import print_result
    from xenp2m.lab.kit import Own, default_cache, find_kit
    from xenp2m.lab.result import Outcome
    from xenp2m.lab.run import run_shape, steps
    from xenp2m.lab.shapefile import builtin_shapes, chosen_shapes, read_shape

    shapes = [*(builtin_shapes() if everything else chosen_shapes(names)), *map(read_shape, files)]
    if not shapes:
        raise click.UsageError("no shape: name some (xenp2m lab shapes lists them), or --all or --shape FILE")
    kit = find_kit(cache or default_cache(), Own(xen, kernel, initrd, qemu))
    results = []
    for shape in shapes:
        with _progress(steps(shape), f"{shape.name}: ") as say:
            result = run_shape(shape, kit, timeout=timeout, output=output, kernel=predict_with, progress=say)
        results.append(result)
        if not as_json:
            print_result(result, stdout())
    if as_json:
        import json

        click.echo(json.dumps([result.to_json() for result in results]))
    outcomes = {result.outcome for result in results}
    return 1 if Outcome.DIFFERS in outcomes else 2 if Outcome.FAILED in outcomes else 0


@command.command(name="report")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write to a file, whole or not at all.")
@click.option(
    "--html",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Also write a page: one HTML file with the maps of all guests.",
)
def report_command(folder: Path, output: str | None, html: str | None) -> None:
    """Print one page (Markdown) on the captures that ``lab run -o`` left in FOLDER."""
    from xenp2m.draw.lab import report, report_page
    from xenp2m.files import write_atomically
    from xenp2m.lab.results import read_results

    runs = read_results(folder)
    if html is not None:
        write_page(html, report_page(runs))
    text = report(runs)
    if output is None:
        click.echo(text, nl=False)
    else:
        write_atomically(output, text.encode())


@command.command(name="from-capture")
@click.argument("captures", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write the shape to a file.")
def from_capture_command(captures: tuple[str, ...], output: str | None) -> None:
    """Print the shape that is nearest to a captured machine; what differs is said on standard error."""
    from xenp2m.cli.options import read_machine
    from xenp2m.files import write_atomically
    from xenp2m.lab.nearest import nearest_shape

    near = nearest_shape(read_machine(captures, None).machine)
    for difference in near.differs:
        tell(f"differs: {difference}")
    if output is None:
        click.echo(near.shape.to_toml(), nl=False)
    else:
        write_atomically(output, near.shape.to_toml().encode())


@contextmanager
def _progress(steps: int, prefix: str = "") -> Iterator[Callable[[str], None]]:
    """Show steps of unknown length; the function that is given says which one begins."""
    from xenp2m.progress import reporter

    done = 0

    def say(what: str) -> None:
        nonlocal done
        if (report := reporter(f"{prefix}{what}")) is not None:
            report(done, steps)
        done += 1

    try:
        yield say
    finally:
        if (report := reporter(prefix)) is not None:
            report(steps, steps)
