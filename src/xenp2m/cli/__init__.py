"""The command line, one module a command."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from xenp2m.errors import Xenp2mError
from xenp2m.printable import printable

CANNOT_TELL = 2
"""Exit status when the input or the question cannot be used."""
INTERRUPTED = 130
"""Exit status after Ctrl-C."""
PIPE_CLOSED = 141
"""Exit status when the reader of the output went away."""

COMMANDS = {
    "predict": "What a kernel makes of a machine: its frame map, its log lines, which BARs map.",
    "check": "What goes wrong on a machine under a kernel: findings with codes and remedies.",
    "rule": "The rules of check: what each finds, why, under which kernels, the remedy.",
    "explain": "The steps by which one frame or BAR gets its answer.",
    "view": "A full-screen viewer: the map from all of it to one frame, search, differences.",
    "series": "The nine patches of 2014, one by one, on a machine.",
    "ledger": "Where the memory went: every page of host and guest, to the page.",
    "inspect": "What a dump or the running kernel holds: domains, frame maps, page tables.",
    "audit": "What is wrong in a dump: p2m against M2P, page tables, the dump itself.",
    "diff": "Two frame maps run by run: predictions, dumps, map files, the running kernel.",
    "translate": "PFN and MFN, addresses and page table entries, into each other.",
    "tree": "The p2m of a machine drawn as the tree that it is.",
    "capture": "Collect from this machine what prediction needs, and nothing personal.",
    "machine": "Read captures and print the machine as one JSON object.",
    "fleet": "Thousands of machines under several kernels: what breaks, in tables to ask in SQL.",
    "catalogue": "Real machines that come with the program: catalogue:ID stands for a capture.",
    "lab": "Real Xen and a real dom0 in QEMU, held against the prediction.",
    "kernels": "The kernels and patches that can be asked for.",
    "completion": "Print the completion script of a shell.",
}
"""Every command and what it answers; the module of the same name is imported when it runs."""


class _StoppedError(Exception):
    """Ctrl-C or a closed pipe, in a form that click passes on; it would make statuses of its own of them."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _LazyGroup(click.Group):
    """Loads a command's module when it runs, so that ``--help`` imports nothing."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _progress():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            raise _StoppedError(INTERRUPTED) from None
        except BrokenPipeError:
            raise _StoppedError(PIPE_CLOSED) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"xenp2m.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = get_close_matches(name, COMMANDS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the commands are {', '.join(COMMANDS)}"
            raise click.UsageError(f"no command {name!r}; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 all well, 1 something was found (a BAR that does not map), 2 bad input or usage.",
)
@click.version_option(package_name="xenp2m", message="xenp2m %(version)s")
def app() -> None:
    """What Linux PV kernels on Xen make of a machine's memory map.

    Give it what you would paste into a mail: a boot log, Xen's console, /proc/iomem, lspci -vv.

    \b
      xenp2m predict dmesg.txt --kernel 3.15 --kernel series
      dmesg | xenp2m predict - --dom0-mem 4G
      xenp2m explain dmesg.txt 0000:3b:00.0 --kernel 3.15
    """


@contextmanager
def _progress() -> Iterator[None]:
    """Show how far the command is, where standard error is a terminal that can take a line back."""
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        yield
        return
    from xenp2m.draw.progress import Bar
    from xenp2m.progress import listening

    bar = Bar()
    try:
        with listening(bar):
            yield
    finally:
        bar.close()


def run(args: list[str]) -> int:
    """Run the program with ``args`` and return its exit status; every error is one line on stderr."""
    try:
        status = app.main(args=args, prog_name="xenp2m", standalone_mode=False)
        sys.stdout.flush()
    except _StoppedError as stopped:
        return _stop(stopped.status)
    except (click.exceptions.Abort, KeyboardInterrupt):
        return _stop(INTERRUPTED)
    except BrokenPipeError:
        return _stop(PIPE_CLOSED)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "xenp2m"
        return _fail(f"{error.format_message()} (see {command} --help)")
    except click.ClickException as error:
        return _fail(error.format_message())
    except Xenp2mError as error:
        return _fail(str(error))
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        return _fail(f"{name}{error.strerror or error}")
    except MemoryError:
        return _fail("out of memory")
    return status if isinstance(status, int) else 0


def _stop(status: int) -> int:
    if status == INTERRUPTED:
        # What is left to do is quick, and a second Ctrl-C would show its inside.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        tell("interrupted")
    else:
        # Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def _fail(message: str) -> int:
    tell(message)
    return CANNOT_TELL


def tell(message: str) -> None:
    """Say something in one line on standard error; where nobody can hear it, the exit status says enough."""
    with suppress(OSError):
        click.echo(f"xenp2m: {printable(' '.join(message.split()))}", err=True)


def main() -> None:
    """Entry point of the ``xenp2m`` script; a standard stream that is closed is as good as /dev/null."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115
    sys.exit(run(sys.argv[1:]))
