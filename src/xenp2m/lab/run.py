"""Booting a shape: start it, wait for its words, collect, look at its memory, judge, write."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from xenp2m.dump import P2m, inspect, open_dump, symbols
from xenp2m.errors import InputError, Xenp2mError
from xenp2m.lab import collect
from xenp2m.lab.bars import use_bars
from xenp2m.lab.console import Conversation
from xenp2m.lab.errors import GuestError, LabError
from xenp2m.lab.judge import judge, truth
from xenp2m.lab.kcore import Kcore, pages_of, parse_symbols
from xenp2m.lab.kit import Kit
from xenp2m.lab.live import read_live
from xenp2m.lab.process import Lines, Process
from xenp2m.lab.qemu import Files, command_line, write_esp
from xenp2m.lab.qmp import Qmp
from xenp2m.lab.result import Boot, Result
from xenp2m.lab.scratch import scratch
from xenp2m.lab.shape import Shape
from xenp2m.units import GIB

Progress = Callable[[str], None]

RESULT_FILE = "result.json"
MAP_FILE = "map.json"
TRUTH_FILE = "truth.json"

_MONITOR_SECONDS = 20.0
_TAIL_LINES = 12
# A plain ELF dump is quicker to write and to read, but as large as the machine's memory.
_LARGEST_ELF = 2 * GIB


class _Clock:
    """Seconds since a start, kept under names, and how many are left."""

    def __init__(self, limit: float) -> None:
        self._start = time.monotonic()
        self.deadline = self._start + limit
        self.seconds: dict[str, float] = {}

    def mark(self, name: str) -> None:
        self.seconds[name] = time.monotonic() - self._start

    @property
    def left(self) -> float:
        return max(self.deadline - time.monotonic(), 1.0)


def run_shape(
    shape: Shape,
    kit: Kit,
    *,
    timeout: float,
    output: Path | None = None,
    kernel: str | None = None,
    progress: Progress = lambda _: None,
) -> Result:
    """Boot a shape, compare it with the prediction, and write its capture below ``output``.

    ``timeout`` is in seconds, for all of it.  ``kernel`` names the rules to predict with, by default those of
    the kernel that booted.  A machine that fails is a result, not an error, and is written without capture;
    LabError is raised where the kit does not fit the shape.
    """
    if shape.firmware == "ovmf" and not kit.can_uefi:
        raise LabError(
            "UEFI firmware or Xen's EFI program is missing", where=shape.name, expected="xenp2m lab setup"
        )
    clock = _Clock(timeout)
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        lines = Lines()
        stack.callback(lines.close)
        talk = Conversation(lines.xen, lines.dom0, clock.deadline)
        try:
            boot = _boot(shape, kit, folder, lines, talk, clock, progress)
            texts = folder / "texts"
            _write_files(texts, boot.texts)
            progress("predicting")
            judgement, capture = judge(boot, texts, kernel)
        except (GuestError, InputError) as error:
            clock.mark("total")
            tail = [line for line in talk.log.splitlines() if line.strip()][-_TAIL_LINES:]
            failed = Result(shape, error=str(error), tail=tuple(tail), seconds=clock.seconds)
            if output is not None:
                _write(output, failed, {})
            return failed
        clock.mark("total")
        result = Result(shape, boot, judgement, seconds=clock.seconds)
        if output is not None:
            known = truth(shape, boot, judgement, capture, clock.seconds["shell"])
            files = {**boot.texts, TRUTH_FILE: json.dumps(known, indent=1) + "\n"}
            if boot.measured is not None:
                files[MAP_FILE] = json.dumps(boot.measured.to_json()) + "\n"
            _write(output, result, files)
        return result


def _boot(
    shape: Shape,
    kit: Kit,
    folder: Path,
    lines: Lines,
    talk: Conversation,
    clock: _Clock,
    progress: Progress,
) -> Boot:
    with ExitStack() as stack:
        kernel = stack.enter_context(kit.kernel.open("rb"))
        initrd = stack.enter_context(tempfile.TemporaryFile())
        initrd.write(kit.initrd)
        initrd.flush()
        backing = [stack.enter_context(tempfile.TemporaryFile()) for _ in shape.bars]
        for file, size in zip(backing, shape.bars, strict=True):
            file.truncate(size)
        bars = tuple(file.fileno() for file in backing)
        files = Files(kernel.fileno(), initrd.fileno(), lines.files, bars)
        esp = None
        if shape.firmware == "ovmf":
            esp = folder / "esp"
            write_esp(esp, shape, kit, kit.initrd)
        process = stack.enter_context(Process(command_line(shape, kit, files, esp), files.all))
        lines.close_theirs()
        try:
            return _look(shape, lines, talk, clock, folder, bars, progress)
        except GuestError as error:
            complaint = process.complaint()
            if complaint and not talk.log:
                raise GuestError("QEMU gave up", found=complaint) from error
            raise


def _look(
    shape: Shape,
    lines: Lines,
    talk: Conversation,
    clock: _Clock,
    folder: Path,
    bars: tuple[int, ...],
    progress: Progress,
) -> Boot:
    progress("booting")
    talk.wait_ready()
    clock.mark("shell")
    progress("collecting")
    texts = collect.collect(talk)
    kallsyms = collect.kernel_symbols(talk)
    clock.mark("capture")
    progress("using BARs")
    used = use_bars(talk, bars)
    clock.mark("bars")
    notes: list[str] = []
    progress("reading the p2m in dom0")
    live = None
    try:
        live = read_live(Kcore(pages_of(talk), parse_symbols(kallsyms)))
    except InputError as error:
        notes.append(f"in dom0: {error}")
    clock.mark("live")
    progress("reading the p2m in a dump")
    names = folder / collect.KALLSYMS
    names.write_text(kallsyms)
    dump = None
    try:
        dump = _dumped(shape, lines, clock, names)
    except InputError as error:
        notes.append(f"in the dump: {error}")
    clock.mark("dump")
    if dump is None:
        return Boot(texts, used, live, notes=tuple(notes))
    return Boot(texts, used, live, dump.map, dump.ambiguous, tuple(notes))


def _dumped(shape: Shape, lines: Lines, clock: _Clock, names: Path) -> P2m:
    """Read the p2m of dom0 in a dump of the whole machine, which has no name in the file system."""
    monitor = Qmp(lines.monitor, _MONITOR_SECONDS)
    monitor.execute("stop")
    form = "elf" if shape.memory <= _LARGEST_ELF else "kdump-zlib"
    with tempfile.TemporaryFile() as file:
        monitor.dump_memory(file.fileno(), form, clock.left)
        known = symbols.load(names) if names.stat().st_size else None
        found = inspect(open_dump(f"/proc/self/fd/{file.fileno()}"), known)
        for domain in found.domains:
            if domain.domid in (0, None) and domain.p2m is not None:
                return domain.p2m
    raise InputError("no dom0 with a p2m", found="; ".join(found.notes) or f"{len(found.domains)} domains")


def _write_files(folder: Path, files: Mapping[str, str]) -> None:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)


def _write(output: Path, result: Result, files: Mapping[str, str]) -> None:
    """Write a folder named after the shape, whole or not at all; an older one is replaced."""
    output.mkdir(parents=True, exist_ok=True)
    target = output / result.shape.name
    with scratch(output) as made:
        new, old = made / "new", made / "old"
        _write_files(new, {**files, RESULT_FILE: json.dumps(result.to_json(), indent=1) + "\n"})
        try:
            if target.exists():
                target.rename(old)
            new.rename(target)
        except OSError as error:
            raise Xenp2mError(f"cannot write the capture: {error.strerror}", where=str(target)) from error
