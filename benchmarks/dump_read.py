"""A 1 Mi-page ``xl dump-core``: p2m read against ``cat``, bulk translation, page walk; and libkdumpfile.

Run with the writers of the tests on the path: ``PYTHONPATH=tests python benchmarks/dump_read.py``.
libkdumpfile (Debian's python3-libkdumpfile) is measured in the system's own Python, where it is installed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from writers.containers import write_core
from writers.guest import Shape, write_guest
from xenp2m.arch import X86_64
from xenp2m.dump import Mappings, PageTables, dense_p2m, inspect, open_dump
from xenp2m.dump.linear import LinearList
from xenp2m.dump.memory import Memory
from xenp2m.dump.shared_info import SharedInfo
from xenp2m.entry import Kind
from xenp2m.runs import Run, RunMap

PAGES = 1 << 20
CHUNK = 512
PASSES = 7

LIBKDUMPFILE = """
import sys, time
import addrxlat, kdumpfile
start = time.perf_counter()
context = kdumpfile.kdumpfile(sys.argv[1])
context.attr["addrxlat.ostype"] = "linux" if len(sys.argv) > 2 else "xen"
xlat, system = context.get_addrxlat_ctx(), context.get_addrxlat_sys()
print("libkdumpfile: open and set up", f"{(time.perf_counter() - start) * 1e3:9.2f} ms")
for name, source, target, frames in (
    ("PFN to MFN", addrxlat.KPHYSADDR, addrxlat.MACHPHYSADDR, [int(x) for x in open(sys.argv[1] + ".pfns")]),
    ("MFN to PFN", addrxlat.MACHPHYSADDR, addrxlat.KPHYSADDR, [int(x) for x in open(sys.argv[1] + ".mfns")]),
):
    start = time.perf_counter()
    done = 0
    for frame in frames:
        address = addrxlat.FullAddress(source, frame << 12)
        address.conv(target, xlat, system)
        done += 1
        if time.perf_counter() - start > 10:
            break
    each = (time.perf_counter() - start) / done
    print(f"libkdumpfile: {name:10} {each * 1e9:12.1f} ns each, {done} looked up")
"""


def best(work: Callable[[], object], passes: int = PASSES) -> float:
    """Return the shortest of some runs, in seconds."""
    times = []
    for _ in range(passes):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def guest_map() -> RunMap:
    """A guest of 4 GiB in 2 MiB pieces whose machine frames are shuffled."""
    order = np.random.default_rng(1).permutation(PAGES // CHUNK).tolist()
    runs = [Run(at * CHUNK, CHUNK, Kind.RAM, 4096 + to * CHUNK) for at, to in enumerate(order)]
    end = 1 << 27
    return RunMap(X86_64, end, Kind.IDENTITY, [*runs, Run(PAGES, end - PAGES, Kind.IDENTITY, None)])


def leaf_words(memory: Memory, info: SharedInfo) -> int:
    """Read the whole p2m of the guest's memory as arrays; return its bytes."""
    linear = LinearList(memory, info)
    linear.load(info.max_pfn)
    total = 0
    for slot in range(len(linear.slots)):
        total += memory.read_pages(linear.row(slot)).words.nbytes
    return total


def libkdumpfile(path: Path, pfns: np.ndarray, mfns: np.ndarray) -> str:
    for name, frames in (("pfns", pfns), ("mfns", mfns)):
        Path(f"{path}.{name}").write_text("\n".join(str(frame) for frame in frames.tolist()))
    command = ["/usr/bin/python3", "-c", LIBKDUMPFILE, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    return done.stdout or "libkdumpfile: not measured: " + (done.stderr.strip().splitlines() or ["?"])[-1]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "core"
        truth = guest_map()
        with path.open("wb") as stream:
            write_core(stream, write_guest(truth, Shape.LIST))
        print(f"a core of {PAGES} pages, {path.stat().st_size >> 20} MiB (sparse)")
        print(f"open                        {best(lambda: open_dump(path)) * 1e3:9.2f} ms")
        print(f"open, read p2m, make map    {best(lambda: inspect(open_dump(path))) * 1e3:9.2f} ms")
        dump = open_dump(path)
        found = inspect(dump)
        (domain,) = found.domains
        assert domain.p2m is not None
        assert domain.p2m.map == truth
        assert domain.info is not None
        info = domain.info
        words = leaf_words(dump.memory, info)
        ours = words / best(lambda: leaf_words(dump.memory, info))
        copy = Path(folder) / "p2m"
        copy.write_bytes(bytes(words))
        cat = words / best(lambda: subprocess.run(["cat", copy], stdout=subprocess.DEVNULL, check=True))
        big = copy.with_name("big")
        big.write_bytes(bytes(64 * words))
        cat_big = (
            64 * words / best(lambda: subprocess.run(["cat", big], stdout=subprocess.PIPE, check=True), 3)
        )
        print(f"p2m pages as arrays         {ours / 1e9:9.2f} GB/s ({words >> 20} MiB)")
        print(f"cat of the same bytes       {cat / 1e9:9.2f} GB/s")
        print(f"cat of 64 times as many     {cat_big / 1e9:9.2f} GB/s, into a pipe")

        rng = np.random.default_rng(2)
        pfns = rng.integers(0, PAGES, PAGES, np.uint64)
        known = domain.p2m.map
        _, mfns = known.lookup(pfns)
        each = best(lambda: known.lookup(pfns)) / PAGES
        print(f"bulk PFN to MFN, runs       {each * 1e9:9.1f} ns each, random")
        dense = dense_p2m(known)
        assert (dense.lookup(pfns) == mfns).all()
        each = best(lambda: dense.lookup(pfns)) / PAGES
        print(f"bulk PFN to MFN, table      {each * 1e9:9.1f} ns each, random")
        m2p = found.m2p
        assert m2p is not None
        assert (m2p.lookup(mfns) == pfns).all()
        each = best(lambda: m2p.lookup(mfns)) / PAGES
        print(f"bulk MFN to PFN             {each * 1e9:9.1f} ns each, random")
        print(libkdumpfile(path, pfns[:200_000], mfns[:200_000]), end="")
    for name in sys.argv[1:]:
        dump = open_dump(name)
        tables = PageTables(dump.memory, dump.roots[0])
        leaves: Mappings = tables.leaves()
        seconds = best(lambda: sum(len(block.va) for block in tables.blocks()))  # noqa: B023  called at once
        print(f"{name}: {len(leaves.va)} present PTEs, {len(leaves.va) / seconds / 1e6:.1f} M/s")


if __name__ == "__main__":
    main()
