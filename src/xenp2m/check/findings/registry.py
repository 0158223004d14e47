"""All rules by code, how a function becomes one, and how codes are picked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest

from xenp2m.check.findings.model import Case, FindingRule, Hit, Severity
from xenp2m.errors import UsageError

Look = Callable[[Case], Iterable[Hit]]

_RULES: dict[str, FindingRule] = {}
_NEAR = 2
"""Places in which what was typed may differ from a code that is meant."""

FAMILIES = {
    "XP1": "BARs and the 1:1 map",
    "XP2": "Collisions, and where the memory goes",
    "XP3": "32-bit kernels",
    "XP4": "Translation of page table entries",
    "XP5": "The map and the captures",
    "XP6": "PV domUs with devices",
    "XP7": "The prediction beside the capture's own log",
    "XP9": "The kernel stops or complains",
}
"""What the first digit of a code stands for."""


def finding(
    code: str,
    title: str,
    severity: Severity,
    *,
    why: str,
    kernels: str,
    example: str,
    remedy: str,
    source: str,
    per_kernel: bool = True,
) -> Callable[[Look], Look]:
    """Make a function a rule; its docstring says what the rule looks for."""

    def register(look: Look) -> Look:
        assert code not in _RULES, f"{code} is taken"
        _RULES[code] = FindingRule(
            code=code,
            title=title,
            severity=severity,
            what=" ".join((inspect.getdoc(look) or title).split()),
            why=why,
            kernels=kernels,
            example=example,
            remedy=remedy,
            source=source,
            per_kernel=per_kernel,
            look=look,
        )
        return look

    return register


def all_rules() -> tuple[FindingRule, ...]:
    """Return every rule, by code."""
    return tuple(_RULES[code] for code in sorted(_RULES))


def chosen_rules(select: Sequence[str] = (), ignore: Sequence[str] = ()) -> tuple[FindingRule, ...]:
    """Return the rules that are selected (all by default) and not ignored.

    Each item is a code or the beginning of codes ("XP1", "XP10"); raises UsageError for one that fits none,
    and where no rule is left.
    """
    selected = [_prefix(item) for item in select] or ["XP"]
    ignored = tuple(_prefix(item) for item in ignore)
    chosen = tuple(
        found
        for found in all_rules()
        if found.code.startswith(tuple(selected)) and not found.code.startswith(ignored)
    )
    if not chosen:
        raise UsageError("no rule is left: those that are selected are ignored too")
    return chosen


def _prefix(item: str) -> str:
    prefix = item.strip().upper()
    if len(prefix) < 2 or not any(code.startswith(prefix) for code in _RULES):
        raise _unknown(item)
    return prefix


def _unknown(item: str) -> UsageError:
    typed = item.strip().upper()
    near = sorted(_RULES, key=lambda code: (_differences(typed, code), code))[:3]
    hint = '"xenp2m rule" lists the codes'
    if typed.startswith("XA"):
        hint = "codes of XA are those of xenp2m audit, which tells title and remedy beside what it finds"
    elif near and _differences(typed, near[0]) <= _NEAR:
        hint = f"did you mean {', '.join(near)}?"
    return UsageError(f"no rule {item.strip()!r}; {hint}")


def _differences(typed: str, code: str) -> int:
    """Count the places in which two codes differ; the letters may be left out."""
    readings = (typed, f"XP{typed}")
    fewest: int = min(sum(a != b for a, b in zip_longest(reading, code)) for reading in readings)
    return fewest
