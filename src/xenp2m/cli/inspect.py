"""``xenp2m inspect``: what a dump or the running kernel holds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from xenp2m.cli.dumps import dump_options
from xenp2m.cli.options import html_option, picture_options

if TYPE_CHECKING:
    from xenp2m.check.inspected import Address, Found, Wanted
    from xenp2m.cli.pictures import Pictures
    from xenp2m.prediction import Prediction


@click.command(name="inspect")
@click.argument("dumps", metavar="[DUMP [PART...]]", nargs=-1, type=click.Path())
@dump_options
@click.option("--live", is_flag=True, help="Look at the running kernel of this PV guest (needs root).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object (xenp2m.inspection/1).")
@click.option(
    "--map", "map_file", type=click.Path(dir_okay=False), help="Write the domain's map (xenp2m.map/1)."
)
@html_option
@picture_options
@click.option("--va", "addresses", multiple=True, metavar="ADDRESS", help="Translate a virtual address.")
@click.option("--find-frame", "frames", multiple=True, metavar="MFN", help="Who maps a machine frame.")
@click.option(
    "--find-bar", "ranges", multiple=True, metavar="START+SIZE", help="Who maps a BAR: 0x200000000+16M."
)
@click.option(
    "--machine",
    "captures",
    multiple=True,
    type=click.Path(),
    metavar="CAPTURE",
    help="Captures of the machine: all its BARs are looked for.",
)
@click.option(
    "--mappings/--no-mappings", default=None, help="Sum up all page tables. Default: for dumps below 64 GiB."
)
def command(
    dumps: tuple[str, ...],
    symbol_files: tuple[str, ...],
    domid: int | None,
    raw: bool,
    live: bool,
    as_json: bool,
    map_file: str | None,
    addresses: tuple[str, ...],
    frames: tuple[str, ...],
    ranges: tuple[str, ...],
    captures: tuple[str, ...],
    mappings: bool | None,
    html: str | None,
    pictures: Pictures,
) -> int:
    """What a dump or the running kernel holds: its domains, their frame maps, what their page tables map.

    DUMP is an xl dump-core, an ELF or kdump-compressed dump of a whole host (the parts of a split one), or
    with --raw a memory image; zstd, xz and gzip are unpacked. What the dump does not tell is said, and is
    never an address.

    \b
      xenp2m inspect vmcore
      xenp2m inspect guest.core --symbols System.map --map guest.json
      xenp2m inspect host.elf --find-bar 0x200000000+16M --va 0xffff888000000000
      xenp2m inspect host.elf --machine dmesg.txt --machine lspci.txt --html host.html
    """
    from xenp2m.check.inspected import MANY_FRAMES, Look, choose_domain, map_of
    from xenp2m.cli.dumps import read_dump, read_live
    from xenp2m.mapfile import write_map
    from xenp2m.units import parse_size

    if live == bool(dumps):
        raise click.UsageError("give a dump, or --live and no dump")
    asked = _wanted(frames, ranges)
    virtual = [parse_size(text) for text in addresses]
    prediction, bars = _machine(captures)
    predicted = None if prediction is None else prediction.guest.p2m
    found = read_live(symbol_files) if live else read_dump(dumps, symbol_files, raw=raw)
    one = domid is not None or map_file is not None or virtual or asked or bars
    chosen = choose_domain(found, domid) if one else None
    shown = [each for each in found.domains if domid is None or each is chosen]
    looks = [Look(found, each, predicted=predicted) for each in shown]
    searches: tuple[Found, ...] = ()
    translations: list[Address] = []
    if chosen is not None:
        look = next(look for look in looks if look.domain is chosen)
        searches = look.find([*asked, *bars]) if asked or bars else ()
        translations = [each for va in virtual for each in look.translate(va)]
    if map_file is not None and chosen is not None:
        known = map_of(found, chosen)
        write_map(map_file, known, chosen.p2m.ambiguous if chosen.p2m else ())
    walk = mappings if mappings is not None else found.memory.held <= MANY_FRAMES
    if html is not None and any(each.p2m is not None for each in shown):
        from xenp2m.cli.options import write_page
        from xenp2m.draw.page import inspection_page

        write_page(html, inspection_page(found, shown, prediction))
    if pictures.wanted:
        from xenp2m.draw.inspection import named_maps
        from xenp2m.draw.svg import maps_svg

        if maps := named_maps(shown):
            pictures.write(partial(maps_svg, maps, found.name, found.container))
    if as_json:
        import json

        from xenp2m.draw.inspection import inspection_to_json

        click.echo(json.dumps(inspection_to_json(found, looks, searches, translations, walk=walk)))
    else:
        from xenp2m.draw.console import stdout
        from xenp2m.draw.inspection import print_addresses, print_found, print_inspection

        console = stdout()
        print_inspection(found, looks, console, walk=walk)
        if searches:
            print_found(look, searches, console)
        print_addresses(translations, console)
    if not any(each.p2m is not None for each in shown):
        choose_domain(found, domid)
        map_of(found, shown[0])
    return 0


def _wanted(frames: Sequence[str], ranges: Sequence[str]) -> list[Wanted]:
    from xenp2m.check.inspected import Wanted
    from xenp2m.runs import END_OF_FRAMES
    from xenp2m.units import parse_frame, parse_size, pfn_down, pfn_up

    found = []
    for text in frames:
        frame = parse_frame(text)
        found.append(Wanted(f"frame {frame:#x}", frame, frame + 1))
    for text in ranges:
        start, plus, size = text.partition("+")
        if not plus:
            raise click.UsageError(f"--find-bar {text!r} is not START+SIZE, as in 0x200000000+16M")
        first, length = parse_size(start), parse_size(size)
        if not length or pfn_up(first + length) > END_OF_FRAMES:
            raise click.UsageError(f"--find-bar {text!r}: no such range of addresses")
        found.append(Wanted(f"BAR {text}", pfn_down(first), pfn_up(first + length)))
    return found


def _machine(captures: Sequence[str]) -> tuple[Prediction | None, list[Wanted]]:
    """Return what the old kernel makes of the machine, and the BARs of it."""
    if not captures:
        return None, []
    from xenp2m.check.inspected import Wanted
    from xenp2m.check.mapped import OLD_KERNEL
    from xenp2m.cli.options import read_machine
    from xenp2m.prediction import predict

    prediction = predict(read_machine(captures, None), OLD_KERNEL)
    bars = [
        Wanted(f"BAR {bar.label}", bar.pfn_start, max(bar.pfn_end, bar.pfn_start + 1))
        for bar in prediction.machine.bars
    ]
    return prediction, bars
