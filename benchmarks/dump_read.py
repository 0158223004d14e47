"""A 1 Mi-page ``xl dump-core``: p2m read against ``cat``, bulk translation, page walk; and other readers.

Run with the writers of the tests on the path: ``PYTHONPATH=tests python benchmarks/dump_read.py``.
libkdumpfile (Debian's python3-libkdumpfile) is measured in the system's own Python, where it is installed;
volatility3 in the Python that VOLATILITY3_PYTHON names.
"""

from __future__ import annotations

import os
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
context.attr["addrxlat.ostype"] = "xen"
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
    if name == "PFN to MFN":
        print(f"libkdumpfile: the whole p2m, one by one {each * float(sys.argv[2]):9.2f} s")
"""

VOLATILITY3 = """
import resource, sys, time
from volatility3.framework import contexts
from volatility3.framework.layers import physical, xen

def repaired(self, name, index):
    # the symbol table of 2.28 gives .xen_p2m the element type of .xen_pfn
    header = self._segment_headers[index]
    element = self.context.symbol_space.get_type(self._xen_table_name + "!xen_pfn_entry")
    kind = self._xen_table_name + "!xen_pfn_entry"
    found = lambda: None
    found.entries = [
        self.context.object(kind, layer_name=self._base_layer, offset=header.sh_offset + at)
        for at in range(0, header.sh_size, element.size)
    ]
    return found

for repair in (False, True):
    if repair:
        xen.XenCoreDumpLayer._extract_result_array = repaired
    context = contexts.Context()
    context.config["base.location"] = "file://" + sys.argv[1]
    context.config["xen.base_layer"] = "base"
    context.add_layer(physical.FileLayer(context, "base", "base"))
    start = time.perf_counter()
    try:
        xen.XenCoreDumpLayer(context, "xen", "xen")
    except Exception as error:
        print(f"volatility3: cannot open it: {type(error).__name__}: {error}")
        continue
    seconds = time.perf_counter() - start
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(f"volatility3: repaired, opens it (guest frames only) in {seconds:.2f} s, {size:.0f} MB")
"""

OURS = """
import sys
from xenp2m.dump import inspect, open_dump
found = inspect(open_dump(sys.argv[1]))
assert found.domains[0].p2m is not None
size = next(line for line in open("/proc/self/status") if line.startswith("RssAnon"))
print(f"memory of a process that has the map {int(size.split()[1]) / 1000:.0f} MB")
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
    return other("libkdumpfile", "/usr/bin/python3", LIBKDUMPFILE, path, str(PAGES))


def other(name: str, python: str, program: str, *arguments: str | Path) -> str:
    """Run a program in another Python; return what it prints, or why it is not measured."""
    command = [python, "-c", program, *map(str, arguments)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    except OSError as error:
        return f"{name}: not measured: {error}\n"
    return done.stdout or f"{name}: not measured: {(done.stderr.strip().splitlines() or ['?'])[-1]}\n"


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
        print(other("memory", sys.executable, OURS, path), end="")
        print(libkdumpfile(path, pfns[:200_000], mfns[:200_000]), end="")
        python = os.environ.get("VOLATILITY3_PYTHON")
        print(
            other("volatility3", python, VOLATILITY3, path) if python else "volatility3: not measured\n",
            end="",
        )
    for name in sys.argv[1:]:
        dump = open_dump(name)
        tables = PageTables(dump.memory, dump.roots[0])
        leaves: Mappings = tables.leaves()
        seconds = best(lambda: sum(len(block.va) for block in tables.blocks()))  # noqa: B023  called at once
        print(f"{name}: {len(leaves.va)} present PTEs, {len(leaves.va) / seconds / 1e6:.1f} M/s")


if __name__ == "__main__":
    main()
