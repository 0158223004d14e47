"""Looking at a running machine: at dom0, at each domU that it then starts, at all of them at once."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from xenp2m.check.diff import Side
from xenp2m.dump import Inspection, P2m, Symbols, inspect, open_dump, symbols
from xenp2m.errors import InputError, MissingFactError
from xenp2m.lab import collect, listing
from xenp2m.lab.bars import BarUse, use_bars
from xenp2m.lab.clock import Clock
from xenp2m.lab.console import Conversation, Talk
from xenp2m.lab.guestpython import GuestPython
from xenp2m.lab.live import read_live, reader
from xenp2m.lab.qmp import Qmp
from xenp2m.lab.result import Boot, DomuBoot, Reading
from xenp2m.lab.shape import Domu, Shape
from xenp2m.lab.toolstack import DomuConsole, Toolstack
from xenp2m.mapfile import read_map
from xenp2m.units import GIB

Progress = Callable[[str], None]

# A plain ELF dump is quicker to write and to read, but as large as the machine's memory.
_LARGEST_ELF = 2 * GIB


@dataclass
class Machine:
    """A running machine, and what is known of it so far.

    ``bars`` hold the content of the shape's BARs and ``disk`` what dom0 writes onto its disk, as open file
    descriptors.  ``python`` is what guests run xenp2m with, None where they do not.  ``folder`` is for
    temporary files; ``symbols`` are those of the kernel that all guests run, and of Xen once it tells.
    """

    shape: Shape
    talk: Conversation
    monitor: Qmp
    bars: tuple[int, ...]
    disk: int | None
    python: GuestPython | None
    folder: Path
    clock: Clock
    progress: Progress
    notes: list[str] = field(default_factory=list)
    symbols: Symbols = field(default_factory=Symbols)

    @contextmanager
    def step(self, what: str, name: str) -> Iterator[None]:
        """Say what is being done, and keep when it was; what cannot be read there is a note."""
        self.progress(what)
        try:
            yield
        except InputError as error:
            self.notes.append(f"{what}: {error}")
        self.clock.mark(name)

    def learn_symbols(self, name: str, text: str) -> None:
        """Add symbols as /proc/kallsyms prints them; an empty text adds none."""
        if text:
            file = self.folder / name
            file.write_text(text)
            known = symbols.load(file)
            self.symbols = Symbols({**self.symbols.linux, **known.linux}, {**self.symbols.xen, **known.xen})


def steps(shape: Shape) -> int:
    """Return how many steps ``look`` tells of, at most."""
    return 5 + shape.live + (2 + len(shape.domu) * (2 + shape.live) if shape.domu else 0)


def look(machine: Machine) -> Boot:
    """Wait for dom0, and look at everything.  Raises GuestError when the machine fails."""
    shape, talk = machine.shape, machine.talk
    with machine.step("booting", "shell"):
        talk.wait_ready()
    with machine.step("collecting", "capture"):
        texts = {**collect.collect(talk), collect.XEN_CONSOLE: collect.xen_console(talk.log)}
        machine.learn_symbols(collect.KALLSYMS, collect.kernel_symbols(talk))
    with machine.step("using BARs", "bars"):
        used = use_bars(talk, machine.bars)
    maps: dict[str, Side] = {}
    with machine.step("reading the p2m in dom0", "dom0"):
        maps[Reading.DOM0] = _walked(machine, talk, Reading.DOM0)
    if machine.python is not None:
        with machine.step("running inspect --live in dom0", "live"):
            maps[Reading.LIVE] = _inspected(machine, talk, machine.python)
    with machine.step("reading the p2m in a dump", "dump"):
        maps[Reading.DUMP] = _side(_domains(machine), 0, Reading.DUMP)
    boot = Boot(texts, used, maps)
    if shape.domu:
        boot = replace(boot, domus=_look_at_domus(machine, used, maps))
    return replace(boot, notes=tuple(machine.notes))


def _look_at_domus(machine: Machine, used: tuple[BarUse, ...], maps: dict[str, Side]) -> tuple[DomuBoot, ...]:
    """Start the domUs and look at each; the readings of dom0 while they run are added to ``maps``."""
    assert machine.disk is not None
    with machine.step("starting Xen's toolstack", "toolstack"):
        toolstack = Toolstack(machine.talk, machine.disk)
    started: list[tuple[int, DomuConsole]] = []
    for domu in machine.shape.domu:
        with machine.step(f"booting {domu.name}", f"{domu.name} shell"):
            domid = toolstack.create(domu, [used[number].bdf for number in domu.pci])
            started.append((domid, toolstack.console(domu, domid)))
    found = [
        _look_at_domu(machine, toolstack, domu, *each)
        for domu, each in zip(machine.shape.domu, started, strict=True)
    ]
    with machine.step("reading all in a dump", "dump of all"):
        maps[Reading.LATER_DOM0] = _walked(machine, machine.talk, Reading.LATER_DOM0)
        machine.learn_symbols(collect.XENSYMS, collect.xen_symbols(machine.talk))
        domains = _domains(machine)
        maps[Reading.LATER_DUMP] = _side(domains, 0, Reading.LATER_DUMP)
        for each in found:
            each.maps[Reading.LATER_DUMP] = _side(domains, each.domid, Reading.LATER_DUMP)
    return tuple(found)


def _look_at_domu(
    machine: Machine, toolstack: Toolstack, domu: Domu, domid: int, talk: DomuConsole
) -> DomuBoot:
    bars: tuple[BarUse, ...] = ()
    maps: dict[str, Side] = {}
    with machine.step(f"looking at {domu.name}", f"{domu.name} capture"):
        if domu.pci:
            talk.use_devices(len(domu.pci))
            bars = use_bars(talk, tuple(machine.bars[number] for number in domu.pci))
        texts = collect.collect(talk)
        maps[Reading.DOMU] = _walked(machine, talk, Reading.DOMU)
    if machine.python is not None:
        with machine.step(f"running inspect --live in {domu.name}", f"{domu.name} live"):
            maps[Reading.LIVE] = _inspected(machine, talk, machine.python)
    with machine.step(f"dumping {domu.name}", f"{domu.name} dump"):
        toolstack.dump_core(domid)
        dump = open_dump(f"/proc/self/fd/{machine.disk}")
        maps[Reading.CORE] = _side(inspect(dump), None, Reading.CORE)
        maps[Reading.LISTED] = listing.of_core(dump, Reading.LISTED)
        maps[Reading.MFNDUMP] = listing.of_mfndump(toolstack.frame_listing(domid), Reading.MFNDUMP)
    return DomuBoot(domu, domid, texts, bars, maps)


def _walked(machine: Machine, talk: Talk, name: Reading) -> Side:
    return Side(name, read_live(reader(talk), machine.symbols.linux))


def _inspected(machine: Machine, talk: Talk, python: GuestPython) -> Side:
    """Run ``xenp2m inspect --live`` in a guest."""
    complaints = "/tmp/complaints"
    answer = talk.ask(
        f"{{ {python.line} inspect --live --json; }} 2>{complaints} || {{ cat {complaints}; false; }}"
    )
    if answer.status:
        said = answer.text.strip().splitlines() or ["no reason"]
        raise MissingFactError("inspect --live failed", found=said[-1])
    file = machine.folder / "inspection.json"
    file.write_text(answer.text)
    known = read_map(file)
    if known is None:
        raise MissingFactError("inspect --live printed no map", found=answer.text[:60])
    return Side(Reading.LIVE, known.map, known.ambiguous)


def _domains(machine: Machine) -> Inspection:
    """Look for the domains in a dump of the whole machine, which has no name in the file system."""
    machine.monitor.execute("stop")
    form = "elf" if machine.shape.memory <= _LARGEST_ELF else "kdump-zlib"
    with tempfile.TemporaryFile() as file:
        machine.monitor.dump_memory(file.fileno(), form, machine.clock.left)
        machine.monitor.execute("cont")
        return inspect(open_dump(f"/proc/self/fd/{file.fileno()}"), machine.symbols)


def _side(found: Inspection, domid: int | None, name: Reading) -> Side:
    """Return the p2m of a domain; the only one of a dump can lack an id."""
    p2m: P2m | None = None
    for domain in found.domains:
        if domain.domid == domid or (len(found.domains) == 1 and domain.domid is None):
            p2m = domain.p2m
    if p2m is None:
        ids = ", ".join(str(domain.domid) for domain in found.domains) or "no domains"
        raise MissingFactError(
            "no such domain with a p2m", expected=f"domain {domid}", found="; ".join((ids, *found.notes))
        )
    return Side(name, p2m.map, p2m.ambiguous)
