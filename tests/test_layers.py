"""Imports go one way; nothing below knows what is above it."""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "src/xenp2m"

LAYERS = (
    {"cli"},
    {"view"},
    {"draw", "lab"},
    {"fleet"},
    {"check", "prediction"},
    {"p2m.replay", "p2m.footprint", "catalogue"},
    {"boot", "capture", "dump"},
    {"p2m", "mmu"},
    {"machine"},
    {"rules", "runs", "runtable", "mapfile"},
    {"entry"},
    {"arch", "files", "progress", "display", "printable"},
    {"units"},
    {"errors"},
)
"""From top to bottom; a module may import its own layer and those below."""


def layer_of(module: str) -> int | None:
    """Return the layer of a module below ``xenp2m``, the most exact name first."""
    for name in (".".join(module.split(".")[:2]), module.split(".", maxsplit=1)[0]):
        for index, names in enumerate(LAYERS):
            if name in names:
                return index
    return None


def imports_of(path: Path) -> set[str]:
    """Return the modules below ``xenp2m`` that a file imports, imports for types only left out."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and id(node) not in typing_only:
            found.add(node.module)
    return {name.removeprefix("xenp2m.") for name in found if name.startswith("xenp2m.")}


def test_every_module_has_a_layer_and_imports_downwards() -> None:
    checked = 0
    for path in sorted(SOURCE.rglob("*.py")):
        module = ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
        if module in ("__init__", "__main__"):
            continue
        own = layer_of(module)
        assert own is not None, f"{module} has no layer"
        for imported in imports_of(path):
            below = layer_of(imported)
            assert below is not None, f"{imported} has no layer"
            assert own <= below, f"{module} imports {imported}"
            checked += 1
    assert checked > 200


def test_machine_knows_no_text_and_boot_no_file() -> None:
    for package in ("machine", "boot"):
        for path in (SOURCE / package).rglob("*.py"):
            assert "capture" not in {name.split(".")[0] for name in imports_of(path)}
