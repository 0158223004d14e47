"""The unit of work: a chunk of inputs under some kernels becomes tables.

``work`` is a pure function of its chunk and of the files that the chunk names, so that it can run in any
process on any machine, and again if the first one was lost.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pyarrow as pa

from xenp2m.capture import Capture, read_files, read_record, read_text, require_map
from xenp2m.catalogue.model import RecordKind
from xenp2m.catalogue.store import entry_of
from xenp2m.check.findings import Case, FindingRule, all_rules, findings_of
from xenp2m.errors import InputError, LimitError, MissingFactError, UsageError, Xenp2mError
from xenp2m.fleet.carry import at_hand
from xenp2m.fleet.content import clean
from xenp2m.fleet.item import Chunk, Item
from xenp2m.fleet.reach import UnreachableError, shown
from xenp2m.fleet.rows import Rows
from xenp2m.prediction import predict
from xenp2m.rules import rules_for

TRANSIENT = frozenset({"killed", "too slow", "memory", "unreachable", "not sent"})
"""Kinds of failure that another run, with more time or memory, may not have."""

_LONGEST = 300
_NO_KEY = b"-" * 16
_RECORD_KINDS = frozenset(kind.value for kind in RecordKind)


def work(chunk: Chunk, started: Callable[[int], None] = lambda index: None) -> dict[str, pa.Table]:
    """Predict every machine of a chunk under its kernels; ``started`` is told each item that is begun.

    Nothing that an item holds makes this fail: what cannot be predicted is a row of ``failures``.  Raises
    MemoryError, after which the process is not to be used any more.
    """
    rows = Rows()
    for index, item in enumerate(chunk.items):
        started(index)
        _add(rows, item, chunk)
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


def _add(rows: Rows, item: Item, chunk: Chunk) -> None:
    """Add what there is to say of one item."""
    known: tuple[Capture, str | None] | None = None
    problem = item.problem
    if problem is None:
        try:
            known = _read(item)
        except MemoryError:
            raise
        except Exception as error:
            problem = _problem(error)
    if item.new:
        rows.add("inputs", item.machine, item.name, item.place, item.form, item.size, known is not None)
    settled = problem is None or problem[0] not in TRANSIENT
    rows.add("work", item.number, item.key if settled else _NO_KEY, " ".join(chunk.kernels))
    if known is None:
        if item.new and problem is not None:
            _fail(rows, item, None, problem)
        return
    capture, product = known
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


def _read(item: Item) -> tuple[Capture, str | None]:
    """Return an input's machine and its make and model; raises Xenp2mError when it has no whole map."""
    if item.form != "record":
        with at_hand(item) as path:
            return require_map(read_files([path], called=shown(item.source))), None
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
