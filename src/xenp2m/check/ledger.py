"""The ledger: where a machine's memory went under one kernel, every page in one line of each view."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xenp2m.boot.guest import Guest
from xenp2m.capture import MemoryFigures
from xenp2m.check.account import Account, Line
from xenp2m.check.figures import Agreement, Comparison, compare
from xenp2m.check.frames import BACKED, Fate, Frames, frames_of
from xenp2m.check.machinepages import domain_account, growth_account, host_account
from xenp2m.check.p2mcost import p2m_accounts
from xenp2m.check.spans import length
from xenp2m.entry import Kind
from xenp2m.machine import Machine
from xenp2m.units import format_frames

__all__ = ["Account", "Agreement", "Comparison", "Ledger", "Line", "make_ledger"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Where the memory went under one kernel.

    ``accounts`` are the views, each in double entry.  ``imbalances`` are contradictions between what should
    be one number: an error of this program, never of the machine.  ``findings`` are pages that the kernel
    loses or believes in wrongly.  ``comparisons`` hold recorded figures against ours.
    """

    kernel: str
    accounts: tuple[Account, ...]
    imbalances: tuple[str, ...]
    findings: tuple[str, ...]
    comparisons: tuple[Comparison, ...]

    def account(self, key: str) -> Account | None:
        """Return the view of that name, None where there is none."""
        return next((account for account in self.accounts if account.key == key), None)

    @property
    def balances(self) -> bool:
        """Whether every view sums to the page and the views agree."""
        return not self.imbalances

    @property
    def is_well(self) -> bool:
        """Whether it balances, nothing is lost, and no recorded figure differs without a reason."""
        differs = any(comparison.agreement is Agreement.DIFFERS for comparison in self.comparisons)
        return self.balances and not self.findings and not differs


def make_ledger(
    guest: Guest,
    machine: Machine | None = None,
    figures: MemoryFigures | None = None,
    *,
    p2m_cost: bool = True,
) -> Ledger:
    """Make the ledger of a guest.

    ``machine`` is the host (its map is needed for a domU's view of the host), ``figures`` are those that a
    running system of this kernel and size recorded.  ``p2m_cost`` builds the p2m to count its pages.
    """
    frames = frames_of(guest)
    domain, contradictions = domain_account(guest)
    host = host_account(guest, machine)
    accounts = (
        *((host,) if host is not None else ()),
        domain,
        growth_account(guest, domain, frames.pages(*BACKED), length(frames.balloon)),
        frames.account(),
        *(p2m_accounts(guest) if p2m_cost else ()),
    )
    return Ledger(
        kernel=guest.rules.name,
        accounts=accounts,
        imbalances=(*_imbalances(accounts), *_crossings(guest, frames, domain, host), *contradictions),
        findings=tuple(_findings(guest, domain, frames)),
        comparisons=compare(guest, frames, figures) if figures is not None else (),
    )


def _imbalances(accounts: tuple[Account, ...]) -> list[str]:
    return [
        f"{account.title}: {account.total} pages in, {account.total - account.imbalance} in its lines"
        for account in accounts
        if account.imbalance
    ] + [
        f"{account.title}: {line.label} has {line.pages} pages"
        for account in accounts
        for line in (*account.sources, *account.lines)
        if line.pages is not None and line.pages < 0
    ]


def _crossings(guest: Guest, frames: Frames, domain: Account, host: Account | None) -> list[str]:
    """Hold numbers of one view against those of another."""
    found = []
    counts = guest.p2m.counts()
    if frames.pages(*BACKED) != counts[Kind.RAM]:
        found.append(f"{frames.pages(*BACKED)} frames are in lines of RAM, the p2m has {counts[Kind.RAM]}")
    kept = sum(line.pages or 0 for line in domain.lines) - domain.pages("given_back")
    if host is not None and host.pages("domain") != kept:
        found.append(f"the domain has {kept} machine pages, the host's view {host.pages('domain')}")
    return found


def _findings(guest: Guest, domain: Account, frames: Frames) -> Iterator[str]:
    """Say which pages a kernel loses, and which it believes in without reason."""
    config = guest.config
    if guest.stopped is not None:
        yield f"does not boot: {guest.stopped}; the lines are as far as it got"
    limit = ""
    if guest.rules.domain_limit and config.nr_pages > config.arch.max_domain_pages:
        limit = f" (a domain of this kernel has at most {format_frames(config.arch.max_domain_pages)})"
    lost = sum(domain.pages(key) for key in ("hidden", "past_end", "lost_fresh"))
    if lost:
        yield f"{lost} pages of the domain are lost: no entry of the p2m names them{limit}"
    for fate in (Fate.UNBACKED, Fate.STRANDED, Fate.CUT, Fate.OVERFLOW, Fate.BALLOON_IO):
        pages = frames.pages(fate)
        if pages:
            yield f"{pages} pages: {fate.label}: {fate.why}{limit if fate is Fate.STRANDED else ''}"
