"""``xenp2m fleet run``."""

from __future__ import annotations

import os
from typing import Any

import click

from xenp2m.cli.fleet.common import with_extra


@click.command(name="run")
@click.argument("sources", nargs=-1, required=True)
@click.option(
    "--kernel",
    "kernels",
    multiple=True,
    metavar="NAME",
    help="A kernel to predict for; repeat for several. Default: 3.15, series and 6.1.",
)
@click.option("-o", "--output", required=True, metavar="FLEET", help="The fleet: a folder, or a URL.")
@click.option("--jobs", type=click.IntRange(1, 1024), metavar="N", help="Processes. Default: one a core.")
@click.option("--dask", "scheduler", metavar="tcp://HOST:PORT", help="Do the work on this Dask cluster.")
@click.option("--dom0-mem", metavar="SPEC", help="Xen's dom0_mem= on every machine: 4G, 1G,max:3G, ...")
@click.option("--bits", type=click.Choice(["64", "32"]), help="Width of the guest kernel.")
@click.option("--guest", type=click.Choice(["dom0", "domU"]), help="Whose kernel, as for predict.")
@click.option("--memory", metavar="SIZE", help="Memory of a domU.")
@click.option("--maxmem", metavar="SIZE", help="What a domU may grow to. Default: --memory.")
@click.option("--e820-host/--no-e820-host", default=None, help="Give the domU the host's holes.")
@click.option("--mem", metavar="SIZE", help="The kernel's own mem= limit.")
@click.option(
    "--time-limit",
    type=click.IntRange(1, 86400),
    metavar="SECONDS",
    help="What one input may take. Default: 60.",
)
@click.option("--memory-limit", metavar="SIZE", help="What a process may take. Default: 3G.")
def run_command(
    sources: tuple[str, ...],
    kernels: tuple[str, ...],
    output: str,
    jobs: int | None,
    scheduler: str | None,
    time_limit: int | None,
    memory_limit: str | None,
    **options: Any,
) -> int:
    """Predict many machines under several kernels, into a folder of Parquet tables.

    SOURCES are files, folders, patterns, or catalogue: for the machines that come with the program. NDJSON
    (plain, .gz, .zst, ...) holds a machine a line. Any other file, archive or support bundle is one machine.
    A folder is one machine if predict knows its files by name (dmesg.txt, proc/iomem, sos_commands, ...);
    else each file and each folder in it is.

    \b
      xenp2m fleet run catalogue: -o FLEET
      xenp2m fleet run captures/ 'reports/*.tar.xz' --kernel 3.15 --kernel series -o FLEET
      xenp2m fleet run machines.ndjson.zst --kernel 6.1 --dom0-mem 4G,max:8G --jobs 8 -o FLEET
      xenp2m fleet run s3://bucket/captures/ --dask tcp://scheduler:8786 -o s3://bucket/fleet

    SOURCES and FLEET may be URLs of any store that fsspec reaches (s3://, gs://, https://, ...).

    What cannot be read or predicted is listed in the table failures and stops nothing. A run that was
    stopped goes on where it was, and one over a fleet that is there does what is new: inputs, kernels.

    Exit status 1: no machine could be predicted.
    """
    # Arrow's own allocator keeps what it has once had, so that memory would grow with the fleet.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    with with_extra():
        from xenp2m.draw.fleetrun import print_run, run_progress
        from xenp2m.fleet.query import Fleet
        from xenp2m.fleet.remote import store_at
        from xenp2m.fleet.run import KERNELS, LIMITS, Order, run
    from dataclasses import replace

    from xenp2m.cli.options import what_if
    from xenp2m.draw.console import stdout
    from xenp2m.units import parse_size

    limits = LIMITS
    if time_limit is not None:
        limits = replace(limits, seconds=time_limit)
    if memory_limit is not None:
        limits = replace(limits, memory=parse_size(memory_limit))
    order = Order(
        sources=sources,
        kernels=kernels or KERNELS,
        what_if=what_if(functions=(), bars=(), **options),
        jobs=jobs or len(os.sched_getaffinity(0)),
        limits=limits,
    )
    store = store_at(output)
    crew = None
    if scheduler is not None:
        if jobs is not None:
            raise click.UsageError("--jobs is for this machine; the cluster of --dask has its own number")
        with with_extra():
            from xenp2m.fleet.cluster import Cluster
        crew = Cluster(scheduler, limits)
    with run_progress() as progress:
        tally = run(store, order, progress.told, progress.joining, crew)
        seconds = progress.seconds
    fleet = Fleet(store)
    ((inputs, machines),) = fleet.ask("SELECT count(*), count(*) FILTER (usable) FROM inputs").rows
    print_run(
        stdout(),
        tally,
        machines=machines,
        inputs=inputs,
        size=fleet.size,
        place=store.label,
        seconds=seconds,
    )
    return 0 if machines else 1
