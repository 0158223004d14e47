"""The unit of work: a chunk of inputs under some kernels becomes tables.

``work`` is a pure function of its chunk and of the files that the chunk names, so that it can run in any
process on any machine, and again if the first one was lost.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from typing import Any

import pyarrow as pa

from xenp2m.capture import Capture, read_machines, read_record, read_text, require_map
from xenp2m.catalogue.model import RecordKind
from xenp2m.catalogue.store import entry_of
from xenp2m.check.findings import Case, FindingRule, all_rules, findings_of
from xenp2m.errors import InputError, LimitError, MissingFactError, UsageError, Xenp2mError
from xenp2m.fleet.carry import at_hand
from xenp2m.fleet.content import as_bytes, clean
from xenp2m.fleet.item import Chunk, Item
from xenp2m.fleet.reach import UnreachableError, shown
from xenp2m.fleet.rows import Rows
from xenp2m.fleet.schema import NO_KEY
from xenp2m.prediction import predict
from xenp2m.rules import rules_for

TRANSIENT = frozenset({"killed", "too slow", "memory", "unreachable", "not sent"})
"""Kinds of failure that another run, with more time or memory, may not have."""

_LONGEST = 300
_RECORD_KINDS = frozenset(kind.value for kind in RecordKind)


def work(chunk: Chunk, started: Callable[[int], None] = lambda index: None) -> dict[str, pa.Table]:
    """Predict every machine of a chunk under its kernels.

    ``started`` is told the index of each item that is begun, of an archive with every machine in it again.
    Nothing that an item holds makes this fail: what cannot be predicted is a row of ``failures``.  Raises
    MemoryError, after which the process is not to be used any more.
    """
    rows = Rows()
    for index, item in enumerate(chunk.items):
        started(index)
        _add(rows, item, chunk, partial(started, index))
    try:
        return rows.tables()
    except (pa.ArrowException, ValueError, OverflowError, TypeError):
        return _concatenated([_alone(item, chunk) for item in chunk.items])


def _concatenated(parts: list[dict[str, pa.Table]]) -> dict[str, pa.Table]:
    """Put the tables of several parts together."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: pa.concat_tables([part[name] for part in parts if name in part]) for name in names}


def _alone(item: Item, chunk: Chunk) -> dict[str, pa.Table]:
    """Do one item, whose values may not fit the tables."""
    rows = Rows()
    _add(rows, item, chunk)
    try:
        return rows.tables()
    except (pa.ArrowException, ValueError, OverflowError, TypeError) as error:
        rows = Rows()
        _add(rows, replace(item, problem=("unreadable", f"a value of it fits no table: {error}")), chunk)
        return rows.tables()


def _add(rows: Rows, item: Item, chunk: Chunk, started: Callable[[], None] = lambda: None) -> None:
    """Add what there is to say of one item, of each machine in it if it is an archive of several."""
    kernels = " ".join(chunk.kernels)
    settled = True
    for machine, capture, product in _found(item):
        if machine.number != item.number:
            started()
            rows.add("work", machine.number, machine.key, kernels)
        settled = settled and (machine.problem is None or machine.problem[0] not in TRANSIENT)
        if item.new:
            rows.add(
                "inputs",
                machine.machine,
                machine.name,
                machine.place,
                item.form,
                item.size,
                capture is not None,
            )
        if capture is not None:
            _predict(rows, machine, chunk, capture, product)
        elif item.new and machine.problem is not None:
            _fail(rows, machine, None, machine.problem)
    rows.add("work", item.number, item.key if settled else NO_KEY, kernels)


def _predict(rows: Rows, item: Item, chunk: Chunk, capture: Capture, product: str | None) -> None:
    """Add what every kernel makes of a machine."""
    if item.new:
        rows.machine(item.machine, item.name, item.place, product, capture)
    of_capture = item.new
    for kernel in chunk.kernels:
        try:
            prediction = predict(capture, rules_for(kernel), chunk.what_if)
            case = Case(capture=capture, prediction=prediction, what_if=chunk.what_if)
            found = findings_of(case, _rules(True))
            general = findings_of(case, _rules(False)) if of_capture else ()
            rows.prediction(item.machine, prediction, found)
            rows.findings(item.machine, general)
        except MemoryError:
            raise
        except Exception as error:
            kind, reason = _problem(error)
            _fail(rows, item, kernel, ("kernel" if isinstance(error, Xenp2mError) else kind, reason))
        else:
            of_capture = False


@cache
def _rules(per_kernel: bool) -> tuple[FindingRule, ...]:
    return tuple(rule for rule in all_rules() if rule.per_kernel is per_kernel)


def _fail(rows: Rows, item: Item, kernel: str | None, problem: tuple[str, str]) -> None:
    rows.add("failures", item.machine, item.name, item.place, kernel, *problem)


class _NotWholeError(MissingFactError):
    """The record has a map that is not the machine's whole one."""


def _found(item: Item) -> Iterator[tuple[Item, Capture | None, str | None]]:
    """Yield the machine of an item, its capture, and its make and model.

    Of an archive of several machines each is yielded as an item of its own.  Where there is no capture, the
    item has a problem.
    """
    if item.problem is not None:
        yield item, None, None
        return
    try:
        if item.form == "record":
            yield item, *_record(item)
            return
        with at_hand(item) as path:
            for place, found in read_machines(path, called=shown(item.source)):
                machine = _within(item, place) if place else item
                try:
                    if isinstance(found, Xenp2mError):
                        raise found
                    yield machine, require_map(found), None
                except Xenp2mError as error:
                    yield replace(machine, problem=_problem(error)), None, None
    except MemoryError:
        raise
    except Exception as error:
        yield replace(item, problem=_problem(error)), None, None


def _within(item: Item, place: str) -> Item:
    """Return the item of a machine in an archive of several; it is done, and replaced, with the archive."""
    number, key = (
        hashlib.blake2b(known + as_bytes(place), digest_size=len(known)).digest()
        for known in (item.number.to_bytes(8), item.key)
    )
    name, source = (f"{of}/{clean(place)}" for of in (item.name, item.source))
    return replace(item, number=int.from_bytes(number), key=key, name=name, source=source)


def _record(item: Item) -> tuple[Capture, str | None]:
    """Return a record's machine and its make and model; raises Xenp2mError when it has no whole map."""
    value = _object(item)
    if value.get("format") is not None:
        return require_map(read_text(item.data, item.name)), _text(value.get("product"))
    capture = require_map(read_record(value, item.name))
    if value.get("kind") in _RECORD_KINDS and (lack := _lack(value)):
        raise _NotWholeError(lack)
    return capture, _text(value.get("product") or value.get("dmi"))


def _object(item: Item) -> dict[str, Any]:
    try:
        value = json.loads(item.data)
    except (ValueError, RecursionError) as error:
        raise InputError("not JSON", found=str(error)[:_LONGEST]) from error
    if not isinstance(value, dict):
        raise InputError("not a machine", expected="a JSON object", found=type(value).__name__)
    return value


def _lack(record: dict[str, Any]) -> str:
    """Say why a record of machine facts is not to be predicted, "" if it is (the catalogue's own rules)."""
    facts = {"id": "", "virt": False, **record, "source": {"repo": ""}}
    return entry_of({**facts, "product": "", "firmware": ""}).lack


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _problem(error: Exception) -> tuple[str, str]:
    """Return the kind of an error, and the error in one line."""
    text = str(error)
    if isinstance(error, Xenp2mError) and error.where:
        text = text.removeprefix(f"{error.where}: ")  # another column says where
    reason = clean(" ".join(text.split())[:_LONGEST])
    if isinstance(error, _NotWholeError):
        return "not whole", reason
    if isinstance(error, MissingFactError):
        return "no map", reason
    if isinstance(error, UnreachableError):
        return "unreachable", reason
    if isinstance(error, LimitError):
        return "too large", reason
    if isinstance(error, (InputError, UsageError, OSError)):
        return "unreadable", reason
    return "program", f"{type(error).__name__}: {reason}"
