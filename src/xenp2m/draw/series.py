"""The series walked patch by patch, on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from xenp2m.check.series import State, Walk
from xenp2m.draw.palette import BAD, DIM, GOOD
from xenp2m.draw.prediction import SHORT_NAMES
from xenp2m.draw.tables import FittedTable
from xenp2m.mmu.mappers import Mapper
from xenp2m.units import PAGE_SIZE, format_frames, format_size

_FEW = 3


def print_walk(walk: Walk, console: Console) -> None:
    """Print what each patch changes on the machine, then the six postings."""
    console.print(
        Text(f"3.15, then the nine patches on {walk.machine.machine.name or 'the machine'}", style="bold")
    )
    if walk.bar is not None:
        console.print(f"PTEs are those of {walk.bar} at frame {walk.frame:#x}", style=DIM)
    console.print()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", show_header=False)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    total = len(walk.machine.bars)
    table.add_row("3.15", Group(*_start(walk.before, total)))
    before = walk.before
    for step in walk.patches:
        subject = Text(step.patch.subject, style="bold")
        subject.append(f"  ({step.patch.commit}, {step.patch.merged})", style=f"not bold {DIM}")
        changes = _changes(before, step.state, total) or [Text("no effect on this machine", style=DIM)]
        table.add_row(f"+{step.patch.number}", Group(subject, *changes, *_apart(walk, step.patch.number)))
        before = step.state
    console.print(table)
    console.print()
    console.print(_postings(walk, total))


def _start(state: State, total: int) -> list[Text]:
    lines = [
        Text(f"{_frames(state)}; p2m {_pages(state.p2m_pages)}; {_steps(state.identity_steps)}"),
        _mapped(state, total),
    ]
    lines += [Text(f"{SHORT_NAMES[mapper]}: PTE {_entry(entry)}") for mapper, entry in state.entries.items()]
    if state.oopses:
        lines.append(_oops(state))
    return lines


def _changes(old: State, new: State, total: int) -> list[Text]:
    """Return what is different after a patch, a line each."""
    lines: list[Text] = []
    if (old.identity_frames, old.beyond) != (new.identity_frames, new.beyond):
        more = new.identity_frames - old.identity_frames
        lines.append(Text(f"{format_frames(more)} more become 1:1 ({more} frames): {_frames(new)}"))
    if old.p2m_pages != new.p2m_pages:
        lines.append(Text(f"p2m: {old.p2m_pages} → {_pages(new.p2m_pages)}"))
    if old.identity_steps != new.identity_steps:
        lines.append(Text(f"identity calls: {old.identity_steps:,} → {_steps(new.identity_steps)}"))
    if old.mapped != new.mapped:
        lines.append(_mapped(new, total))
    for mapper, entry in new.entries.items():
        if old.entries.get(mapper) != entry:
            lines.append(
                Text(f"{SHORT_NAMES[mapper]}: PTE {_entry(old.entries.get(mapper))} → {_entry(entry)}")
            )
    if old.warning_count != new.warning_count:
        lines.append(Text(f"warnings: {old.warning_count} → {new.warning_count}"))
    if new.oopses and not old.oopses:
        lines.append(_oops(new))
    if old.oopses and not new.oopses:
        lines.append(Text("the oops on M2P holes is gone", style=GOOD))
    if old.lines != new.lines:
        added = [line for line in new.lines if line not in old.lines]
        lines += [Text(f"logs: {line}", style=DIM) for line in added[:_FEW]]
    return lines


def _apart(walk: Walk, number: int) -> list[Text]:
    """Return what the whole series would be without a patch, where the order of the patches hides it."""
    if number == 3:
        without, whole = walk.without_3, walk.patches[-1].state
        return [
            Text(
                f"without it the whole series would take {_pages(without.p2m_pages)}, not "
                f"{whole.p2m_pages}, and {_steps(without.identity_steps)}, not {whole.identity_steps:,}",
                style=DIM,
            )
        ]
    if number == 7:
        if walk.without_7.oopses:
            return [Text("without it, patch 8 oopses: ", style=DIM).append_text(_oops(walk.without_7))]
        return [Text("no BAR of this machine lies in a hole of the M2P below its end", style=DIM)]
    return []


def _frames(state: State) -> str:
    past = "1:1" if state.beyond.label == "identity" else "missing"
    return f"{format_frames(state.identity_frames)} 1:1 in the p2m, past it {past}"


def _pages(pages: int) -> str:
    return f"{pages} pages of its own ({format_size(pages * PAGE_SIZE)})"


def _steps(steps: int) -> str:
    return f"{steps:,} steps in the identity calls"


def _mapped(state: State, total: int) -> Text:
    text = Text("BARs mapped: ")
    for index, mapper in enumerate(Mapper):
        count = state.mapped[mapper]
        text.append(", " if index else "")
        text.append(f"{SHORT_NAMES[mapper]} {count}/{total}", style=GOOD if count == total else BAD)
    return text


def _entry(entry: int | None) -> str:
    return "refused" if entry is None else f"{entry:#x}"


def _oops(state: State) -> Text:
    names = ", ".join(state.oopses[:_FEW]) + (", …" if len(state.oopses) > _FEW else "")
    return Text(f"user space that unmaps {len(state.oopses)} BARs ({names}) may oops on the M2P", style=BAD)


def _postings(walk: Walk, total: int) -> Group:
    table = FittedTable()
    table.add_column("v")
    table.add_column("changed", overflow="fold")
    for heading in ("1:1", "own pages", "steps", "BARs", "oops"):
        table.add_column(heading, justify="right")
    notes = []
    for step in walk.revisions:
        state = step.state
        table.add_row(
            f"v{step.revision.version}",
            step.revision.changed,
            format_frames(state.identity_frames),
            f"{state.p2m_pages}",
            f"{state.identity_steps:,}",
            f"{min(state.mapped.values())}/{total}",
            f"{len(state.oopses)}" if state.oopses else "no",
        )
        if step.revision.not_modelled:
            notes.append(
                f"v{step.revision.version} is played without its known mistake: {step.revision.not_modelled}"
            )
    parts: Sequence[Text | Table] = [
        Text("the six postings", style="bold"),
        table,
        *(Text(note, style=DIM) for note in notes),
    ]
    return Group(*parts)
