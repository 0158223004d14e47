"""``xenp2m translate``: frames, addresses and page table entries into each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from xenp2m.cli.dumps import dump_options
from xenp2m.cli.options import captures_argument, what_if_options

if TYPE_CHECKING:
    from xenp2m.check.translate import Translation, Translator


@click.command(name="translate")
@captures_argument
@click.option(
    "--kernel", metavar="NAME", help="Whose rules. Default: the map's or capture's own, else the newest."
)
@what_if_options
@dump_options
@click.option("--pfn", "pfns", multiple=True, metavar="N", help="Guest frame to machine frame.")
@click.option("--mfn", "mfns", multiple=True, metavar="N", help="Machine frame to guest frame.")
@click.option(
    "--phys", "addresses", multiple=True, metavar="ADDRESS", help="Guest-physical to machine address."
)
@click.option(
    "--machine", "machines", multiple=True, metavar="ADDRESS", help="Machine to guest-physical address."
)
@click.option(
    "--pte", "ptes", multiple=True, metavar="ENTRY", help="Take apart a PTE as it stands in memory."
)
@click.option(
    "--make", "values", multiple=True, metavar="'FRAME FLAGS'", help="Make the PTE for a guest frame."
)
@click.option("--json", "as_json", is_flag=True, help="Print the answers as a JSON array.")
def command(
    captures: tuple[str, ...],
    kernel: str | None,
    boot: int | None,
    symbol_files: tuple[str, ...],
    domid: int | None,
    raw: bool,
    pfns: tuple[str, ...],
    mfns: tuple[str, ...],
    addresses: tuple[str, ...],
    machines: tuple[str, ...],
    ptes: tuple[str, ...],
    values: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """PFN and MFN, addresses and page table entries, into each other.

    CAPTURES are those of a machine to predict for, one map file (xenp2m.map/1, or a prediction), or a dump
    (the parts of a split one). In a prediction only the hypervisor knows the machine frames of RAM: no number
    is made up for them. A dump's M2P is asked where it is the whole host's.

    \b
      xenp2m translate dmesg.txt --kernel 3.15 --phys 0x21fff000000
      xenp2m translate map.json --pfn 0x1000 --mfn 0x1c000
      xenp2m translate host.elf --domain 1 --mfn 0x38800
      xenp2m translate dmesg.txt --pte 0x8000003800000627 --kernel 3.16
      xenp2m translate dmesg.txt --make "0x3800000 PRESENT|RW|USER|NX"
    """
    from xenp2m.units import parse_address, parse_frame

    if not (pfns or mfns or addresses or machines or ptes or values):
        raise click.UsageError("nothing to translate: give --pfn, --mfn, --phys, --machine, --pte or --make")
    from xenp2m.dump import is_dump

    if raw or is_dump(captures[0]):
        translator = _of_dump(captures, kernel, symbol_files, domid, raw)
    else:
        translator = _translator(captures, kernel, boot, domid, options)
    questions: list[tuple[Callable[[Any], Translation], tuple[Any, ...]]] = [
        (translator.pfn, tuple(map(parse_frame, pfns))),
        (translator.mfn, tuple(map(parse_frame, mfns))),
        (translator.phys, tuple(map(parse_address, addresses))),
        (translator.machine, tuple(map(parse_address, machines))),
        (translator.decode, ptes),
        (translator.encode, values),
    ]
    answers = [ask(question) for ask, asked in questions for question in asked]
    if as_json:
        import json

        click.echo(json.dumps([answer.to_json() for answer in answers]))
        return
    width = max(len(answer.asked) for answer in answers)
    for answer in answers:
        click.echo(f"{answer.asked.ljust(width)}  {answer.answer}")


def _of_dump(
    dumps: tuple[str, ...],
    kernel: str | None,
    symbol_files: tuple[str, ...],
    domid: int | None,
    raw: bool,
) -> Translator:
    from xenp2m.check.inspected import choose_domain, translator_of
    from xenp2m.cli.dumps import read_dump
    from xenp2m.rules import KERNELS, rules_for

    found = read_dump(dumps, symbol_files, raw=raw)
    return translator_of(found, choose_domain(found, domid), rules_for(kernel or KERNELS[-1].name))


def _translator(
    captures: tuple[str, ...],
    kernel: str | None,
    boot: int | None,
    domid: int | None,
    options: dict[str, Any],
) -> Translator:
    from xenp2m.check.translate import Translator
    from xenp2m.cli.options import kernel_names, read_machine, what_if
    from xenp2m.mapfile import read_map
    from xenp2m.prediction import predict
    from xenp2m.rules import KERNELS, rules_for
    from xenp2m.units import pfn_down, pfn_up

    chosen = what_if(**options)
    if len(captures) == 1 and (known := read_map(captures[0], domid)) is not None:
        rules = rules_for(kernel or known.kernel or KERNELS[-1].name)
        return Translator(rules, known.map, ambiguous=known.ambiguous)
    capture = read_machine(captures, boot)
    (name,) = kernel_names([kernel] if kernel else [], capture)
    prediction = predict(capture, name, chosen)
    host = prediction.machine.e820
    return Translator(
        prediction.rules,
        prediction.guest.p2m,
        host_ram=[(pfn_down(entry.start), pfn_up(entry.end)) for entry in host if entry.is_ram],
        initial_domain=prediction.guest.config.is_dom0,
    )
