"""The command where there is no QEMU and nothing was fetched, and its report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.program import assert_one_clear_error, run
from lab.runs import compared, write_run
from xenp2m.draw.lab import report, report_page
from xenp2m.lab.result import Result
from xenp2m.lab.results import read_results
from xenp2m.lab.shapefile import chosen_shapes


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment of a machine that has no program at all."""
    return {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}


def test_without_qemu_the_remedy_is_named(bare: dict[str, str]) -> None:
    assert_one_clear_error(run("lab", "run", "pc-512m", env=bare), "qemu-system-x86", "--qemu")


def test_without_packages_the_remedy_is_named(bare: dict[str, str], tmp_path: Path) -> None:
    qemu = tmp_path / "qemu"
    qemu.touch()
    assert_one_clear_error(
        run("lab", "run", "pc-512m", "--qemu", qemu, env=bare), "xenp2m lab setup", "--xen"
    )


def test_without_apt_setup_says_so(bare: dict[str, str]) -> None:
    assert_one_clear_error(run("lab", "setup", env=bare), "apt-get", "--kernel")


def test_what_is_no_qemu_is_an_error(bare: dict[str, str], tmp_path: Path) -> None:
    for name in ("xen", "vmlinux", "initrd", "qemu"):
        (tmp_path / name).write_bytes(b"nothing")
    files = [
        f"--{option}={tmp_path / name}"
        for option, name in (("xen", "xen"), ("kernel", "vmlinux"), ("initrd", "initrd"), ("qemu", "qemu"))
    ]
    assert_one_clear_error(run("lab", "run", "pc-512m", *files, env=bare), "cannot start QEMU")


def test_a_qemu_that_gives_up_is_a_failed_shape(bare: dict[str, str], tmp_path: Path) -> None:
    for name in ("xen", "vmlinux", "initrd"):
        (tmp_path / name).write_bytes(b"nothing")
    qemu = tmp_path / "qemu"
    qemu.write_text("#!/bin/sh\necho 'qemu: no such machine' >&2\nexit 1\n")
    qemu.chmod(0o755)
    done = run(
        *("lab", "run", "pc-512m", "--json", "-o", tmp_path / "out", f"--qemu={qemu}"),
        *(f"--xen={tmp_path / 'xen'}", f"--kernel={tmp_path / 'vmlinux'}", f"--initrd={tmp_path / 'initrd'}"),
        env=bare,
    )
    assert done.status == 2, done
    (value,) = json.loads(done.out)
    assert value["outcome"] == "failed"
    assert "no such machine" in value["error"]
    kept = tmp_path / "out" / "pc-512m"
    assert [path.name for path in kept.iterdir()] == ["result.json"]
    assert [path.name for path in kept.parent.iterdir()] == ["pc-512m"]
    assert "no such machine" in run("lab", "report", tmp_path / "out").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run",), "--all"),
        (("run", "no-such"), "pc-512m"),
        (("report", "."), "lab run -o"),
        (("shapes", "--show", "no-such"), "pc-512m"),
    ],
)
def test_bad_usage_is_one_line(arguments: tuple[str, ...], words: str) -> None:
    assert_one_clear_error(run("lab", *arguments), words)


def test_shapes_are_listed_and_shown(tmp_path: Path) -> None:
    assert "bar-512g" in run("lab", "shapes").out
    assert 'spacers = ["256G"]' in run("lab", "shapes", "--show", "bar-512g").out


def test_without_the_toolstack_a_shape_with_domus_names_the_remedy(
    bare: dict[str, str], tmp_path: Path
) -> None:
    for name in ("xen", "vmlinux", "initrd", "qemu"):
        (tmp_path / name).write_bytes(b"nothing")
    files = [
        f"--{option}={tmp_path / name}"
        for option, name in (("xen", "xen"), ("kernel", "vmlinux"), ("initrd", "initrd"), ("qemu", "qemu"))
    ]
    assert_one_clear_error(run("lab", "run", "domu-plain", *files, env=bare), "toolstack", "xenp2m lab setup")


def test_the_report_has_a_row_for_each_domu(tmp_path: Path) -> None:
    (shape,) = chosen_shapes(("domu-conflict",))
    bar = {"start": 1 << 32, "size": 1 << 29, "usable": False}
    domu = {
        "name": "collides",
        "domid": 1,
        "equal": False,
        "kernel": "6.1",
        "comparisons": [
            compared("prediction", "xl dump-core"),
            compared("xl dump-core", ".xen_p2m"),
            {
                **compared("xl dump-core", "xen-mfndump", False),
                "differing": 1,
                "first": [[1, 2, "ram", "ram"]],
            },
        ],
        "bars_not_as_predicted": [],
        "unlogged": [],
        "bars": [bar],
    }
    value = Result(shape, seconds={"total": 9.0}).to_json() | {"outcome": "differs", "domus": [domu]}
    folder = tmp_path / shape.name
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps(value))
    text = report(read_results(tmp_path))
    cells = "host's | 0x100000000 refused, as predicted | yes | **no** |  |  |"
    assert f"| domu-conflict | collides | 160 MiB to 192 MiB | {cells}" in text
    assert "- domu-conflict: collides: xl dump-core and xen-mfndump differ in 1 places:" in text


def test_the_report_draws_bars_far_up(tmp_path: Path) -> None:
    write_run(tmp_path)
    text = report(read_results(tmp_path))
    assert "1 machines, 1 booted; on 1 everything was as predicted" in text
    assert "| yes | yes | yes (0x8000000000) | 3.0 | 9.0 |" in text
    drawn = [line for line in text.splitlines() if line.startswith(("predicted", "measured"))]
    assert len(drawn) == 2
    assert drawn[0].split()[1] == drawn[1].split()[1]


def test_the_page_has_tables_and_the_map_of_every_guest(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", with_domu=True)
    page = tmp_path / "report.html"
    done = run("lab", "report", tmp_path / "runs", "--html", page)
    assert done.status == 0, done
    assert "| bar-512g |" in done.out
    text = page.read_text()
    for name in ("dom0, predicted", "dom0, measured", "u, predicted", "u, measured"):
        assert f">{name}<" in text
    assert text.count("<svg") == 1
    assert "no</span>" not in text


def test_the_page_escapes_what_a_shape_says(tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script>"
    write_run(tmp_path, description=hostile)
    assert hostile not in report_page(read_results(tmp_path))
