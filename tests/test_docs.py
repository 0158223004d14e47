"""What the documentation refers to exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
_MODULE = re.compile(r"`((?:boot|capture|check|draw|machine|mmu|p2m|dump|cli)/\w+\.py)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_tests_and_modules_exist(page: Path) -> None:
    text = page.read_text()
    for file, name in _TEST.findall(text):
        source = (ROOT / file).read_text()
        assert not name or f"def {name}(" in source, f"{page.name} names {file}::{name}"
    for file in _MODULE.findall(text):
        assert (ROOT / "src/xenp2m" / file).is_file(), f"{page.name} names {file}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_examples_exist(page: Path) -> None:
    from xenp2m.cli import COMMANDS

    for block in re.findall(r"```(?:sh|console)?\n(.*?)```", page.read_text(), re.DOTALL):
        for name in re.findall(r"^\s*(?:\S+ \| )?\$?\s*xenp2m ([a-z]+)\b", block, re.MULTILINE):
            assert name in COMMANDS, f"{page.name} uses xenp2m {name}"
