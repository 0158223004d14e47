"""Pages from templates: one self-contained file each, that asks no network and runs no script but its own."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from xenp2m.draw.page import assets
from xenp2m.draw.page.encode import script_json
from xenp2m.draw.page.rows import MOST_ROWS
from xenp2m.errors import UsageError

if TYPE_CHECKING:
    from jinja2 import Environment

    from xenp2m.draw.page.model import Report

_OWN = "xenp2m.draw.page"


def render(
    template: str,
    *,
    package: str = _OWN,
    data: object = None,
    styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
    with_map: bool = False,
    **context: Any,
) -> str:
    """Return a page made from a template that extends ``base.html``.

    The template, ``styles`` and ``scripts`` are files in the folder ``assets`` of ``package``; the base's own
    come first, then those of the address map if ``with_map``.  ``data`` is for the scripts and may hold any
    strings, as may ``context``, which is for the template.  Raises UsageError without the extra "html".
    """
    sheets = [(_OWN, name) for name in (*assets.BASE_STYLES, *(assets.MAP_STYLES if with_map else ()))]
    code = [(_OWN, name) for name in (*assets.BASE_SCRIPTS, *(assets.MAP_SCRIPTS if with_map else ()))]
    style = assets.colours() + assets.joined([*sheets, *((package, name) for name in styles)])
    script = assets.joined([*code, *((package, name) for name in scripts)])
    policy = (
        f"default-src 'none'; style-src {assets.hash_of(style)}; script-src {assets.hash_of(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    page = _environment(package).get_template(template)
    return page.render(
        style=_safe(style),
        script=_safe(script),
        policy=policy,
        data=None if data is None else _safe(script_json(data)),
        version=version("xenp2m"),
        **context,
    )


def render_report(report: Report) -> str:
    """Return the page of a report with an address map."""
    data = report.data()
    summed_up = [layer["name"] for layer in data["layers"] if not layer["whole"]]
    return render(
        "report.html", data=data, with_map=True, report=report, summed_up=summed_up, most_rows=MOST_ROWS
    )


def _safe(text: str) -> Any:
    from markupsafe import Markup  # noqa: PLC0415 - comes with the extra "html"

    return Markup(text)


def _environment(package: str) -> Environment:
    try:
        from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined  # noqa: PLC0415
    except ImportError:
        raise UsageError("--html needs the extra \"html\": pip install 'xenp2m[html]'") from None
    packages = dict.fromkeys((package, _OWN))
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name, "assets") for name in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["svg"] = _safe
    return environment
