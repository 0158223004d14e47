"""Booting a shape: start it, look at it, judge, write."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from xenp2m.capture import Capture, read_files
from xenp2m.errors import InputError
from xenp2m.lab import collect
from xenp2m.lab.clock import Clock
from xenp2m.lab.console import Conversation
from xenp2m.lab.errors import GuestError, LabError
from xenp2m.lab.guestpython import GuestPython
from xenp2m.lab.guestpython import build as build_python
from xenp2m.lab.image import with_domus
from xenp2m.lab.judge import guest_truth, judge, judge_domu, truth
from xenp2m.lab.keep import HOST_CONSOLE, capture_files, keep, write_files
from xenp2m.lab.kit import Kit
from xenp2m.lab.look import Machine, Progress, look
from xenp2m.lab.look import steps as looking_steps
from xenp2m.lab.process import Lines, Process
from xenp2m.lab.qemu import Files, command_line, write_esp
from xenp2m.lab.qmp import Qmp
from xenp2m.lab.result import Boot, DomuResult, Result
from xenp2m.lab.scratch import scratch
from xenp2m.lab.shape import Shape
from xenp2m.units import GIB

_MONITOR_SECONDS = 20.0
_TAIL_LINES = 12
_DISK_SIZE = GIB


@dataclass
class _Run:
    """One shape being booted; ``folder`` is for temporary files."""

    shape: Shape
    kit: Kit
    folder: Path
    clock: Clock
    lines: Lines
    talk: Conversation
    progress: Progress


def steps(shape: Shape) -> int:
    """Return how often ``run_shape`` tells its progress, at most."""
    return looking_steps(shape) + 1


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
    _check_kit(shape, kit)
    clock = Clock(timeout)
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        lines = Lines()
        stack.callback(lines.close)
        talk = Conversation(lines.xen, lines.dom0, clock.deadline)
        captures: dict[str, dict[str, str]] = {}
        try:
            boot = _boot(_Run(shape, kit, folder, clock, lines, talk, progress))
            progress("predicting")
            result = _judged(shape, boot, folder, kernel, captures)
        except (GuestError, InputError) as error:
            tail = [line for line in talk.log.splitlines() if line.strip()][-_TAIL_LINES:]
            result = Result(shape, error=str(error), tail=tuple(tail))
        clock.mark("total")
        result.seconds.update(clock.seconds)
        if output is not None:
            keep(output, result, captures)
        return result


def _check_kit(shape: Shape, kit: Kit) -> None:
    remedy = "xenp2m lab setup"
    if shape.firmware == "ovmf" and not kit.can_uefi:
        raise LabError("UEFI firmware or Xen's EFI program is missing", where=shape.name, expected=remedy)
    if shape.domu and kit.toolstack is None:
        raise LabError("Xen's toolstack is missing", where=shape.name, expected=remedy)


def _judged(
    shape: Shape, boot: Boot, folder: Path, kernel: str | None, captures: dict[str, dict[str, str]]
) -> Result:
    """Judge dom0 and its domUs; their captures are put into ``captures`` by the names of their folders."""
    texts = folder / "texts"
    write_files(texts, boot.texts)
    judgement, capture = judge(boot, shape, texts, kernel)
    known = truth(shape, boot.measured, boot.bars, judgement.rules, capture)
    captures[shape.name] = capture_files(boot.texts, known, boot.measured)
    domus = []
    for domu in boot.domus:
        verdict = judge_domu(domu, shape, capture, boot.bars, kernel)
        domus.append(DomuResult(domu, verdict))
        own = _capture_of(folder / domu.domu.name, domu.texts)
        known = truth(shape, domu.measured, domu.bars, verdict.rules, own)
        known["guest"] = guest_truth(domu.domu, boot.bars)
        files = {**domu.texts, HOST_CONSOLE: boot.texts[collect.XEN_CONSOLE]}
        captures[f"{shape.name}.{domu.domu.name}"] = capture_files(files, known, domu.measured)
    return Result(shape, boot, judgement, tuple(domus))


def _capture_of(folder: Path, texts: dict[str, str]) -> Capture:
    write_files(folder, texts)
    return read_files([folder])


def _boot(run: _Run) -> Boot:
    shape, kit = run.shape, run.kit
    with ExitStack() as stack:
        python = build_python() if shape.live else None
        content = _first_file_system(shape, kit, python)
        kernel = stack.enter_context(kit.kernel.open("rb"))
        initrd = stack.enter_context(tempfile.TemporaryFile())
        initrd.write(content)
        initrd.flush()
        sizes = [*shape.bars, *([_DISK_SIZE] if shape.domu else [])]
        held = [stack.enter_context(tempfile.TemporaryFile()) for _ in sizes]
        for file, size in zip(held, sizes, strict=True):
            file.truncate(size)
        bars = tuple(file.fileno() for file in held[: len(shape.bars)])
        disk = held[-1].fileno() if shape.domu else None
        files = Files(kernel.fileno(), initrd.fileno(), run.lines.files, bars, disk)
        esp = None
        if shape.firmware == "ovmf":
            esp = run.folder / "esp"
            write_esp(esp, shape, kit, content)
        process = stack.enter_context(Process(command_line(shape, kit, files, esp), files.all))
        run.lines.close_theirs()
        try:
            monitor = Qmp(run.lines.monitor, _MONITOR_SECONDS)
            return look(
                Machine(shape, run.talk, monitor, bars, disk, python, run.folder, run.clock, run.progress)
            )
        except GuestError as error:
            complaint = process.complaint()
            if complaint and not run.talk.log:
                raise GuestError("QEMU gave up", found=complaint) from error
            raise


def _first_file_system(shape: Shape, kit: Kit, python: GuestPython | None) -> bytes:
    archive = b"" if python is None else python.archive
    if not shape.domu:
        return kit.initrd + archive
    assert kit.toolstack is not None
    frontend = None if kit.frontend is None else kit.frontend.read_bytes()
    return with_domus(kit.initrd, kit.toolstack.read_bytes(), kit.kernel.read_bytes(), frontend, archive)
