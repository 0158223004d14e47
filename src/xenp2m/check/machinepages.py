"""The machine pages of a domain, by the steps of memory setup, and the host's, which they are part of."""

from __future__ import annotations

from collections.abc import Iterable

from xenp2m.boot.e820 import RAM, UNUSABLE, Range, sanitise, unusable_to_ram
from xenp2m.boot.guest import Guest, OpKind, Origin
from xenp2m.boot.host import available_pages
from xenp2m.boot.memspec import NO_MAXIMUM, MemorySpec
from xenp2m.check.account import Account, Line
from xenp2m.check.spans import Span, common, joined, length, without
from xenp2m.entry import Kind
from xenp2m.machine import Machine, MapSource
from xenp2m.units import PAGE_SHIFT, pfn_down, pfn_up


def domain_account(guest: Guest) -> tuple[Account, tuple[str, ...]]:
    """Account for the machine pages that the domain was given, and say what contradicts.

    The placements of the RAM frames and the changes that memory setup made are told apart by it; a machine
    page in two places, or one both given back and in use, is a contradiction.
    """
    given = [(0, guest.config.nr_pages)]
    placed: list[Span] = []
    in_place = moved = fresh = host = 0
    for place in guest.placements:
        pages = place.end - place.start
        if place.origin is Origin.BUILDER:
            placed.append((place.base, place.base + pages))
            in_place += pages if place.base == place.start else 0
            moved += pages if place.base != place.start else 0
        elif place.origin is Origin.FRESH:
            fresh += pages
        else:
            host += pages
    released = _spans(guest, OpKind.RELEASE)
    populated = _pages(guest, OpKind.POPULATE)
    lost = without(without(given, placed), released)
    past_end = common(lost, [(guest.p2m.end_pfn, guest.config.nr_pages)])
    account = Account(
        "domain",
        "The domain's machine pages",
        (
            Line("given", "given by the domain builder", guest.config.nr_pages, "nr_pages of start_info"),
            Line(
                "populated", "asked for during setup", populated, "in place of those given back (3.5 to 3.17)"
            ),
        ),
        (
            Line("in_place", "in use where the builder put them", in_place),
            Line("moved", "remapped: moved out of holes", moved, "to free pfns (3.18 and later)"),
            Line("fresh", "populated: fresh ones in use", fresh),
            Line(
                "given_back", "given back to Xen", length(released), "frames that lay under holes of the map"
            ),
            Line(
                "hidden",
                "lost: no entry names them",
                length(lost) - length(past_end),
                "overwritten in the p2m",
            ),
            Line("past_end", "past the end of the p2m", length(past_end), "the kernel cannot reach these"),
            Line("lost_fresh", "lost: populated, then overwritten", populated - fresh),
        ),
        (Line("host_frames", "RAM entries that name firmware's frames", host, "moved ACPI NVS"),),
    )
    return account, tuple(
        _contradictions(guest, placed, released, populated, in_place + moved + fresh + host)
    )


def _contradictions(
    guest: Guest, placed: list[Span], released: list[Span], populated: int, ram: int
) -> Iterable[str]:
    twice = sum(end - start for start, end in placed) - length(joined(placed))
    if twice:
        yield f"{twice} machine pages are in the p2m twice"
    both = length(common(placed, released))
    if both:
        yield f"{both} machine pages were given back and are in the p2m"
    in_p2m = guest.p2m.counts()[Kind.RAM]
    if in_p2m != ram:
        yield f"the p2m has {in_p2m} RAM frames, the placements {ram}"
    given_back = _pages(guest, OpKind.RELEASE)
    if given_back - populated != guest.ballooned:
        yield (
            f"setup gave {given_back} pages back and asked for {populated}, but counts {guest.ballooned} "
            "as released"
        )
    log = guest.log
    if guest.stopped is None and log.remapped is not None:
        changed = _pages(guest, OpKind.MOVE, OpKind.NVS)
        told = log.remapped + (log.remapped_nonram or 0)
        if changed != told:
            yield f"setup entered {changed} pages elsewhere and logs {told}"


def host_account(guest: Guest, machine: Machine | None) -> Account | None:
    """Account for the host's RAM; None where no map of the host is known.

    What is not the domain's is Xen's, or free, or other domains': the remarks split it where the machine's
    texts, or the estimate that dom0's size came from, tell.
    """
    entries = _host_entries(guest, machine)
    if entries is None:
        return None
    whole = joined((pfn_up(start), pfn_down(end)) for start, end, kind in entries if kind == RAM)
    touched = joined((pfn_down(start), pfn_up(end)) for start, end, kind in entries if kind == RAM)
    edges = without(touched, whole)
    unusable = length(without([(pfn_down(s), pfn_up(e)) for s, e, k in entries if k == UNUSABLE], touched))
    ram_bytes = sum(end - start for start, end, kind in entries if kind == RAM)
    given_back = _pages(guest, OpKind.RELEASE)
    again = _pages(guest, OpKind.POPULATE)
    own = guest.config.nr_pages - given_back + again
    back = max(0, given_back - again)
    rest = length(whole) - own - back
    who = "dom0" if guest.config.is_dom0 else "the domU"
    others = "Xen, and free for domUs" if guest.config.is_dom0 else "Xen, dom0, other domains, and free"
    why = f"{ram_bytes} bytes in {length(touched)} pages"
    if machine is not None and machine.e820_source is MapSource.DOM0_FINAL:
        why += "; a dom0 kernel made this map, and may have left RAM out"
    in_edges = ram_bytes - (length(whole) << PAGE_SHIFT)
    sources = (
        Line("ram", "host RAM by the map", length(touched), why),
        Line("marked", "marked unusable (type 5)", unusable, "RAM that nobody may use"),
        Line("unseen", "RAM that the map does not show", max(0, -rest), f"{who} has more than the map holds"),
    )
    lines = (
        Line("domain", who, own, "given by the domain builder, less what it gave back"),
        Line("given_back", f"given back by {who} at boot", back, "free again, for any domain"),
        Line("rest", others, max(0, rest), "host RAM that is not in the other lines"),
        Line(
            "edges", "partial pages at the edges of RAM", length(edges), f"{in_edges} bytes that nobody uses"
        ),
        Line("unusable", "unusable", unusable, "type 5: bad RAM, or kept by firmware"),
    )
    return Account("host", "Host RAM", sources, lines, _split(guest, machine, length(whole), max(0, rest)))


def _host_entries(guest: Guest, machine: Machine | None) -> list[Range] | None:
    """Return the host's map, sorted; the RAM that a dom0 kernel called unusable counts as RAM."""
    if guest.config.is_dom0:
        found = guest.config.e820
    else:
        found = machine.e820 if machine is not None and machine.e820_source is not MapSource.GUEST else None
    if not found:
        return None
    entries = [(entry.start, entry.end, int(entry.type)) for entry in found if entry.start < entry.end]
    if machine is not None and machine.e820_source is MapSource.DOM0_FINAL:
        entries = unusable_to_ram(entries)
    return sanitise(entries, None)


def _split(guest: Guest, machine: Machine | None, ram: int, rest: int) -> tuple[Line, ...]:
    """Split what is not the domain's into Xen's own and free memory."""
    if not guest.config.is_dom0:
        return ()
    available, why = _available(machine) if machine is not None else (None, "")
    if available is None or not guest.config.nr_pages <= available <= ram:
        unknown = "xl info has free_memory; Xen's console tells where dom0_mem= is not given"
        return (
            Line("xen", "of the rest: Xen's own", None, unknown),
            Line("free", "of the rest: free", None, unknown),
        )
    own = min(ram - available, rest)
    return (
        Line("xen", "of the rest: Xen's own", own, why, estimated=True),
        Line("free", "of the rest: free", rest - own, why, estimated=True),
    )


def _available(machine: Machine) -> tuple[int | None, str]:
    """Return the frames that Xen had left before it built dom0, and how that is known.

    Without ``dom0_mem=``, what dom0 got tells it: all but a sixteenth, of at most 128 MiB.
    """
    if machine.nr_pages is None or machine.dom0_mem is not None or machine.xen_version is None:
        return available_pages(machine), "by what Xen 4.17 needs: 40 bytes a page and 4 MiB"
    available = machine.nr_pages
    while (granted := MemorySpec().resolve(available)[0]) < machine.nr_pages:
        available += machine.nr_pages - granted
    return available, "dom0 got the default: all but a sixteenth of what Xen had left, or but 128 MiB"


def growth_account(guest: Guest, domain: Account, ram: int, balloon: int) -> Account:
    """Account for what the domain may grow to.

    ``ram`` and ``balloon`` are its RAM frames and its balloon space by the map, ``domain`` is the account of
    its machine pages.
    """
    maximum = guest.config.max_reservation
    limit = Line("maximum", "Xen's limit for the domain", maximum, "dom0_mem=max: or maxmem=")
    return Account(
        "growth",
        "What it may grow to",
        (Line("most", "frames that may be filled", ram + balloon, "by its map"),),
        (
            Line(
                "now", "filled after setup", sum(domain.pages(key) for key in ("in_place", "moved", "fresh"))
            ),
            Line("host_frames", "firmware's frames", domain.pages("host_frames"), "moved ACPI NVS"),
            Line("balloon", "balloon space", balloon, "missing, until the balloon driver fills it"),
        ),
        (limit,) if 0 < maximum < NO_MAXIMUM else (),
    )


def _spans(guest: Guest, kind: OpKind) -> list[Span]:
    return joined((op.start, op.end) for op in guest.ops if op.kind is kind)


def _pages(guest: Guest, *kinds: OpKind) -> int:
    return sum(op.end - op.start for op in guest.ops if op.kind in kinds)
