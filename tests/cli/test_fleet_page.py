from __future__ import annotations

import json
from pathlib import Path

from cli.program import assert_one_clear_error, run


def test_summary_writes_the_page_beside_what_it_prints(tmp_path: Path) -> None:
    made = run("fleet", "run", "catalogue:a1e81a7903a5", "catalogue:da21a0e43676", "-o", tmp_path / "lab")
    assert made.status == 0, made.err
    target = tmp_path / "lab.html"
    result = run("fleet", "summary", tmp_path / "lab", "--json", "--html", target)
    assert result.status == 0
    assert json.loads(result.out)["machines"] == 2
    assert "lab.html" in result.err
    page = target.read_text(encoding="utf-8")
    assert "<h1>lab</h1>" in page
    assert "2</b> of 2 machines break" in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert_one_clear_error(run("fleet", "summary", tmp_path / "no", "--html", target), "no fleet")
    assert target.read_text(encoding="utf-8") == page


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    run("fleet", "run", "catalogue:a1e81a7903a5", "-o", tmp_path / "lab")
    result = run("fleet", "summary", tmp_path / "lab", "--html", tmp_path / "no/such/folder.html")
    assert_one_clear_error(result, "No such file")
