"""The tables of a fleet: every column with its type and meaning.

Addresses and sizes are bytes, frames are 4 KiB, both unsigned.  ``last`` is the last byte of a range, so
that a range up to 2^64 can be told; an exclusive end there is written as 2^64 - 1.  A missing frame has no
address: its machine frame is null.  ``machine`` is the key that all tables share.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from xenp2m.mmu.mappers import Mapper

_TYPES: dict[str, pa.DataType] = {
    "text": pa.string(),
    "texts": pa.list_(pa.string()),
    "uint64": pa.uint64(),
    "int32": pa.int32(),
    "bool": pa.bool_(),
    "bytes": pa.binary(),
}
_SQL = {"text": "VARCHAR", "texts": "VARCHAR[]", "uint64": "UBIGINT", "int32": "INTEGER", "bool": "BOOLEAN"}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: ``type`` is a key of this module's types; ``null`` says what null means, "" never null."""

    name: str
    type: str
    meaning: str
    null: str = ""

    @property
    def sql(self) -> str:
        """The type as SQL calls it."""
        return _SQL[self.type]


@dataclass(frozen=True)
class Table:
    """One table: what a row is, and its columns."""

    name: str
    row: str
    columns: tuple[Column, ...]

    @cached_property
    def arrow(self) -> pa.Schema:
        """The table as an Arrow schema."""
        return pa.schema([pa.field(each.name, _TYPES[each.type]) for each in self.columns])


_MACHINE = Column("machine", "text", "the machine: 16 hexadecimal digits made of the input's place and name")
_KERNEL = Column("kernel", "text", "the kernel's name as asked for")
_NAME = Column("name", "text", "what people call it: the record's id, or the file's path below its source")
_SOURCE = Column("source", "text", "the input that it was read from, in full")

_INPUTS = Table(
    "inputs",
    "what was taken as one machine: a record, a file, an archive or a report in one, a folder",
    (
        _MACHINE,
        _NAME,
        _SOURCE,
        Column("form", "text", "`record`, `file` or `folder`"),
        Column("size", "uint64", "its bytes, as stored; of a report in an archive those of the archive"),
        Column("usable", "bool", "whether it gave a machine to predict; if not, `failures` says why"),
    ),
)
_MACHINES = Table(
    "machines",
    "a machine that can be predicted, as its input tells it",
    (
        _MACHINE,
        _NAME,
        _SOURCE,
        Column("product", "text", "its make and model", "not told"),
        Column("kernel_release", "text", "the kernel that its capture is of", "not told"),
        Column("xen_version", "text", "the Xen that its capture is of", "not told"),
        Column("bits", "int32", "width of the captured kernel", "not told"),
        Column("map_source", "text", "whose memory map it is: `firmware`, `xen`, `dom0`, `iomem`, ..."),
        Column("map_entries", "int32", "entries of the map"),
        Column("map_end", "uint64", "the first byte after the map"),
        Column("ram_bytes", "uint64", "RAM in the map"),
        Column("ram_end", "uint64", "the first byte after the highest RAM"),
        Column("bars", "int32", "memory BARs"),
        Column("bars_past_map", "int32", "those that reach past the end of the map"),
        Column("bars_last", "uint64", "the last byte of the highest BAR", "no BARs"),
        Column("notes", "texts", "what the readers noticed"),
    ),
)
_PREDICTIONS = Table(
    "predictions",
    "what one kernel makes of one machine",
    (
        _MACHINE,
        _KERNEL,
        Column("stopped", "text", "where and why the kernel does not boot", "it boots"),
        Column("arch", "text", "`x86_64` or `x86_32`"),
        Column("nr_pages", "uint64", "frames that the guest starts with"),
        Column("ram_frames", "uint64", "RAM frames in its p2m"),
        Column("identity_frames", "uint64", "1:1 frames below `end_pfn`"),
        Column("missing_frames", "uint64", "missing frames below `end_pfn`"),
        Column("foreign_frames", "uint64", "foreign frames below `end_pfn`"),
        Column("end_pfn", "uint64", "the end of the p2m, in frames"),
        Column("beyond", "text", "what a frame past that is: `identity` or `missing`"),
        Column("mid_pages", "uint64", "p2m pages that are the guest's own: mids, or page tables of a list"),
        Column("leaf_pages", "uint64", "p2m pages that are the guest's own: leaves"),
        Column("released", "uint64", "frames that setup logs as released", "the line is not printed"),
        Column("identity_logged", "uint64", "frames that setup logs as 1:1", "the line is not printed"),
        Column("ballooned", "uint64", "frames that the balloon driver starts from as released"),
        Column("warning_count", "int32", "stack-trace warnings that the kernel prints"),
        Column("bars", "int32", "BARs that were judged"),
        Column("bars_bad", "int32", "BARs that some way of mapping does not reach"),
        Column("verdict", "text", "the worst verdict on a BAR", "no BARs"),
        Column("errors", "int32", "findings of this kernel that are errors"),
        Column("warnings", "int32", "findings of this kernel that are warnings"),
        Column("infos", "int32", "findings of this kernel that are notes"),
        Column("assumptions", "texts", "what the input did not say and was assumed"),
    ),
)
_BARS = Table(
    "bars",
    "one BAR under one kernel",
    (
        _MACHINE,
        _KERNEL,
        Column("bdf", "text", "the PCI function: domain:bus:device.function"),
        Column("bar_index", "int32", "0 to 5, 6 for the ROM, 7 to 12 for SR-IOV", "not told"),
        Column("start", "uint64", "its first byte"),
        Column("last", "uint64", "its last byte"),
        Column("size", "uint64", "its bytes"),
        Column("is_64bit", "bool", "a 64-bit BAR"),
        Column("prefetchable", "bool", "prefetchable"),
        Column("past_map", "bool", "it reaches past the end of the machine's map (`machines.map_end`)"),
        Column("verdict", "text", "the worst over the ways of mapping: `maps`, `fails`, `collides`, `wrong`"),
        *(Column(f"by_{mapper.value}", "text", f"the verdict by way of {mapper.label}") for mapper in Mapper),
        Column("bad_frames", "uint64", "frames of it that some way does not reach"),
        Column("first_bad_frame", "uint64", "the first of them", "there are none"),
        Column("rule", "text", "the rule that decides"),
        Column("hazard", "text", "an oops when user space unmaps it", "none"),
    ),
)
_FINDINGS = Table(
    "findings",
    "something that a person should know of a machine under a kernel",
    (
        _MACHINE,
        Column("kernel", "text", "the kernel's name as asked for", "it holds under every kernel"),
        Column("code", "text", "the rule's code; `xenp2m rule CODE` tells more"),
        Column("severity", "text", "`error`, `warning` or `info`"),
        Column("title", "text", "the rule's title"),
        Column("place", "text", "a BAR, an address range, a file"),
        Column("first", "uint64", "the first byte that it is about", "it is about no range"),
        Column("last", "uint64", "the last byte that it is about", "it is about no range"),
        Column("message", "text", "what was found"),
        Column("remedy", "text", "what to do"),
    ),
)
_MAPS = Table(
    "maps",
    "a run of frames of one kind in the p2m of one machine under one kernel",
    (
        _MACHINE,
        _KERNEL,
        Column("pfn", "uint64", "the first frame"),
        Column("pages", "uint64", "the number of frames"),
        Column("kind", "text", "`ram`, `identity`, `foreign` or `missing`"),
        Column(
            "mfn",
            "uint64",
            "machine frame of the first one",
            "missing, 1:1 (its own machine frame), or known to the hypervisor only",
        ),
    ),
)
_FACTS = Table(
    "facts",
    "the machine itself",
    (
        _MACHINE,
        Column("json", "text", "the machine as an `xenp2m.machine/1` object, to predict from again"),
    ),
)
_FAILURES = Table(
    "failures",
    "an input, or a machine under a kernel, without a prediction",
    (
        _MACHINE,
        _NAME,
        _SOURCE,
        Column("kernel", "text", "the kernel that cannot be predicted for it", "none can"),
        Column(
            "kind",
            "text",
            "`no map`, `not whole`, `unreadable`, `too large`, `twice`, `too slow`, `killed`, `memory`, "
            "`kernel` or `program`",
        ),
        Column("reason", "text", "what is wrong, in words"),
    ),
)

TABLES = {
    table.name: table
    for table in (_INPUTS, _MACHINES, _PREDICTIONS, _BARS, _FINDINGS, _MAPS, _FACTS, _FAILURES)
}
"""The tables that can be asked, by name."""

WORK = Table(
    "work",
    "what was done, so that it is not done again",
    (
        Column("machine", "uint64", "the machine as a number"),
        Column("key", "bytes", "hash of the input's content, the program and its options"),
        Column("kernels", "text", "the kernels, joined by spaces"),
    ),
)
"""The table by which a run goes on where another stopped; no question is asked of it."""

NO_KEY = b"-" * 16
"""The key of an input that is to be done again: no input has it."""

STORED = {**TABLES, WORK.name: WORK}


def markdown() -> str:
    """Return the tables as documentation."""
    parts = []
    for table in TABLES.values():
        lines = [
            f"### `{table.name}`",
            "",
            f"A row is {table.row}.",
            "",
            "| column | type | meaning |",
            "|---|---|---|",
        ]
        for each in table.columns:
            null = f"; null: {each.null}" if each.null else ""
            lines.append(f"| `{each.name}` | {each.sql} | {each.meaning}{null} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"
