"""Pages: one HTML file each, with everything in it, that asks no network.

Reports of predictions, dumps and comparisons are made by ``predictions_page``, ``inspection_page`` and
``diff_page``.  Needs the extra "html" (Jinja2).

To make another kind of page on the same base, put a template into the folder ``assets`` of your own package
and call ``render``::

    {% extends "base.html" %}                 the frame: head, theme switch, footer
    {% import "parts.html" as parts %}        macros: go, mark, kind, verdict, scrolled
    {% block title %}...{% endblock %}        also: heading, navigation, content, foot

    render("lab.html", package="xenp2m.lab", scripts=["lab.js"], styles=["lab.css"], data=..., results=...)

* Every string in the context is escaped by the template, and ``data`` by ``render``: both may hold anything.
  Scripts get at the data with ``pageData()`` and make elements with ``html()`` and ``svg()``
  (``elements.js``), which take texts, never markup.
* The content security policy allows exactly the style sheet and the script of the page, by their hashes.  So
  there are no ``style`` or ``on...`` attributes and no further ``<script>`` in a template; scripts may set
  ``element.style`` and ``className``.
* Colours are the CSS variables ``--xp-paper``, ``--xp-page``, ``--xp-ink``, ``--xp-dim``, ``--xp-line``,
  ``--xp-faint`` and ``--xp-KIND``; ``base.css`` adds ``--good``, ``--bad``, ``--warn``, ``--accent``.  SVG
  from ``xenp2m.draw.svg`` (``standalone=False``) follows them when it is put in with the filter ``svg``.
* With ``with_map=True`` the page also has the address map: ``new AddressMap(element, {layers, bars, host,
  words, top})``, its ``view`` (``lookAt``, ``reveal``, ``zoom``, events "view", "frame", "hover", "jump") and
  ``Gestures``; ``report.js`` shows how they are put together.  ``Report.data()`` documents the data by
  example: "layers" come from ``predicted_layer`` and ``read_layer`` through ``layers_to_json``.
* A page that has an ``id="address-map"`` is started by ``report.js``; any other is left to its own scripts.

Scripts are plain files, concatenated in the order of ``assets.MAP_SCRIPTS``: one scope, no build step.
"""

from xenp2m.draw.page.layers import Layer, layers_to_json, predicted_layer, read_layer
from xenp2m.draw.page.predicted import predictions_page
from xenp2m.draw.page.read import diff_page, inspection_page
from xenp2m.draw.page.render import render

__all__ = [
    "Layer",
    "diff_page",
    "inspection_page",
    "layers_to_json",
    "predicted_layer",
    "predictions_page",
    "read_layer",
    "render",
]
