"""Predict, inspect and compare the frame map (p2m) of Xen PV guests.

The names below are imported when they are first used, so that importing the package costs nothing::

    import xenp2m

    capture = xenp2m.read_files(["dmesg.txt"])
    prediction = xenp2m.predict(capture, "3.15")
    for verdict in prediction.bars:
        print(verdict.bar.label, verdict.verdict.label, verdict.rule)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from xenp2m.display import Painter, paint_with

if TYPE_CHECKING:
    from xenp2m.boot import Guest, GuestConfig
    from xenp2m.capture import Capture, read_files, read_text
    from xenp2m.check.bars import BarVerdict, Verdict, judge_bars
    from xenp2m.check.explain import explain_bar, explain_frame
    from xenp2m.dump import open_dump
    from xenp2m.entry import Entry, Kind
    from xenp2m.errors import Xenp2mError
    from xenp2m.machine import Bar, E820Entry, Machine
    from xenp2m.p2m.list import LinearList
    from xenp2m.p2m.tree import Tree
    from xenp2m.prediction import Prediction, Predictions, WhatIf, predict, predict_each
    from xenp2m.rules import KERNELS, SERIES, Rules, rules_for
    from xenp2m.runs import Run, RunMap

_HOMES = {
    "boot": ("Guest", "GuestConfig"),
    "capture": ("Capture", "read_files", "read_text"),
    "check.bars": ("BarVerdict", "Verdict", "judge_bars"),
    "check.explain": ("explain_bar", "explain_frame"),
    "dump": ("open_dump",),
    "entry": ("Entry", "Kind"),
    "errors": ("Xenp2mError",),
    "machine": ("Bar", "E820Entry", "Machine"),
    "p2m.list": ("LinearList",),
    "p2m.tree": ("Tree",),
    "prediction": ("Prediction", "Predictions", "WhatIf", "predict", "predict_each"),
    "rules": ("KERNELS", "SERIES", "Rules", "rules_for"),
    "runs": ("Run", "RunMap"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "KERNELS",
    "SERIES",
    "Bar",
    "BarVerdict",
    "Capture",
    "E820Entry",
    "Entry",
    "Guest",
    "GuestConfig",
    "Kind",
    "LinearList",
    "Machine",
    "Prediction",
    "Predictions",
    "Rules",
    "Run",
    "RunMap",
    "Tree",
    "Verdict",
    "WhatIf",
    "Xenp2mError",
    "explain_bar",
    "explain_frame",
    "judge_bars",
    "open_dump",
    "predict",
    "predict_each",
    "read_files",
    "read_text",
    "rules_for",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def _painter() -> Painter:
    from xenp2m.draw import notebook  # noqa: PLC0415 - only notebooks ask

    return notebook


paint_with(_painter)
